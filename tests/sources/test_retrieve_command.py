"""The retrieving command when things go wrong half-way: killed, disk full, nothing reachable."""

import hashlib
import http.server
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 16384  # 4 MiB


@pytest.fixture
def server():
    """Sends half of the file, then waits until `go` is set; ranges are answered at once."""

    class Handler(http.server.BaseHTTPRequestHandler):
        go = threading.Event()
        ranges: list = []  # noqa: RUF012

        def do_GET(self):
            asked = self.headers.get("Range")
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            if not asked:
                self.wfile.write(CONTENT[: len(CONTENT) // 2])
                self.wfile.flush()
                self.go.wait(20)
                start = len(CONTENT) // 2
            self.wfile.write(CONTENT[start:])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(target=instance.serve_forever, daemon=True).start()
        Handler.address = f"http://127.0.0.1:{instance.server_address[1]}/genome.fa"
        yield Handler
        Handler.go.set()
        instance.shutdown()


def table(folder: Path, address: str) -> Path:
    path = folder / "sources.tsv"
    row = ["s", "genome.fa", "url", address, hashlib.sha256(CONTENT).hexdigest(), "1", "CC0", "-"]
    header = ["source", "file", "kind", "location", "sha256", "version", "licence", "note"]
    path.write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    return path


def start(folder: Path, address: str, *options: str, **settings) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "workflow"), "sources/retrieve", "--table", str(table(folder, address))]
    command += ["--source", "s", "--file", "genome.fa", "--out", str(folder / "out" / "genome.fa")]
    command += ["--receipt", str(folder / "out" / "genome.fa.json"), "--folders", str(folder / "none"), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **settings)


def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole_and_is_taken_up(server, tmp_path):
    part = tmp_path / "out" / ".genome.fa.part"
    process = start(tmp_path, server.address)
    until = time.time() + 20
    while time.time() < until and not (part.is_file() and part.stat().st_size >= len(CONTENT) // 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert part.stat().st_size >= len(CONTENT) // 2
    assert not (tmp_path / "out" / "genome.fa").exists()
    assert not (tmp_path / "out" / "genome.fa.json").exists()
    process = start(tmp_path, server.address)
    assert process.wait(30) == 0, process.stderr.read()
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "out" / "genome.fa").read_bytes() == CONTENT
    receipt = json.loads((tmp_path / "out" / "genome.fa.json").read_text())
    assert receipt["status"] == "retrieved"
    assert receipt["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_full_disk_is_one_sentence_and_leaves_no_file(server, tmp_path):
    server.go.set()

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start(tmp_path, server.address, preexec_fn=small_disk)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.splitlines()[-1] == f"error: {tmp_path}/out/.genome.fa.part: File too large."
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "genome.fa").exists()


def test_out_of_reach_is_an_error_unless_the_file_is_optional(tmp_path):
    process = start(tmp_path, "http://127.0.0.1:1/genome.fa")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert (
        f"error: genome.fa could not be retrieved (the folder {tmp_path}/none: genome.fa is not there; http://127.0.0.1:1/genome.fa:"
        in said
    )
    assert list((tmp_path / "out").iterdir()) == []
    process = start(tmp_path, "http://127.0.0.1:1/genome.fa", "--optional")
    assert process.wait(30) == 0
    assert (tmp_path / "out" / "genome.fa").read_bytes() == b""
    assert json.loads((tmp_path / "out" / "genome.fa.json").read_text())["status"] == "unreachable"


def test_an_unknown_source_and_an_unknown_command_are_named(tmp_path):
    process = start(tmp_path, "http://127.0.0.1:1/genome.fa", "--source", "other")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "has no source other with the file genome.fa" in said
    for command in ("sources/none", "../sources/retrieve", "sources/retrieve;ls"):
        answer = subprocess.run([sys.executable, ROOT / "workflow", command], capture_output=True, text=True)
        assert answer.returncode == 2
        assert f"error: there is no command {command!r}; the commands are " in answer.stderr
