"""Attacked queries and the images that they retrieve, before and after the attack."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reid.utils.errors import ArgumentError
from reid.utils.logs import write_whole
from reid.visualization.tiles import Tile, draw_tiles

HITS = 5
AMPLIFIED = 10
BEFORE = 3  # first column of the hits before the attack
AFTER = 3 + HITS  # and of those after it
TITLES = {
    0: "clean",
    1: f"change x{AMPLIFIED}",
    2: "attacked",
    BEFORE: "hits before",
    AFTER: "hits after",
}


class AttackedQuery(NamedTuple):
    """One row of the sheet.

    Attributes:
        clean: (3, H, W) uint8.
        attacked: (3, H, W) uint8.
        hits_before: First gallery images for the clean query, at most five, (3, H, W) uint8 each.
        hits_after: The same for the attacked query.
        right_before: Whether each of ``hits_before`` shows the query's identity.
        right_after: The same for ``hits_after``.
        caption: Text below the row.
    """

    clean: np.ndarray
    attacked: np.ndarray
    hits_before: Sequence[np.ndarray]
    hits_after: Sequence[np.ndarray]
    right_before: Sequence[bool]
    right_after: Sequence[bool]
    caption: str


def contact_sheet(rows: Sequence[AttackedQuery], path: Path) -> None:
    """Draws a sheet and writes it as PNG.

    Args:
        rows: The attacked queries; all images have one size.
        path: The file, which must end in .png.

    Raises:
        ArgumentError: There are no rows, the images differ in size, or the path is not .png.
    """
    if path.suffix.lower() != ".png":
        raise ArgumentError(
            "path", f"must end in .png, because JPEG destroys the perturbation, got {path}"
        )
    if not rows:
        raise ArgumentError("rows", "must hold at least one attacked query, got none")
    sizes = {i.shape for r in rows for i in (r.clean, r.attacked, *r.hits_before, *r.hits_after)}
    if len(sizes) != 1:
        raise ArgumentError("rows", f"must hold images of one size, got {sorted(sizes)}")
    tiles = [_tiles(row) for row in rows]
    captions = [row.caption for row in rows]
    sheet = draw_tiles(tiles, titles=TITLES, captions=captions, wider_before=(BEFORE, AFTER))
    write_whole(path, lambda file: sheet.save(file, "PNG"))


def amplified(row: AttackedQuery) -> np.ndarray:
    """Returns the perturbation times ``AMPLIFIED`` about mid-gray, (3, H, W) uint8."""
    change = row.attacked.astype(np.int32) - row.clean
    return np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)


def _tiles(row: AttackedQuery) -> list[Tile | None]:
    """Returns the pictures of a row; a column without a hit stays empty."""
    before = [_tile(i, r) for i, r in zip(row.hits_before, row.right_before, strict=True)]
    after = [_tile(i, r) for i, r in zip(row.hits_after, row.right_after, strict=True)]
    empty: list[Tile | None] = [None] * HITS
    shown = [_tile(image) for image in (row.clean, amplified(row), row.attacked)]
    return [*shown, *[*before, *empty][:HITS], *[*after, *empty][:HITS]]


def _tile(image: np.ndarray, right: bool | None = None) -> Tile:
    return Tile(image.transpose(1, 2, 0), right)
