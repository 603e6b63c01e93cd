"""The values that maskings write into a feature map."""

from typing import Literal

import torch
from torch import Tensor

Fill = Literal["uniform", "zero", "mean", "normal", "scaled"]
ABSOLUTE = ("uniform", "zero")  # fills that do not depend on the map


def absolute_values(fill: Fill, uniform: Tensor) -> Tensor:
    """Returns values of a fill that does not depend on the map.

    Args:
        fill: ``uniform``, the random numbers themselves; or ``zero``.
        uniform: Random numbers in [0, 1), of any shape.
    """
    return uniform if fill == "uniform" else torch.zeros_like(uniform)


def channel_values(fill: Fill, uniform: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """Returns values on the scale of a channel in a sample.

    ``normal`` and ``scaled`` have the channel's mean and standard deviation and differ in shape
    only: a uniform law never leaves mean +- 1.73 sd, which a normal one does in 8.3 % of the cases.
    So ``uniform`` against ``scaled`` changes place and scale of the law alone, and ``scaled``
    against ``normal`` its shape alone.

    Args:
        fill: ``mean``; ``normal``, mean + sd * quantile of the standard normal distribution;
            or ``scaled``, mean + sd * sqrt(12) * (uniform - 1/2).
        uniform: Random numbers in [0, 1), of any shape.
        mean: Means of the channels; broadcasts with ``uniform``.
        sd: Standard deviations of the channels, of the shape of ``mean``.
    """
    if fill == "mean":
        return mean.expand_as(uniform)
    if fill == "scaled":
        return mean + (uniform - 0.5) * 12**0.5 * sd
    # A uniform number can be 0, whose quantile is minus infinity. It becomes 2^-25, half of the
    # smallest number above 0 that torch draws.
    deviate: Tensor = torch.special.ndtri(uniform.clamp(min=2**-25))
    return mean + deviate * sd


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation of each map, (..., 1, 1) float32.

    Args:
        maps: (..., H, W) of any floating type; no gradient flows through it.
    """
    cells = maps.detach().float()
    mean = cells.mean((-2, -1), keepdim=True)
    return mean, cells.std((-2, -1), keepdim=True, correction=0)
