"""Draws pictures of one size in rows and columns; all sheets are drawn with it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from reid.utils.errors import ArgumentError

FRAME = 3  # pixels
TITLE_HEIGHT = 18  # pixels
CAPTION_HEIGHT = 14  # pixels
LINE_HEIGHT = 11  # pixels of a text below one picture
RIGHT = (0, 140, 70)
WRONG = (200, 40, 30)
TEXT = (30, 30, 30)
BACKGROUND = (255, 255, 255)
CROSS = 12  # pixels; the cross marks a wrong hit for readers who do not see the colour


class Tile(NamedTuple):
    """One picture.

    Attributes:
        image: (H, W, 3) uint8.
        right: True draws a green frame, False a red frame and a cross in a corner, None no frame.
        lines: Short texts below the picture.
    """

    image: np.ndarray
    right: bool | None = None
    lines: tuple[str, ...] = ()


def draw_tiles(
    rows: Sequence[Sequence[Tile | None]],
    gap: int = 6,
    titles: Mapping[int, str] | None = None,
    captions: Sequence[str] = (),
    wider_before: Collection[int] = (),
) -> Image.Image:
    """Draws pictures in rows; rows may differ in length.

    Args:
        rows: Pictures of one size; None leaves an empty space.
        gap: Pixels between two pictures.
        titles: Column -> text above it.
        captions: A text below each row; an empty sequence draws none.
        wider_before: Columns before which the gap is three times as wide.

    Raises:
        ArgumentError: There is no picture, or pictures differ in size.
    """
    shapes = {tile.image.shape for row in rows for tile in row if tile is not None}
    if len(shapes) != 1:
        raise ArgumentError("rows", f"must hold pictures of one size, got {sorted(shapes)}")
    height, width, _ = shapes.pop()
    framed = any(tile is not None and tile.right is not None for row in rows for tile in row)
    frame = FRAME if framed else 0
    columns = max(map(len, rows))
    lefts = _lefts(columns, width + 2 * frame, gap, wider_before)
    title_height = TITLE_HEIGHT if titles else 0
    lines = max(len(tile.lines) for row in rows for tile in row if tile is not None)
    below = height + 2 * frame + LINE_HEIGHT * lines
    step = below + gap + (CAPTION_HEIGHT if captions else 0)
    size = (lefts[-1] + width + 2 * frame, title_height + step * len(rows) - gap)
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for column, title in (titles or {}).items():
        pen.text((lefts[column], 2), title, fill=TEXT)
    for number, row in enumerate(rows):
        top = title_height + step * number
        for left, tile in zip(lefts, row, strict=False):
            if tile is not None:
                _draw(sheet, pen, tile, left, top, frame)
        if captions:
            pen.text((lefts[0], top + below), captions[number], fill=TEXT)
    return sheet


def _lefts(columns: int, step: int, gap: int, wider_before: Collection[int]) -> list[int]:
    """Returns the left edge of each column."""
    lefts = []
    left = 0
    for column in range(columns):
        left += 2 * gap if column in wider_before else 0
        lefts.append(left)
        left += step + gap
    return lefts


def _draw(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int, frame: int
) -> None:
    """Draws one picture, and its frame if it has one."""
    height, width, _ = tile.image.shape
    x = left + frame
    y = top + frame
    if tile.right is not None:
        box = (left, top, x + width + frame - 1, y + height + frame - 1)
        pen.rectangle(box, outline=RIGHT if tile.right else WRONG, width=frame)
    sheet.paste(Image.fromarray(np.ascontiguousarray(tile.image)), (x, y))
    if tile.right is False:
        pen.line((x, y, x + CROSS, y + CROSS), WRONG, 2)
        pen.line((x, y + CROSS, x + CROSS, y), WRONG, 2)
    for number, text in enumerate(tile.lines):
        pen.text((left, y + height + frame + LINE_HEIGHT * number), text, fill=TEXT)
