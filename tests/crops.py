"""Small pictures on the disk, for data sets of one's own."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (8, 16)) -> Path:
    """A picture of noise, with the folders above it; no two seeds give the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def pictures(root: Path, names: Iterable[str]) -> Path:
    """A picture for each name; returns the folder."""
    for seed, name in enumerate(names):
        picture(root / name, seed)
    return root


def table(file: Path, rows: Sequence[Sequence[str]], delimiter: str = ",") -> Path:
    """A CSV file of these rows."""
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, delimiter=delimiter).writerows(rows)
    return file
