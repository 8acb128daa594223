"""One self-contained page: the ledger first, then each system's figures and tables with their captions. No network, no script."""

import base64
import html
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markdown_it import MarkdownIt

from genovision.errors import InputError
from genovision.tables import read_table

ROWS_SHOWN = 60
VERDICTS = ("supported", "contradicted", "inconclusive", "not run")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@dataclass(frozen=True)
class Item:
    """A figure or a table as the page shows it: `body` is safe HTML, `caption` too."""

    title: str
    path: str
    body: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What the page shows of one system."""

    system: str
    introduction: str
    items: list[Item] = field(default_factory=list)


def markdown(text: str) -> str:
    """Markdown to HTML; raw HTML inside is shown as text."""
    return _MARKDOWN.render(text)


def figure(path: Path) -> str:
    """An image as a data address inside `<img>`, where an SVG can neither run scripts nor load anything."""
    kinds = {".svg": "image/svg+xml", ".png": "image/png"}
    if path.suffix not in kinds:
        raise InputError(f"{path}: the report shows .svg, .png, .tsv and .md files.")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(path.stem)}" src="data:{kinds[path.suffix]};base64,{data}">'


def cell(value) -> str:
    """A table cell for people: four significant digits, integers whole, nothing for a missing value."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, int | np.integer):
        return f"{value}"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return html.escape(str(value))


def table(frame: pd.DataFrame, path: str) -> str:
    """The first `ROWS_SHOWN` rows as an HTML table; where there are more, the line below says where they are."""
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    sides = ["number" if is_number else "text" for is_number in numeric]
    head = "".join(
        f'<th class="{side}">{html.escape(str(name))}</th>' for name, side in zip(frame.columns, sides, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(f'<td class="{side}">{cell(value)}</td>' for value, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in frame.head(ROWS_SHOWN).itertuples(index=False)
    ]
    more = f"<p class=more>{ROWS_SHOWN} of {len(frame)} rows; all in <code>{html.escape(path)}</code></p>"
    body = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    return body + (more if len(frame) > ROWS_SHOWN else "")


def item(title: str, path: str, caption: str) -> Item:
    """A figure (.svg, .png), a table (.tsv) or a text (.md) with its caption in Markdown."""
    suffix = Path(path).suffix
    if suffix == ".tsv":
        body = table(read_table(path), path)
    elif suffix == ".md":
        body = f'<div class="prose">{markdown(Path(path).read_text(encoding="utf-8"))}</div>'
    else:
        body = figure(Path(path))
    return Item(title, path, body, markdown(caption))


def ledger_rows(ledger: pd.DataFrame) -> list[dict]:
    """The ledger's rows as the template wants them: numbers as text, the comparison in one phrase."""
    words = {"greater": ">", "less": "<", "near": "≈"}
    rows = []
    for row in ledger.fillna({"note": "", "tables": "", "groups": ""}).to_dict("records"):
        row["comparison"] = f"{row['left']} {words[row['direction']]} {row['right']}"
        row["interval"] = (
            f"{row['estimate']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
            if row["estimate"] == row["estimate"]
            else "–"
        )
        rows.append(row)
    return rows


def page(
    template: str, ledger: pd.DataFrame, sections: list[Section], warnings: list[str], settings: dict[str, str]
) -> str:
    """The page as text, from a Jinja template (autoescaped) and what the run produced."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    counts = {verdict: int((ledger["verdict"] == verdict).sum()) for verdict in VERDICTS}
    return environment.from_string(template).render(
        rows=ledger_rows(ledger), counts=counts, sections=sections, warnings=warnings, settings=settings
    )
