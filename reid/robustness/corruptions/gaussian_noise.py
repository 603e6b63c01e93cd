"""Gaussian noise, as of a sensor in the dark."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

STD = (0.08, 0.12, 0.18, 0.26, 0.38)  # for pixels in [0, 1]


@CORRUPTIONS.register("gaussian_noise")
def gaussian_noise(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Adds independent normal noise to all values and clips to [0, 1]; returns (B, 3, H, W).

    Source: "gaussian_noise" of ImageNet-C: Hendrycks & Dietterich, "Benchmarking Neural Network
    Robustness to Common Corruptions and Perturbations", ICLR 2019; the same standard deviations.
    Differs: applied at the network's input size, not at 224 x 224.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators, one for each image.
    """
    work, std = begin(images, severity, rngs, STD)
    noise = [rng.standard_normal(work.shape[1:], np.float32) for rng in rngs]
    return finish(work + std * torch.from_numpy(np.stack(noise)).to(work), images)
