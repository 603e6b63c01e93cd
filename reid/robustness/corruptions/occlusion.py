"""Occlusion, as by an object in front of the person."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

FRACTION = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the area of the image
GRAY = 0.5


@CORRUPTIONS.register("occlusion")
def occlusion(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Fills a rectangle at a uniformly random position with mid-gray; returns (B, 3, H, W).

    The rectangle has the aspect ratio of the image and lies inside it. With the same random numbers
    the rectangle of a higher severity contains that of a lower one.

    Source: the fractions are ours; ImageNet-C has no occlusion. Zhong et al., "Random Erasing Data
    Augmentation", AAAI 2020, overwrite 0.02 to 0.4 of an image in training.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators, one for each image.
    """
    work, fraction = begin(images, severity, rngs, FRACTION)
    height, width = _sides(work.shape[2], work.shape[3], fraction)
    work = work.clone()
    for image, rng in zip(work, rngs, strict=True):
        down, right = rng.random(2)
        top = int(down * (image.shape[1] - height + 1))
        left = int(right * (image.shape[2] - width + 1))
        image[:, top : top + height, left : left + width] = GRAY
    return finish(work, images)


def _sides(height: int, width: int, fraction: float) -> tuple[int, int]:
    """Returns (rows, columns) of the rectangle that covers a fraction of (height, width)."""
    return max(1, round(height * fraction**0.5)), max(1, round(width * fraction**0.5))
