"""A camera that loses its colours, down to one that has none."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reid.data.augmentation.arrays import LUMA_WEIGHTS
from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

GONE = (0.2, 0.4, 0.6, 0.8, 1.0)  # share of each pixel's colour


@CORRUPTIONS.register("grayscale")
def grayscale(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Mixes each pixel with its luma; at severity 5 nothing else is left. Draws nothing.

    Source: luma is that of ITU-R BT.601, Pillow's "L"; the shares are ours, ImageNet-C has no loss
    of colour (its extra "saturate" changes saturation both ways).

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: A generator for each image; not used.
    """
    work, gone = begin(images, severity, rngs, GONE)
    red, green, blue = work.unbind(1)
    weights = LUMA_WEIGHTS
    luma = weights[0] * red + weights[1] * green + weights[2] * blue
    return finish((1 - gone) * work + gone * luma.unsqueeze(1), images)
