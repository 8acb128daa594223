"""Draw error, distance and ratio to the best peer against NFE, and mean |eps| and mean |score| over time."""

import argparse

from genovision.arrays import read_arrays
from genovision.figures import save, style
from genovision.samplers import figures
from genovision.samplers.tables import FLOOR
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--table", required=True, metavar="TSV", help="of samplers/join_samplers")
    p.add_argument("--reference", required=True, metavar="TSV", help="of samplers/join_samplers")
    p.add_argument(
        "--trace",
        required=True,
        action="append",
        nargs=2,
        metavar=("NAME", "NPZ"),
        help="of samplers/collect_normalizer",
    )
    p.add_argument("--error", required=True, metavar="SVG")
    p.add_argument("--ratio", required=True, metavar="SVG")
    p.add_argument("--noise", required=True, metavar="SVG")
    p.add_argument("--frechet", metavar="SVG", help="where images were described")
    return p


def main(args: argparse.Namespace) -> None:
    table = read_table(args.table, ["denoiser", "sampler", "nfe", "rmse", "rmse_low", "rmse_high", "ratio"])
    tables = {str(name): rows for name, rows in table.groupby("denoiser", sort=False)}
    curves = {name: read_arrays(path, ["times", "mean_abs_eps", "mean_abs_score"]) for name, path in args.trace}
    with style():
        save(figures.by_nfe(tables, "rmse", "RMSE to the solution"), args.error)
        save(figures.ratios(tables), args.ratio)
        save(figures.noise_over_time(curves), args.noise)
        if args.frechet:
            rows = read_table(args.reference, ["denoiser", "sampler", "frechet"])
            floors = rows[rows["sampler"] == FLOOR].set_index("denoiser")["frechet"].to_dict()
            save(figures.by_nfe(tables, "frechet", "Frechet distance to real images", floors), args.frechet)
