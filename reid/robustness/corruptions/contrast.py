"""Low contrast, as in fog or through a weak lens."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

KEPT = (0.4, 0.3, 0.2, 0.1, 0.05)  # fraction of the difference to the mean that is kept


@CORRUPTIONS.register("contrast")
def contrast(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Moves each colour of an image towards its mean over the image; returns (B, 3, H, W).

    Source: "contrast" of ImageNet-C: Hendrycks & Dietterich, ICLR 2019; the same factors and the
    same means.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, kept = begin(images, severity, rngs, KEPT)
    # The order of a sum depends on the batch size and changes its last bits. So the mean is
    # computed image by image and in float64.
    mean = torch.stack([image.double().mean((1, 2), keepdim=True) for image in work]).to(work.dtype)
    return finish(mean + kept * (work - mean), images)
