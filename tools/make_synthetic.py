"""Draws a synthetic data set: ``python tools/make_synthetic.py --preset quick --root datasets``."""

import argparse
import json
import time
from pathlib import Path

from PIL import Image

from reid.synthetic import PRESETS, contact_sheet, ensure_synthetic
from reid.utils.cli import run
from reid.utils.errors import InputError

LIMIT = 200_000  # bytes of a contact sheet; a larger one takes longer to load than to look at


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="quick", help=f"one of {', '.join(sorted(PRESETS))}")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other people")
    parser.add_argument("--root", type=Path, default=Path("datasets"), help="where the folder goes")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 is one for each core")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet to this PNG file")
    parser.add_argument("--sheet-ids", type=int, default=5, help="rows of the contact sheet")
    parser.add_argument("--sheet-images", type=int, default=12, help="columns of the contact sheet")
    return parser.parse_args()


def write_sheet(folder: Path, path: Path, num_ids: int, per_id: int) -> None:
    """Writes the contact sheet as PNG with as many colours as LIMIT allows."""
    if path.suffix.lower() != ".png":
        raise InputError(f"--sheet must name a .png file, got '{path}'")
    sheet = contact_sheet(folder, num_ids, per_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    for colours in (256, 128, 96, 64, 48, 32, 16):
        # Coverage first, so that a rare bright coat keeps its colour; then two rounds of k-means.
        small = sheet.quantize(colours, Image.Quantize.MAXCOVERAGE, 2, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        if path.stat().st_size < LIMIT:
            break
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {colours} colours")


def main() -> None:
    """Makes the folder, or finds it, and says what is in it."""
    args = parse_args()
    start = time.perf_counter()
    folder = ensure_synthetic(args.root, args.preset, args.seed, args.workers)
    seconds = time.perf_counter() - start
    print(f"{folder}: {seconds:.1f} s")
    for name, count in json.loads((folder / "manifest.json").read_text())["counts"].items():
        print(f"{name:>20} {count:6d} images")
    if args.sheet:
        write_sheet(folder, args.sheet, args.sheet_ids, args.sheet_images)


if __name__ == "__main__":
    run(main)
