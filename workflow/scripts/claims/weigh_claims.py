"""Weigh the papers' claims against the evidence tables of this run and write the ledger."""

import argparse
from pathlib import Path

import yaml

from genovision.claims.ledger import check_evidence, read_claim, weigh
from genovision.claims.warnings import read_warnings
from genovision.tables import read_table, write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--claims", type=Path, required=True, help="the claims (YAML list)")
    options.add_argument("--evidence", nargs="*", default=[], help="evidence tables (TSV or Parquet)")
    options.add_argument("--warnings", nargs=2, action="append", default=[], metavar=("SYSTEM", "TABLE"))
    options.add_argument("--scale", required=True, metavar="NAME", help="of the run, as the configuration has it")
    options.add_argument("--out", type=Path, required=True, help="the ledger (TSV)")
    return options


def main(args: argparse.Namespace) -> None:
    claims = [read_claim(entry) for entry in yaml.safe_load(args.claims.read_text(encoding="utf-8"))]
    evidence = {path: check_evidence(read_table(path), path) for path in args.evidence}
    write_table(weigh(claims, evidence, read_warnings(args.warnings), args.scale), args.out)
