"""A person far away."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

FACTOR = (1.5, 2.0, 3.0, 4.0, 6.0)  # of height and width


@CORRUPTIONS.register("low_resolution")
def low_resolution(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Shrinks by averaging over areas and enlarges bilinearly to the old size; draws nothing.

    The small image is round(H / factor) x round(W / factor); each of its pixels is the mean of its
    area, pixels that lie in it partly counted by their part.

    Source: the factors are ours: at 256 x 128 the last leaves 43 x 21 pixels, a person at the far
    end of a square. ImageNet-C's "pixelate" (Hendrycks & Dietterich, ICLR 2019) shrinks by 1.7, 2,
    2.5, 3.3 and 4, and repeats pixels to enlarge, whose hard edges no resize of a loader makes.
    """
    work, factor = begin(images, severity, rngs, FACTOR)
    height, width = (max(1, round(side / factor)) for side in work.shape[2:])
    coarse = _area_means(_area_means(work, 2, height), 3, width)
    back = F.interpolate(coarse, work.shape[2:], mode="bilinear", align_corners=False)
    return finish(back, images)


def _area_means(images: Tensor, dim: int, count: int) -> Tensor:
    """Cuts one dimension into ``count`` equal parts and returns the mean of each.

    torch's own "area" averages all pixels that a part touches, whole: 3 for a factor of 1.5.
    """
    size = images.shape[dim]
    edges = np.arange(count + 1) * (size / count)
    first = np.floor(edges[:-1]).astype(np.int64)
    total = torch.zeros_like(images.narrow(dim, 0, count))
    for index in first + np.arange(size // count + 2)[:, None]:
        inside = np.minimum(edges[1:], index + 1) - np.maximum(edges[:-1], index)
        share = torch.from_numpy(np.maximum(inside, 0) * count / size).to(images)
        place = torch.from_numpy(np.minimum(index, size - 1)).to(images.device)
        total += images.index_select(dim, place) * share.view(-1, *[1] * (3 - dim))
    return total
