"""Fog, or a weak lens."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

LEFT = (0.4, 0.3, 0.2, 0.1, 0.05)  # share of each pixel's distance to the mean that is left


@CORRUPTIONS.register("contrast")
def contrast(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Draws each colour of an image towards its mean over that image; no random draws.

    Source: "contrast" of ImageNet-C: Hendrycks & Dietterich, ICLR 2019; the same factors and the
    same means.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: A generator for each image; not used.
    """
    work, left = begin(images, severity, rngs, LEFT)
    # Image by image and in float64: how a sum is split, and so its bits, depends on the batch size.
    mean = torch.stack([image.double().mean((1, 2), keepdim=True) for image in work]).to(work.dtype)
    return finish(mean + left * (work - mean), images)
