"""Retrieval: whole files or none, resumed where it stopped, only with the right checksum."""

import functools
import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path

import pytest

from genovision import sources
from genovision.errors import InputError
from genovision.sources import Interrupted, Source, Unreachable, download, read_sources, retrieve

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.SimpleHTTPRequestHandler):
    """A file server that knows ranges; `cut` ends the first answer early, as a broken connection does."""

    cut = None
    ranges: list

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        if self.path != "/file.bin":
            self.send_error(404, "Not Found")
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start and self.headers.get("If-Range") != '"v1"':
            start = 0
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if type(self).cut is not None:
            body, type(self).cut = body[: type(self).cut], None
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"ranges": [], "cut": None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler)) as instance:
        thread = threading.Thread(target=instance.serve_forever, daemon=True)
        thread.start()
        handler.address = f"http://127.0.0.1:{instance.server_address[1]}"
        yield handler
        instance.shutdown()


def row(location="", sha=SHA256, file="file.bin"):
    return Source("s", file, "url", location, sha, "1", "CC0", "")


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.cut = 300_000
    retrieve([row(f"{server.address}/file.bin")], [], tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_connection_that_keeps_breaking_is_an_error_and_what_came_stays(server, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TRIES", 1)
    server.cut = 300_000
    with pytest.raises(Interrupted, match="300000 of 1048576 bytes; run again to go on from there"):
        retrieve([row(f"{server.address}/file.bin")], [], tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / ".file.bin.part").stat().st_size == 300_000


def test_a_file_retrieved_before_is_not_asked_for_again(server, tmp_path):
    store = tmp_path / "kept"
    retrieve([row(f"{server.address}/file.bin")], [], tmp_path / "file.bin", store)
    (tmp_path / "file.bin").unlink()
    assert retrieve([row("http://127.0.0.1:1/file.bin")], [], tmp_path / "file.bin", store) == "retrieved before"
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_part_of_another_version_is_not_continued(server, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(b"old")
    part.with_name("part.etag").write_text('"v0"')
    download(f"{server.address}/file.bin", part)
    assert part.read_bytes() == CONTENT


def test_a_part_without_etag_is_not_continued(server, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(b"old")
    download(f"{server.address}/file.bin", part)
    assert part.read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing_and_names_the_file(server, tmp_path):
    with pytest.raises(InputError, match=r"file.bin: http.*sha256.*is expected"):
        retrieve([row(f"{server.address}/file.bin", sha="0" * 64)], [], tmp_path / "out" / "file.bin")
    assert os.listdir(tmp_path / "out") == []


def test_the_first_alternative_that_matches_wins(server, tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "file.bin").write_bytes(b"another file of that name")
    origin = retrieve([row(f"{server.address}/file.bin")], [folder], tmp_path / "file.bin")
    assert origin.endswith("/file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_packed_copy_in_a_local_folder_is_unpacked(tmp_path):
    with gzip.open(tmp_path / "file.bin.gz", "wb") as handle:
        handle.write(CONTENT)
    assert (
        retrieve([row("http://127.0.0.1:1/x")], [tmp_path], tmp_path / "out" / "file.bin") == f"the folder {tmp_path}"
    )
    assert (tmp_path / "out" / "file.bin").read_bytes() == CONTENT


def test_unreachable_lists_every_place_and_its_answer(server, tmp_path):
    rows = [row(f"{server.address}/none"), row("http://127.0.0.1:1/file.bin")]
    with pytest.raises(Unreachable, match=r"not there; http.*HTTP 404 Not Found; http.*refused"):
        retrieve(rows, [tmp_path], tmp_path / "out" / "file.bin")


def test_a_cut_gzip_without_known_checksum_is_not_taken_for_whole(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(Unreachable, match="damaged"):
        retrieve([row("http://127.0.0.1:1/x.gz", sha="", file="x.gz")], [tmp_path], tmp_path / "out" / "x.gz")
    assert os.listdir(tmp_path / "out") == []


def test_the_table_of_sources_is_well_formed():
    rows = read_sources(ROOT / "resources" / "sources.tsv")
    assert len({(row.source, row.file, row.location) for row in rows}) == len(rows)
    assert all(len(row.sha256) in (0, 64) and row.licence and row.version for row in rows)
    assert all(row.location.startswith("https://") for row in rows if row.kind == "url")
    assert all(row.sha256 for row in rows if row.kind == "pypi")


def test_a_broken_table_is_refused_by_line(tmp_path):
    path = tmp_path / "sources.tsv"
    path.write_text("source\tfile\tkind\tlocation\tsha256\tversion\tlicence\tnote\na\tb\tftp\tc\t\t1\tx\ty\n")
    with pytest.raises(InputError, match=r"line 2: kind is 'ftp'; it must be one of pypi, debian, url"):
        read_sources(path)
    path.write_text("source\tfile\n")
    with pytest.raises(InputError, match="line 1"):
        read_sources(path)
