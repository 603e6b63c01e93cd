"""One random rectangle of the image is overwritten."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.arrays import Pixels, constant, inside, where
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.rectangle import AREA, ASPECT, NO_BOX, draw_rectangle
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import (
    Area,
    Aspect,
    Probability,
    Range,
    check_interval,
    check_probability,
    check_range,
)


@AUGMENTATIONS.register("erasing")
class RandomErasing(Augmentation):
    """Overwrites one random rectangle with one colour.

    Source: Zhong et al., "Random Erasing Data Augmentation", arXiv:1708.04896.

    Args:
        size: (height, width) of the images in pixels.
        prob: Probability that an image is changed.
        area: Range of the rectangle's area / area of the image.
        aspect: Range of height / width.
        fill: The colour, RGB in [0, 1]; base.yml sets the value that the bag-of-tricks code writes.

    Raises:
        ArgumentError: A value is outside its range: ``prob`` and ``fill`` [0, 1]; ``area``
            0 < low <= high <= 1; ``aspect`` 0 < low <= high.
    """

    width = 4
    neutral = NO_BOX
    draw_order = 2

    def __init__(
        self,
        size: tuple[int, int],
        prob: Probability = 0.5,
        area: Area = AREA,
        aspect: Aspect = ASPECT,
        fill: Annotated[tuple[float, float, float], Range(0, 1)] = (0.485, 0.456, 0.406),
    ) -> None:
        check_probability("prob", prob)
        check_interval("area", area, most=1)
        check_interval("aspect", aspect)
        for value in fill:
            check_range("fill", value, 0, 1)
        self.size = size
        self.prob = prob
        self.area = area
        self.aspect = aspect
        self.fill = np.round(np.asarray(fill) * 255).astype(np.uint8)
        self._filled = np.empty((*size, 3), np.uint8)  # a copy of a block is faster than a colour
        self._filled[...] = self.fill

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws top, left, height and width."""
        if rng.random() >= self.prob:
            return None
        return draw_rectangle(rng, self.size, self.area, self.aspect)

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Overwrites each image's rectangle; (B, H, W, 3)."""
        return where(inside(rows, images), constant(self.fill, images), images)

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Overwrites the rectangle of one (H, W, 3) image and touches nothing else of it."""
        top, left, height, width = row
        box = slice(top, top + height), slice(left, left + width)
        out[box] = self._filled[box]
