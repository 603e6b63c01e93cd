"""Something stands in front of the person."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

SHARE = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the image's area
GRAY = 0.5


@CORRUPTIONS.register("occlusion")
def occlusion(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Covers a rectangle with mid-gray, at a place that is uniform among those inside the image.

    The rectangle has the proportions of the image: upright on a person's. Drawn alike, that of a
    higher severity contains that of a lower one.

    Source: the shares are ours; ImageNet-C has no occlusion. Zhong et al., "Random Erasing Data
    Augmentation", AAAI 2020, overwrite 0.02 to 0.4 of an image in training.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: A generator for each image.
    """
    work, share = begin(images, severity, rngs, SHARE)
    height, width = _sides(work.shape[2], work.shape[3], share)
    work = work.clone()
    for image, rng in zip(work, rngs, strict=True):
        down, right = rng.random(2)
        top = int(down * (image.shape[1] - height + 1))
        left = int(right * (image.shape[2] - width + 1))
        image[:, top : top + height, left : left + width] = GRAY
    return finish(work, images)


def _sides(height: int, width: int, share: float) -> tuple[int, int]:
    """Returns the sides, in pixels, of the rectangle that covers ``share`` of (height, width)."""
    return max(1, round(height * share**0.5)), max(1, round(width * share**0.5))
