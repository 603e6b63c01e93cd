"""Gaussian blur, as of a lens that is out of focus."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

SIGMA = (1.0, 2.0, 3.0, 4.0, 6.0)  # pixels of an image that is HEIGHT pixels high
HEIGHT = 224
TRUNCATE = 4.0  # standard deviations at which the kernel ends


@CORRUPTIONS.register("gaussian_blur")
def gaussian_blur(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Convolves with a Gaussian whose width is proportional to H; returns (B, 3, H, W).

    Source: "gaussian_blur" of ImageNet-C (its extra corruptions): Hendrycks & Dietterich, ICLR
    2019; the same standard deviations, in pixels of 224.
    Differs: they are scaled by H / 224, so that a person loses the same detail at every input size
    (1.1 to 6.9 pixels at 256 x 128); the border is mirrored, not repeated, which keeps the mean.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, sigma = begin(images, severity, rngs, SIGMA)
    weights = _half_kernel(sigma * work.shape[2] / HEIGHT)
    return finish(_along(3, _along(2, work, weights), weights), images)


def _half_kernel(sigma: float) -> list[float]:
    """Returns the weights at offsets 0, 1, 2, ...; those of -2, -1, 0, 1, 2, ... sum to 1."""
    half = np.exp(-0.5 * (np.arange(int(TRUNCATE * sigma + 0.5) + 1) / sigma) ** 2)
    return (half / (2 * half.sum() - half[0])).tolist()


def _along(dim: int, images: Tensor, weights: list[float]) -> Tensor:
    """Convolves along one dimension.

    It is a sum of shifted images, because the last bits of torch's convolution depend on the batch
    size.
    """
    size = images.shape[dim]
    radius = len(weights) - 1
    padded = images.index_select(dim, _mirrored(size, radius).to(images.device))
    total = weights[0] * images
    for offset in range(1, radius + 1):
        before = padded.narrow(dim, radius - offset, size)
        after = padded.narrow(dim, radius + offset, size)
        total += weights[offset] * (before + after)
    return total


def _mirrored(size: int, radius: int) -> Tensor:
    """Returns the indices of a padded line: ... 1 0 | 0 1 ... size-1 | size-1 size-2 ..."""
    index = torch.arange(-radius, size + radius) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
