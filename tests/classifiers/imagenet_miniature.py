"""Small image sets in the layouts in which their owners give them away, and the commands run in this process."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
from checkouts import ROOT
from PIL import Image, TiffImagePlugin

from genovision.classifiers.imagenet_sets import read_image_sets

TABLE = ROOT / "resources" / "imagenet.tsv"
WNIDS = ("n01440764", "n01443537", "n01484850")


def run_command(*options) -> int:
    """What `python workflow <options>` exits with."""
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "workflow" / "__main__.py")
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    return launcher.run([str(option) for option in options])


def picture(seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    """A smooth random picture of (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)


def save(folder: Path, name: str, image: Image.Image, **options) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    image.save(folder / name, **options)


def small(name: str, **changes):
    """A row of the table of image sets, with the three class folders of the miniature where it has class folders."""
    row = read_image_sets(TABLE)[name]
    return replace(row, **{"classes": 3 if row.classes else None, **changes})


def write_miniatures(root: Path) -> Path:
    """Every set of resources/imagenet.tsv but the photographs, a few images each, below one folder. Returns the folder."""
    k = 0
    for split in (
        "ILSVRC2012/train",
        "ILSVRC2012/val",
        "imagenet-bench/train/imagenet200",
        "imagenet-bench/test/imagenet200/labels",
    ):
        for wnid in WNIDS:
            for image in range(2):
                k += 1
                save(root, f"{split}/{wnid}/{wnid}_{image}.JPEG", picture(k), format="JPEG")
    # ImageNet has a PNG named .JPEG, CMYK and grey files
    save(root, f"ILSVRC2012/val/{WNIDS[0]}/png_inside.JPEG", picture(90), format="PNG")
    save(root, f"ILSVRC2012/val/{WNIDS[1]}/cmyk.JPEG", picture(91, mode="CMYK"), format="JPEG")
    save(root, f"ILSVRC2012/val/{WNIDS[2]}/grey.JPEG", picture(92, mode="L"), format="JPEG")
    lines = [f"val/{wnid}/{wnid}_{k}.JPEG {label}" for label, wnid in enumerate(WNIDS) for k in range(2)]
    write_text(root / "vim/datalists/imagenet2012_val_list.txt", lines)

    for folder in ("near-imagenet200", "caltech256"):
        save(root, f"imagenet-bench/test/{folder}/labels/001.ak47/001_0001.jpg", picture(10))
        save(root, f"imagenet-bench/test/{folder}/labels/002.flag/002_0001.jpg", picture(11))
    for k in range(3):
        save(root, f"openimages/test/{k:016x}.jpg", picture(20 + k))
        save(root, f"dtd/images/banded/banded_{k:04d}.jpg", picture(30 + k))
        save(root, f"iNaturalist/images/{k:032x}.jpg", picture(40 + k))
        save(root, f"imagenet-o/{WNIDS[k]}/{k:08d}.JPEG", picture(50 + k), format="JPEG")
        save(root, f"colonoscopy/images/adenoma_01_NBI_{k}.jpg", picture(60 + k, (64, 48)))
        save(root, f"noise/img_{k}.jpg", picture(70 + k, (256, 256)))
        tile = "10009_CRC-Prim-HE-03_009.tif_Row_301_Col_15"
        save(root, f"Kather_texture_2016_image_tiles_5000/0{k + 1}_TUMOR/{tile}{k}.tif", picture(80 + k, (150, 150)))
        geotiff(root / f"spacenet/AOI_1_Rio/3band/3band_AOI_1_RIO_img{k}.tif", 85 + k)
    write_text(root / "openimages/openimage_o.txt", [f"{k:016x}.jpg" for k in (2, 0)])
    write_text(root / "dtd/textures_datalist.txt", [f"banded/banded_{k:04d}.jpg" for k in (0, 2)])

    lists = root / "benchmark_imglist"
    for split, numbers in (("train", (1,)), ("val", (2,)), ("test", (3, 4))):
        names = [f"imagenet_1k/val/ILSVRC2012_val_{k:08d}.JPEG" for k in numbers]
        for name in names:
            save(root, f"images_largescale/{name}", picture(100), format="JPEG")
        write_text(lists / f"imagenet/{split}_imagenet.txt", [f"{name} {65 + k}" for k, name in enumerate(names)])
        write_text(lists / f"imagenet200/{split}_imagenet200.txt", [f"{name} {k}" for k, name in enumerate(names)])
    for which, place, name in (
        ("test_ssb_hard", "images_largescale", "ssb_hard/n00470682/n00470682_1.JPEG"),
        ("test_ninco", "images_largescale", "ninco/amphiuma_means/amphiuma_means_000_10045958.jpeg"),
        ("test_inaturalist", "images_largescale", "inaturalist/images/0a1b.jpg"),
        ("test_openimage_o", "images_largescale", "openimage_o/images/00f1.jpg"),
        ("val_openimage_o", "images_largescale", "openimage_o/images/00f2.jpg"),
        ("test_textures", "images_classic", "texture/banded/banded_0002.jpg"),
    ):
        save(root, f"{place}/{name}", picture(110), format="JPEG")
        write_text(lists / f"imagenet/{which}.txt", [f"{name} -1"])
    return root


def geotiff(path: Path, seed: int) -> None:
    """Three bands of 8 bits with GeoTIFF's tags, as SpaceNet 1 gives them (438 x 406 there)."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33550] = (4.5e-6, 4.5e-6, 0.0)  # ModelPixelScale
    tags[33922] = (0.0, 0.0, 0.0, -43.6, -22.9, 0.0)  # ModelTiepoint
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, (44, 41)).save(path, tiffinfo=tags)


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
