"""Attacked queries beside what they retrieve, before and after."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from reid.utils.errors import InputError
from reid.utils.logs import write_whole

GAP, FRAME, TOP, CAPTION = 6, 3, 18, 14  # pixels
RIGHT, WRONG, INK, PAPER = (0, 140, 70), (200, 40, 30), (30, 30, 30), (255, 255, 255)
HITS, AMPLIFIED = 5, 10
TITLES = ("clean", f"change x{AMPLIFIED}", "attacked", "hits before", "hits after")


class AttackedQuery(NamedTuple):
    """One row of the sheet.

    Attributes:
        clean: (3, H, W) uint8.
        attacked: (3, H, W) uint8.
        hits_before: First gallery images for the clean query, at most five, (3, H, W) uint8 each.
        hits_after: The same for the attacked query.
        right_before: Whether each of ``hits_before`` shows the query's identity.
        right_after: The same of ``hits_after``.
        caption: Below the row.
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

    A right hit has a solid green frame, a wrong one a red frame that is crossed out at the corner.

    Raises:
        InputError: No rows, images of different sizes, or a path that is not .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(
            f"{path}: a contact sheet is written as .png; JPEG destroys the perturbation it shows"
        )
    if not rows:
        raise InputError("a contact sheet needs at least one attacked query")
    shapes = {image.shape for row in rows for image in _images(row)}
    if len(shapes) != 1:
        raise InputError(f"images of a contact sheet have one size, got {sorted(shapes)}")
    (_, height, width) = shapes.pop()
    lefts = [*_lefts(width)]
    step = height + 2 * FRAME + CAPTION + GAP
    sheet = Image.new("RGB", (lefts[-1] + width + FRAME + GAP, TOP + step * len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for title, place in zip(TITLES, (0, 1, 2, 3, 3 + HITS), strict=True):
        pen.text((lefts[place], 2), title, fill=INK)
    for number, row in enumerate(rows):
        top = TOP + FRAME + step * number
        for left, image in zip(lefts, (row.clean, amplified(row), row.attacked), strict=False):
            sheet.paste(_picture(image), (left, top))
        hits = ((row.hits_before, row.right_before), (row.hits_after, row.right_after))
        for start, (images, right) in zip((3, 3 + HITS), hits, strict=True):
            for left, image, good in zip(lefts[start:], images[:HITS], right, strict=False):
                _frame(pen, left, top, width, height, good)
                sheet.paste(_picture(image), (left, top))
                if not good:
                    pen.line((left, top, left + 12, top + 12), WRONG, 2)
                    pen.line((left, top + 12, left + 12, top), WRONG, 2)
        pen.text((lefts[0], top + height + FRAME + 1), row.caption, fill=INK)
    write_whole(path, lambda file: sheet.save(file, "PNG"))


def amplified(row: AttackedQuery) -> np.ndarray:
    """Returns the perturbation times ``AMPLIFIED`` about mid-gray, (3, H, W) uint8."""
    change = row.attacked.astype(np.int32) - row.clean
    return np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)


def _images(row: AttackedQuery) -> list[np.ndarray]:
    return [row.clean, row.attacked, *row.hits_before, *row.hits_after]


def _lefts(width: int) -> Sequence[int]:
    """Left edges of the three pictures of the query and of the two groups of hits."""
    step = width + 2 * FRAME + GAP
    extra = [0] * 3 + [2 * GAP] * HITS + [4 * GAP] * HITS
    return [GAP + FRAME + step * place + more for place, more in enumerate(extra)]


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _frame(
    pen: ImageDraw.ImageDraw, left: int, top: int, width: int, height: int, good: bool
) -> None:
    box = (left - FRAME, top - FRAME, left + width + FRAME - 1, top + height + FRAME - 1)
    pen.rectangle(box, outline=RIGHT if good else WRONG, width=FRAME)
