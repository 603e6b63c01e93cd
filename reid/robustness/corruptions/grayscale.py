"""Loss of colour, up to a gray image."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reid.data.augmentation.arrays import LUMA_WEIGHTS
from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

REMOVED = (0.2, 0.4, 0.6, 0.8, 1.0)  # fraction of the color that is removed


@CORRUPTIONS.register("grayscale")
def grayscale(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Mixes each pixel with its luma; returns (B, 3, H, W), gray at severity 5.

    Source: luma is that of ITU-R BT.601, Pillow's "L"; the fractions are ours, because ImageNet-C
    has no loss of colour (its extra "saturate" changes saturation both ways).

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, removed = begin(images, severity, rngs, REMOVED)
    red, green, blue = work.unbind(1)
    weights = LUMA_WEIGHTS
    luma = weights[0] * red + weights[1] * green + weights[2] * blue
    return finish((1 - removed) * work + removed * luma.unsqueeze(1), images)
