"""Write the report: one HTML page with the ledger, figures, tables and captions inside."""

import argparse
from pathlib import Path

from genovision.atomic import replacing
from genovision.claims.report import Section, item, markdown, page
from genovision.claims.warnings import read_warnings
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ledger", type=Path, required=True, help="the claims ledger (TSV)")
    options.add_argument(
        "--item", nargs=4, action="append", default=[], metavar=("SYSTEM", "TITLE", "PATH", "CAPTION"),
        help="a figure or table of a system; CAPTION is the name of a Markdown file in the texts folder",
    )  # fmt: skip
    options.add_argument("--warnings", nargs=2, action="append", default=[], metavar=("SYSTEM", "TABLE"))
    options.add_argument("--setting", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options.add_argument(
        "--texts", type=Path, required=True, help="folder with report.html.j2, <system>.md and <caption>.md"
    )
    options.add_argument("--out", type=Path, required=True, help="the page (HTML)")
    return options


def main(args: argparse.Namespace) -> None:
    def text(name: str) -> str:
        return (args.texts / name).read_text(encoding="utf-8")

    sections: dict[str, Section] = {}
    for system, title, path, caption in args.item:
        section = sections.setdefault(system, Section(system, markdown(text(f"{system}.md"))))
        section.items.append(item(title, path, text(f"{caption}.md")))
    warnings = [
        f"{system}, {group}: {sentence}"
        for system, told in read_warnings(args.warnings).items()
        for group, sentence in told.items()
    ]
    with replacing(args.out) as temporary:
        ledger = read_table(args.ledger)
        content = page(text("report.html.j2"), ledger, list(sections.values()), warnings, dict(args.setting))
        temporary.write_text(content, encoding="utf-8")
