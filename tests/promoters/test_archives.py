import gzip
import io
import zipfile

import pytest

from genovision.errors import InputError
from genovision.promoters.archives import members, text_lines


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(path, member=None, **options) -> list[tuple[str, bytes]]:
    return [(label, stream.read()) for label, stream in members(path, member, **options)]


def test_plain_gzip_and_bgzip_give_the_same_bytes(tmp_path):
    text = b"ACGT\n" * 1000
    block = gzip.compress(text[:2500]) + gzip.compress(text[2500:]) + gzip.compress(b"")  # bgzip is gzip in members
    for name, packed in (("plain", text), ("gzip", gzip.compress(text)), ("bgzip", block)):
        (tmp_path / name).write_bytes(packed)
        assert contents(tmp_path / name) == [(str(tmp_path / name), text)]


def test_members_come_in_the_order_of_their_names_and_gunzipped(tmp_path):
    path = tmp_path / "data.whl"
    path.write_bytes(zipped({"p/b.gb": b"2", "p/a.gb": gzip.compress(b"1"), "p/c.txt": b"3"}))
    assert contents(path, "*.gb") == [(f"{path}::p/a.gb", b"1"), (f"{path}::p/b.gb", b"2")]
    assert contents(path, "p/*.txt") == [(f"{path}::p/c.txt", b"3")]


def test_a_zip_inside_a_wheel_is_read_through(tmp_path):
    path = tmp_path / "data.whl"
    inner = zipped({"chr02.gb": b"two", "chr01.gb": b"one", "notes.txt": b""})
    path.write_bytes(zipped({"p/yeast.zip": inner, "p/__init__.py": b""}))
    assert [content for _, content in contents(path, "p/yeast.zip::chr*.gb")] == [b"one", b"two"]


def test_the_only_file_of_a_zip_needs_no_name(tmp_path):
    path = tmp_path / "one.zip"
    path.write_bytes(zipped({"only.fa": b">a\nA\n"}))
    assert contents(path) == [(f"{path}::only.fa", b">a\nA\n")]


@pytest.mark.parametrize("name", ["../out.fa", "/etc/out.fa", "a/../../out.fa", "..\\out.fa", "C:\\out.fa"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path, name):
    path = tmp_path / "bad.zip"
    path.write_bytes(zipped({name: b">a\nA\n"}))
    with pytest.raises(InputError, match="leaves the archive"):
        contents(path, "*out.fa")
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("member", [None, "inner.zip::bomb.fa"])
def test_what_unpacks_to_more_than_allowed_is_refused(tmp_path, member):
    bomb = gzip.compress(b"A" * 1_000_000)
    path = tmp_path / "bomb"
    path.write_bytes(bomb if member is None else zipped({"inner.zip": zipped({"bomb.fa": bomb})}))
    with pytest.raises(InputError, match="more than the allowed size"):
        contents(path, member, limit=500_000)
    assert len(contents(path, member, limit=1_000_000)[0][1]) == 1_000_000


def test_a_nested_zip_that_unpacks_to_more_than_allowed_is_refused(tmp_path):
    path = tmp_path / "bomb.whl"
    path.write_bytes(zipped({"inner.zip": zipped({"a.fa": bytes(range(256)) * 100}) + b"\0" * 1_000_000}))
    with pytest.raises(InputError, match="more than the allowed size"):
        contents(path, "inner.zip::a.fa", limit=500_000)


@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        ("*.fa", r"has no member \*\.fa; it holds a\.gb, b\.gb"),
        (None, "needs the name of a member; it holds a.gb, b.gb"),
    ],
)
def test_a_member_that_is_not_there_is_named_with_those_that_are(tmp_path, member, sentence):
    path = tmp_path / "two.zip"
    path.write_bytes(zipped({"a.gb": b"1", "b.gb": b"2"}))
    with pytest.raises(InputError, match=sentence):
        contents(path, member)


def test_a_member_of_a_plain_file_is_refused(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nA\n")
    with pytest.raises(InputError, match="no zip archive"):
        contents(tmp_path / "a.fa", "*.fa")


def test_a_zip_that_breaks_off_is_refused(tmp_path):
    path = tmp_path / "cut.zip"
    path.write_bytes(zipped({"a.fa": b"ACGT" * 1000})[:-30])
    with pytest.raises(InputError, match="no whole zip archive"):
        contents(path, "a.fa")


def test_text_lines_count_from_1_and_forget_blank_lines_at_the_end(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\ntwo\n\n \n")
    assert list(text_lines(tmp_path / "a.txt")) == [(1, "one"), (2, ""), (3, "two")]


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"")])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.txt is empty"):
        list(text_lines(tmp_path / "a.txt"))


def test_truncated_gzip_names_the_line_where_it_breaks_off(tmp_path):
    packed = gzip.compress(b"".join(b"%d\n" % number for number in range(100_000)))
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"a\.gz, line \d+: the compressed file is cut short"):
        list(text_lines(tmp_path / "a.gz"))


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\n\xff\xfe\n")
    with pytest.raises(InputError, match="line 2 is not text"):
        list(text_lines(tmp_path / "a.txt"))
