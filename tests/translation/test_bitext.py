"""Readers of bitext: each published format on a miniature, and what they say to files that are not what they should be."""

import gettext
import io
import re
import zipfile

import polib
import pytest
from translation.software import PLONE, catalogue

from genovision.errors import InputError
from genovision.translation import bitext
from genovision.translation.bitext import Pair


def lines(text):
    return list(enumerate(text.split("\n"), 1))


def test_the_english_text_of_a_key_is_in_its_comment():
    pairs = bitext.read_po(catalogue(PLONE).encode(), "plone.po")
    assert pairs[0] == Pair("label_add_page", "Add page", "Seite hinzufügen")
    assert pairs[1].source == 'The "titles" are\nempty'
    assert pairs[2].source == ""  # an identifier is no English
    assert pairs[3].source == "Folder contents"
    assert "Not translated" not in [pair.key for pair in pairs]


def test_fuzzy_and_obsolete_entries_are_left_out_and_plural_forms_are_two_pairs():
    entries = [
        polib.POEntry(msgid="one", msgstr="eins", flags=["fuzzy"]),
        polib.POEntry(msgid="two", msgstr="zwei", obsolete=True),
        polib.POEntry(msgid="%d day", msgid_plural="%d days", msgstr_plural={0: "%d Tag", 1: "%d Tage"}),
        polib.POEntry(msgid="May", msgstr="Mai", msgctxt="month"),
    ]
    found = bitext.read_po(catalogue(entries).encode(), "x.po")
    assert found == [
        Pair("%d day", "%d day", "%d Tag"),
        Pair("%d day (plural)", "%d days", "%d Tage"),
        Pair("month|May", "May", "Mai"),
    ]


def test_a_compiled_catalogue_gives_what_the_standard_library_reads(tmp_path):
    entries = [
        ("Red", "Rot", ""),
        ("Andorra la Vella", "Andorra la Vella", ""),
        polib.POEntry(msgid="%d day", msgid_plural="%d days", msgstr_plural={0: "%d Tag", 1: "%d Tage"}),
    ]
    path = tmp_path / "x.mo"
    catalogue(entries, path)
    known = gettext.GNUTranslations(io.BytesIO(path.read_bytes()))
    found = {pair.source: pair.target for pair in bitext.read_mo(path.read_bytes(), "x.mo")}
    assert found == {"Red": "Rot", "Andorra la Vella": "Andorra la Vella", "%d day": "%d Tag", "%d days": "%d Tage"}
    assert all(known.gettext(source) == found[source] for source in ("Red", "Andorra la Vella"))
    assert known.ngettext("%d day", "%d days", 2) == found["%d days"]


@pytest.mark.parametrize("cut", [0, 3, 27, 60])
def test_a_damaged_compiled_catalogue_is_refused(tmp_path, cut):
    path = tmp_path / "x.mo"
    catalogue([("Red", "Rot", ""), ("Green", "Grün", "")], path)
    with pytest.raises(InputError, match=r"x.mo is no whole compiled gettext catalogue"):
        bitext.read_mo(path.read_bytes()[:cut], "x.mo")


def test_undecodable_bytes_are_told_with_their_line():
    data = catalogue([("Red", "Rot", ""), ("Green", "Grün", "")]).encode()
    spoilt = data.replace("ü".encode(), b"\xfc")
    line = spoilt[: spoilt.index(b"\xfc")].count(b"\n") + 1
    with pytest.raises(InputError, match=f"x.po, line {line}: byte 0xfc is no utf-8"):
        bitext.read_po(spoilt, "x.po")
    # the same bytes are right where the header declares them
    latin = spoilt.replace(b"charset=utf-8", b"charset=iso-8859-1")
    assert bitext.read_po(latin, "x.po")[1].target == "Grün"
    with pytest.raises(InputError, match="line 2: byte 0xff is no UTF-8"):
        list(bitext.text_lines([(1, b"good\n"), (2, b"bad \xff\n")], "train.de"))


def test_a_text_is_never_taken_for_the_path_of_a_file(tmp_path):
    inside = tmp_path / "secret.po"
    inside.write_text(catalogue([("a b", "c d", "")]))
    with pytest.raises(InputError):
        bitext.read_po(str(inside).encode(), "x.po")


def test_nested_messages_are_joined_by_key_path():
    english = bitext.read_messages(b'{"ui": {"a": "A", "b": {"c": "C"}, "n": 3}, "top": "T"}', "en.json")
    assert english == {"ui.a": "A", "ui.b.c": "C", "top": "T"}
    british = {"ui.a": "British A", "ui.d": "D"}
    german = {"ui.a": "Ä", "ui.b.c": "Z", "ui.d": "D", "ui.x": "X"}
    assert bitext.joined([english, british], german) == [
        Pair("ui.a", "A", "Ä"),
        Pair("ui.b.c", "C", "Z"),
        Pair("ui.d", "D", "D"),
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"a": "b",\n "c" "d"}', "x.json, line 2: this is no JSON"),
        (b"[1, 2]", "x.json holds no JSON object"),
        (b'{"a":' * 100_000, "x.json is nested too deep|x.json, line 1: this is no JSON"),
        (b'{"a": "\xff"}', "x.json, line 1: byte 0xff"),
    ],
)
def test_json_that_is_none_is_refused(data, sentence):
    with pytest.raises(InputError, match=sentence):
        bitext.read_messages(data, "x.json")


def test_an_unknown_language_lists_those_there_are():
    streams = [(f"pkg/{name}-0.json", io.BytesIO(name.encode())) for name in ("de", "en", "fr", "notes")]
    pattern = re.compile(r"/(?P<language>[a-z]{2})-0\.json$")
    assert bitext.gather(streams, pattern, ["fr"], "x.whl") == {"fr": [("pkg/fr-0.json", b"fr")]}
    with pytest.raises(InputError, match=r"x.whl has no language xx; it has de, en, fr\."):
        bitext.gather(streams, pattern, ["de", "xx"], "x.whl")


def test_parallel_text_is_read_line_by_line_and_by_line_feeds_alone():
    source = "one\u2028still one\ntwo\x85two\nthree"  # separators that str.splitlines would break a line at
    raw = [(number, f"{line}\n".encode()) for number, line in lines(source)]
    read = bitext.text_lines(raw, "a")
    pairs = bitext.read_parallel(read, lines("eins\nzwei\ndrei"), ("a", "b"))
    assert [pair.target for pair in pairs] == ["eins", "zwei", "drei"]
    assert pairs[0] == Pair("1", "one\u2028still one", "eins")


def test_kftt_and_khresmoi_are_plain_parallel_text():
    japanese = "特定の条件下では\n日本国 （ 京都 ）"  # KFTT keeps ideographic spaces and brackets
    assert bitext.read_parallel(lines(japanese), None, ("kyoto-test.ja", "-")) == [
        Pair("1", "特定の条件下では", ""),
        Pair("2", "日本国 （ 京都 ）", ""),
    ]
    english, german = (
        "Diabetes mellitus type 2.\nHow is it treated?",
        "Diabetes mellitus Typ 2.\nWie wird er behandelt?",
    )
    pairs = bitext.read_parallel(lines(english), lines(german), ("khresmoi.en", "khresmoi.de"))
    assert pairs[1] == Pair("2", "How is it treated?", "Wie wird er behandelt?")


def test_unequal_lengths_are_told_with_both_counts():
    with pytest.raises(InputError, match=r"a.en has 3 lines, a.de 2; a parallel text needs equally many"):
        bitext.read_parallel(lines("a\nb\nc"), lines("a\nb"), ("a.en", "a.de"))
    with pytest.raises(InputError, match=r"a.en has 1 lines, a.de 3"):
        bitext.read_parallel(lines("a"), lines("a\nb\nc"), ("a.en", "a.de"))


@pytest.mark.parametrize(
    ("source", "target", "reason", "sentence"),
    [
        ("a\nb", "a\n  ", "empty side", "a.de, line 2: this side of the pair is empty"),
        ("\nb", "a\nb", "empty side", "a.en, line 1: this side of the pair is empty"),
        ("a\n" + "b" * 11, "a\nb", "line over the limit", "a.en, line 2: 11 characters, 10 are allowed"),
    ],
)
def test_an_empty_side_and_a_line_over_the_limit_are_errors_unless_they_may_be_left_out(
    source, target, reason, sentence
):
    with pytest.raises(InputError, match=sentence):
        bitext.read_parallel(lines(source), lines(target), ("a.en", "a.de"), 10)
    left_out = []
    kept = bitext.read_parallel(lines(source), lines(target), ("a.en", "a.de"), 10, left_out)
    assert [why for why, _ in left_out] == [reason]
    assert len(kept) == 1


def test_mtnt_is_a_table_with_a_number_before_the_sides():
    rows = "0\tlol what's up\tmdr quoi de neuf\n1\tu ok?\tça va ?"
    assert bitext.read_columns(lines(rows), "test.en-fr.tsv")[1] == Pair("2", "u ok?", "ça va ?")
    assert bitext.read_columns(lines("a b\tc d"), "x.tsv") == [Pair("1", "a b", "c d")]
    with pytest.raises(InputError, match=r"x.tsv, line 2: one column"):
        bitext.read_columns(lines("a\tb\nc"), "x.tsv")
    with pytest.raises(InputError, match=r"x.tsv, line 1: this side of the pair is empty"):
        bitext.read_columns(lines("a\t"), "x.tsv")


SGML = """<srcset setid="newstest2014" srclang="any">
<doc sysid="ref" docid="guardian.181611" genre="news" origlang="en">
<p>
<seg id="1">Black & white boxes &quot;at&quot; A&amp;E</seg>
<seg id="2">As  reported
by one &lt;tag&gt;</seg>
</p>
</doc>
<DOC docid='dw.1'><hl><seg id=1>Third</seg></hl></DOC>
</srcset>
"""


def test_sgml_is_joined_by_document_and_segment():
    # the reference set has its documents in another order
    first, second = SGML.replace("srcset", "refset").split("<DOC docid")
    reference = "<refset><DOC docid" + second.replace("</refset>", "").replace("</srcset>", "") + first + "</refset>"
    reference = reference.replace("Third", "Drittes").replace("As  reported", "Wie berichtet")
    pairs = bitext.read_sgml(SGML.encode(), reference.encode(), ("src.sgm", "ref.sgm"))
    assert pairs[0] == Pair("guardian.181611/1", 'Black & white boxes "at" A&E', 'Black & white boxes "at" A&E')
    assert pairs[1].source == "As reported by one <tag>"
    assert pairs[1].target == "Wie berichtet by one <tag>"
    assert pairs[2] == Pair("dw.1/1", "Third", "Drittes")


def test_sgml_gives_the_segments_that_sacrebleu_reads(tmp_path):
    from sacrebleu.dataset.fake_sgml import FakeSGMLDataset

    raw, plain = tmp_path / "a.sgm", tmp_path / "a.txt"
    raw.write_text(
        '<refset setid="x">\n<doc docid="x">\n<seg id="1">One & two</seg>\n<seg id="2"> Three  four </seg>\n</doc>\n'
        '<doc docid="y">\n<seg id="1">Fünf</seg>\n</doc>\n</refset>\n'
    )
    FakeSGMLDataset._convert_format(FakeSGMLDataset, str(raw), str(plain))
    found = [text for _, text in bitext.read_segments(raw.read_bytes(), "a.sgm").values()]
    assert found == plain.read_text().splitlines()


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><seg id="1">&e;</seg>', None, "declares entities"),
        ("no segment", None, "a.sgm holds no segment"),
        ('<doc docid="x"><seg id="1">a</seg></doc>', '<doc docid="x"><seg id="1">a</seg><seg id="2">b</seg></doc>',
         "a.sgm has 1 segments, b.sgm 2, and segment x/2 is in one of them only"),
        ('<doc docid="x">\n<seg id="1"> </seg></doc>', '<doc docid="x"><seg id="1">a</seg></doc>', "a.sgm, line 2: .* empty"),
    ],
)  # fmt: skip
def test_sgml_that_does_not_fit_is_refused(source, target, sentence):
    with pytest.raises(InputError, match=sentence):
        bitext.read_sgml(source.encode(), target and target.encode(), ("a.sgm", "b.sgm"))


def test_a_catalogue_in_a_wheel_is_read_where_it_lies(tmp_path):
    from genovision.promoters.archives import members

    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("pkg/locale/de/LC_MESSAGES/x.po", catalogue(PLONE))
    streams = members(tmp_path / "x.whl", "*/locale/*/LC_MESSAGES/*.po")
    found = bitext.gather(streams, re.compile(r"/locale/(?P<language>[^/]+)/"), ["de"], "x.whl")
    assert len(bitext.read_po(found["de"][0][1], "x.po")) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["x.whl"]
