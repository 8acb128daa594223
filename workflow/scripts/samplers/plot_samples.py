"""Draw images of chosen samplers from the same noises at every NFE, and the loss curve of the network that made them."""

import argparse

import numpy as np

from genovision.arrays import read_arrays
from genovision.figures import save, style
from genovision.samplers import figures
from genovision.tables import read_table

SHOWN = ("ddim", "deis-tab3", "deis-sn-tab3", "best-peer", "best-ours")
IMAGES = 4  # of the first seed


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--samples", required=True, metavar="NPZ", help="of samplers/sample_denoiser")
    p.add_argument("--curve", required=True, metavar="TSV", help="of samplers/train_denoiser")
    p.add_argument("--name", required=True, help="of the network, for the title")
    p.add_argument("--out", required=True, nargs=2, metavar="SVG", help="samples, loss curve")
    return p


def main(args: argparse.Namespace) -> None:
    arrays = ["images", "present", "reference", "samplers", "nfe", "pictured", "pictured_present", "pictured_nfe"]
    found = read_arrays(args.samples, arrays)
    names = [str(name) for name in found["samplers"]]
    shown = [name for name in SHOWN if name in names]
    rows, numbers = [names.index(name) for name in shown], [int(nfe) for nfe in found["nfe"]]
    images, present = found["images"][rows, :, 0, :IMAGES], found["present"][rows, :, 0]
    if found["pictured_nfe"]:
        images = np.concatenate([images, found["pictured"][rows, None, :IMAGES]], axis=1)
        present = np.concatenate([present, found["pictured_present"][rows, None]], axis=1)
        numbers.append(int(found["pictured_nfe"]))
    curve = read_table(args.curve, ["step", "loss", "held_out"])
    with style():
        save(figures.sample_grid(images, present, found["reference"][0, :IMAGES], shown, numbers), args.out[0])
        save(figures.training(curve, args.name), args.out[1])
