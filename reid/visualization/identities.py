"""An overview of a data set: a row of pictures for each identity."""

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from reid.utils.errors import InputError
from reid.visualization.tiles import Tile, draw_tiles

GAP = 2


def identity_sheet(folder: Path, num_ids: int, per_id: int) -> Image.Image:
    """Returns a grid with one row per test identity; neighbouring images show different cameras.

    Args:
        folder: A folder in Market-1501's layout, with images of one size.
        num_ids: Number of identities, one row each; those with the most cameras come first.
        per_id: Number of images of each, the columns.

    Raises:
        InputError: The folder holds no images of identities.
    """
    rows = _rows(Path(folder), per_id)[:num_ids]
    if not rows:
        raise InputError(f"'{folder}' holds no images of identities in query and bounding_box_test")
    return draw_tiles([[_read(path) for path in row] for row in rows], gap=GAP)


def _read(path: Path) -> Tile:
    with Image.open(path, formats=("JPEG",)) as image:
        return Tile(np.asarray(image.convert("RGB")))


def _rows(folder: Path, per_id: int) -> list[list[Path]]:
    """Returns up to ``per_id`` paths of each identity, all cameras once before one comes twice."""
    files = [
        p
        for split in ("query", "bounding_box_test")
        for p in sorted((folder / split).glob("*.jpg"))
        if p.is_file()
    ]
    people = sorted((p for p in files if p.name[:4].isdigit() and p.name[:4] != "0000"), key=_pid)
    rows = [_by_turns(list(group))[:per_id] for _, group in itertools.groupby(people, key=_pid)]
    return sorted(rows, key=lambda row: -len({_cam(p) for p in row}))


def _pid(path: Path) -> str:
    return path.name.split("_")[0]


def _cam(path: Path) -> str:
    return path.name.split("_")[1][:2]


def _by_turns(paths: list[Path]) -> list[Path]:
    """Orders paths so that cameras alternate."""
    ordered = sorted(paths, key=_cam)
    turns = [list(group) for _, group in itertools.groupby(ordered, key=_cam)]
    return [p for turn in itertools.zip_longest(*turns) for p in turn if p is not None]
