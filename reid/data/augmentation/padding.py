"""A window that is shifted at random."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.arrays import Pixels, arange
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import Range, check_count


@AUGMENTATIONS.register("padding")
class PadAndCrop(Augmentation):
    """Pads an image with black on all sides and cuts a random window of the old size.

    Args:
        padding: Pixels of black on each side before the random crop; 0 is off.

    Raises:
        ArgumentError: The padding is no whole number, or is negative.
    """

    width = 2
    moves = True
    draw_order = 1

    def __init__(self, padding: Annotated[int, Range(0, 1000)] = 10) -> None:
        check_count("padding", padding, least=0)
        self.padding = padding
        self.neutral = (padding, padding)

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws (top, left) of the window in the padded image."""
        if not self.padding:
            return None
        return tuple(rng.integers(2 * self.padding + 1, size=2).tolist())

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Cuts each image's window, (B, H, W, 3); it is black where it leaves the image."""
        count, height, width = images.shape[:3]
        y = arange(height, images) + (rows[:, 0, None] - self.padding)
        x = arange(width, images) + (rows[:, 1, None] - self.padding)
        in_y, in_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
        y, x = y.clip(0, height - 1), x.clip(0, width - 1)
        each = arange(count, images)[:, None, None]
        window = images[each, y[:, :, None], x[:, None, :]]
        return window * (in_y[:, :, None] & in_x[:, None, :])[..., None]

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Cuts the window of one (H, W, 3) image in one copy."""
        down, right = row[0] - self.padding, row[1] - self.padding
        height, width = image.shape[:2]
        top, bottom = max(0, -down), max(0, height - max(0, down))
        begin, end = max(0, -right), max(0, width - max(0, right))
        if top >= bottom or begin >= end:
            out[...] = 0
            return
        out[:top] = 0
        out[bottom:] = 0
        out[top:bottom, :begin] = 0
        out[top:bottom, end:] = 0
        out[top:bottom, begin:end] = image[top + down : bottom + down, begin + right : end + right]
