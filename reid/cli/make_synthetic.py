"""Draws a synthetic data set.

reid make-synthetic --preset quick --root datasets
"""

import argparse
import json
import time
from pathlib import Path

from reid.cli._arguments import option_errors, path
from reid.utils.errors import InputError

HELP = "draw a synthetic data set"
LIMIT = 200_000  # bytes of a contact sheet; a larger one takes longer to load than to look at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--preset", default="quick", help="tiny, quick or market-scale")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other people")
    parser.add_argument("--root", type=path, default=Path("datasets"), help="where the folder goes")
    parser.add_argument("--colors", default="wide", help="wide, or narrow: as in earlier versions")
    parser.add_argument("--test-cameras", default="same", help="same as in training, or other")
    parser.add_argument("--masks", action="store_true", help="also write each person's mask as PNG")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 is one for each core")
    parser.add_argument("--sheet", type=path, help="also write a contact sheet to this PNG file")
    parser.add_argument("--sheet-ids", type=int, default=5, help="rows of the contact sheet")
    parser.add_argument("--sheet-images", type=int, default=12, help="columns of the contact sheet")


def run(args: argparse.Namespace) -> None:
    """Makes the folder, or finds it, and says what is in it."""
    from reid.synthetic import Style, ensure_synthetic, write_masks

    start = time.perf_counter()
    with option_errors():
        style = Style(args.colors, args.test_cameras)
        folder = ensure_synthetic(args.root, args.preset, args.seed, args.workers, style)
    seconds = time.perf_counter() - start
    print(f"{folder}: {seconds:.1f} s")
    for name, count in json.loads((folder / "manifest.json").read_text())["counts"].items():
        print(f"{name:>20} {count:6d} images")
    if args.masks:
        print(f"masks: {write_masks(folder, args.workers)}")
    if args.sheet:
        _write_sheet(folder, args.sheet, args.sheet_ids, args.sheet_images)


def _write_sheet(folder: Path, file: Path, num_ids: int, per_id: int) -> None:
    """Writes the contact sheet as PNG with as many colors as LIMIT allows."""
    from PIL import Image

    from reid.visualization.identities import identity_sheet

    if file.suffix.lower() != ".png":
        raise InputError(f"--sheet must name a .png file, got '{file}'")
    sheet = identity_sheet(folder, num_ids, per_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    for colors in (256, 128, 96, 64, 48, 32, 16):
        # Coverage first, so that a rare bright coat keeps its color; then two rounds of k-means.
        small = sheet.quantize(colors, Image.Quantize.MAXCOVERAGE, 2, dither=Image.Dither.NONE)
        small.save(file, optimize=True)
        if file.stat().st_size < LIMIT:
            break
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB, {colors} colors")
