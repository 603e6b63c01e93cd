"""Low resolution, as of a person who is far away."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

FACTOR = (1.5, 2.0, 3.0, 4.0, 6.0)  # of height and width

Tap = tuple[np.ndarray, np.ndarray]  # for each line of the result: a line of the source, its weight


@CORRUPTIONS.register("low_resolution")
def low_resolution(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Shrinks by area averaging and enlarges bilinearly to the old size; returns (B, 3, H, W).

    The small image is round(H / factor) x round(W / factor); each of its pixels is the mean of an
    area; a pixel that lies partly in the area has the weight of that fraction.

    Source: the factors are ours: at 256 x 128 the last leaves 43 x 21 pixels, a person at the far
    end of a square. ImageNet-C's "pixelate" (Hendrycks & Dietterich, ICLR 2019) shrinks by 1.7, 2,
    2.5, 3.3 and 4, and repeats pixels to enlarge. The resize of a loader makes no such hard edges.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, factor = begin(images, severity, rngs, FACTOR)
    for dim in (2, 3):
        size = work.shape[dim]
        count = max(1, round(size / factor))
        work = _mixed(_mixed(work, dim, _area(size, count)), dim, _bilinear(count, size))
    return finish(work, images)


def _mixed(images: Tensor, dim: int, taps: Iterable[Tap]) -> Tensor:
    """Resamples one dimension.

    torch's ``interpolate`` is not used, because its last bits depend on the number of threads.
    """
    total: Tensor | float = 0.0
    for source, weight in taps:
        lines = images.index_select(dim, torch.from_numpy(source).to(images.device))
        total = total + lines * torch.from_numpy(weight).to(images).view(-1, *[1] * (3 - dim))
    return torch.as_tensor(total)


def _area(size: int, count: int) -> Iterable[Tap]:
    """Cuts ``size`` lines into ``count`` equal parts and takes the mean of each."""
    edges = np.arange(count + 1) * (size / count)
    for index in np.floor(edges[:-1]) + np.arange(size // count + 2)[:, None]:
        inside = np.minimum(edges[1:], index + 1) - np.maximum(edges[:-1], index)
        source = np.minimum(index, size - 1).astype(np.int64)
        yield source, np.maximum(inside, 0) * count / size


def _bilinear(count: int, size: int) -> Iterable[Tap]:
    """Interpolates ``count`` lines linearly to ``size`` lines."""
    center = ((np.arange(size) + 0.5) * count / size - 0.5).clip(0, count - 1)
    low = center.astype(np.int64)
    yield low, 1 - (center - low)
    yield np.minimum(low + 1, count - 1), center - low
