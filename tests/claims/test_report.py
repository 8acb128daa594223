"""The page stands alone, shows the ledger first, and nothing in a table or an image can run."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genovision.claims.ledger import LEDGER
from genovision.claims.report import ROWS_SHOWN, Section, cell, figure, item, markdown, page, table
from genovision.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "workflow" / "report" / "report.html.j2").read_text()


def ledger():
    row = dict.fromkeys(LEDGER, "") | {
        "id": 1,
        "system": "s",
        "claim": "x < y & <b>z</b>",
        "direction": "less",
        "verdict": "supported",
    }
    row |= {"minimum_effect": 0.5}
    other = row | {"id": 2, "verdict": "not run", "estimate": np.nan, "low": np.nan, "high": np.nan}
    return pd.DataFrame([row | {"estimate": 0.5, "low": 0.25, "high": 0.75}, other])


def rendered(tmp_path):
    (tmp_path / "f.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    (tmp_path / "t.tsv").write_text("name\tvalue\n<script>alert(2)</script>\t0.123456\n")
    items = [
        item("Figure", str(tmp_path / "f.svg"), "a *caption*"),
        item("Table", str(tmp_path / "t.tsv"), "<script>alert(3)</script>"),
    ]
    return page(TEMPLATE, ledger(), [Section("s", markdown("intro"), items)], ["look <out>"], {"scale": "desk"})


def test_the_ledger_stands_first_and_everything_is_there(tmp_path):
    text = rendered(tmp_path)
    assert text.index('id="ledger"') < text.index('id="s"')
    assert "0.5 [0.25, 0.75]" in text
    assert "supported: 1" in text
    assert "not run: 1" in text
    assert "<em>caption</em>" in text
    assert "0.1235" in text
    assert "look &lt;out&gt;" in text


def test_nothing_runs_and_nothing_is_fetched(tmp_path):
    text = rendered(tmp_path)
    assert "<script" not in text
    assert "x &lt; y &amp; &lt;b&gt;" in text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert addresses
    assert all(address.startswith(("#", "data:image/")) for address in addresses)
    assert not re.search(r"url\(|@import|<link", text)


def test_long_tables_say_where_the_rest_is():
    frame = pd.DataFrame({"x": range(ROWS_SHOWN + 5)})
    assert f"{ROWS_SHOWN} of {ROWS_SHOWN + 5} rows" in table(frame, "results/x.tsv")
    assert "rows; all in" not in table(frame.head(ROWS_SHOWN), "results/x.tsv")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (0.000123456, "0.0001235"), (np.float64(np.nan), ""), (np.int64(7), "7"), ("a<b", "a&lt;b")],
)
def test_cells(value, shown):
    assert cell(value) == shown


def test_an_unknown_kind_of_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"x.pdf: the report shows"):
        figure(tmp_path / "x.pdf")
