"""One random rectangle of the image loses its colour."""

import numpy as np

from reid.data.augmentation.arrays import Pixels, as_int32, as_uint8, inside, luma, where
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.fast import compiled_loops
from reid.data.augmentation.rectangle import AREA, ASPECT, NO_BOX, draw_rectangle
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import Area, Aspect, Probability, check_interval, check_probability


@AUGMENTATIONS.register("grayscale_patch")
class GrayscalePatch(Augmentation):
    """Local grayscale patch replacement: one random rectangle of an image loses its colour.

    Source: Gong et al., "Eliminate deviation with deviation for data augmentation and a general
    multi-modal data learning method", arXiv:2101.08533. Sizes are drawn as in random erasing.

    Args:
        size: (height, width) of the images in pixels.
        prob: Probability that an image is changed; 0 is off.
        area: Range of the rectangle's area / area of the image.
        aspect: Range of height / width.

    Raises:
        ArgumentError: A value is outside its range: ``prob`` [0, 1]; ``area`` 0 < low <= high <= 1;
            ``aspect`` 0 < low <= high.
    """

    width = 4
    neutral = NO_BOX
    draw_order = 4

    def __init__(
        self,
        size: tuple[int, int],
        prob: Probability = 0.0,
        area: Area = AREA,
        aspect: Aspect = ASPECT,
    ) -> None:
        check_probability("prob", prob)
        check_interval("area", area, most=1)
        check_interval("aspect", aspect)
        self.size = size
        self.prob = prob
        self.area = area
        self.aspect = aspect

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws top, left, height and width."""
        if not self.prob or rng.random() >= self.prob:
            return None
        return draw_rectangle(rng, self.size, self.area, self.aspect)

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Turns each image's rectangle gray; (B, H, W, 3)."""
        gray = as_uint8(luma(as_int32(images)))[..., None]
        return where(inside(rows, images), gray, images)

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Turns the rectangle of one (H, W, 3) image gray and reads nothing else of it."""
        top, left, height, width = row
        patch = out[top : top + height, left : left + width]
        loops = compiled_loops()
        if loops is None:
            patch[...] = luma(patch.astype(np.int32))[..., None]
        else:
            loops.gray(patch)
