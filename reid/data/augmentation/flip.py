"""Left and right swapped."""

import numpy as np
import torch

from reid.data.augmentation.arrays import Pixels, arange, where
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import Probability, check_probability

GRAIN = 1 << 15  # elements; torch starts threads only for larger tensors


@AUGMENTATIONS.register("flip")
class Flip(Augmentation):
    """Mirrors an image left and right.

    Args:
        prob: Probability that an image is mirrored.

    Raises:
        ArgumentError: The probability is outside [0, 1].
    """

    width = 1
    neutral = (0,)
    moves = True
    draw_order = 0

    def __init__(self, prob: Probability = 0.5) -> None:
        check_probability("prob", prob)
        self.prob = prob

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws (1,) or nothing."""
        return (1,) if rng.random() < self.prob else None

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Mirrors the images, (B, H, W, 3), whose row is 1."""
        backwards = images.shape[2] - 1 - arange(images.shape[2], images)
        return where(rows[:, :, None, None] > 0, images[:, :, backwards], images)

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Mirrors one (H, W, 3) image by torch's loop, which is faster than numpy's.

        It flips a few rows at a time, so few that torch does not start threads for them. Such
        threads would keep cores busy after their work, and so slow the training step down.
        """
        rows = max(1, GRAIN // image[0].size)
        pieces = [image[i : i + rows] for i in range(0, len(image), rows)]
        np.concatenate([torch.from_numpy(piece).flip(1).numpy() for piece in pieces], out=out)
