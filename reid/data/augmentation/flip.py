"""Left and right swapped."""

import numpy as np
import torch

from reid.data.augmentation.arrays import Pixels, arange, where
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import check_probability

GRAIN = 1 << 15  # elements; torch shares out only what is more


@AUGMENTATIONS.register("flip")
class Flip(Augmentation):
    """Mirrors an image left and right.

    Args:
        prob: Probability that an image is mirrored.
    """

    width, neutral = 1, (0,)
    moves, draw_order = True, 0

    def __init__(self, prob: float = 0.5) -> None:
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
        """Mirrors one image by torch's loop, which takes a fraction of the time of numpy's.

        It works on pieces that are too small for torch to share among threads: those that it would
        start for this thread spin for a while when they are done, beside those of the training
        step.
        """
        rows = max(1, GRAIN // image[0].size)
        pieces = [image[i : i + rows] for i in range(0, len(image), rows)]
        np.concatenate([torch.from_numpy(piece).flip(1).numpy() for piece in pieces], out=out)
