"""Brightness: an image with too much light."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

ADDED = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the range [0, 1]


@CORRUPTIONS.register("brightness")
def brightness(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Adds a constant to all values and clips to [0, 1]; returns (B, 3, H, W).

    Source: "brightness" of ImageNet-C: Hendrycks & Dietterich, ICLR 2019; the same constants.
    Differs: they are added to R, G and B. ImageNet-C adds them to V of HSV, which keeps the
    saturation, so that the weak colour noise of a black coat becomes a strong colour.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, added = begin(images, severity, rngs, ADDED)
    return finish(work + added, images)
