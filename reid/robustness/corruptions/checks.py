"""The checks at the beginning of every corruption, and the conversion at its end."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.utils.errors import ArgumentError

SEVERITIES = range(1, 6)


def begin(
    images: Tensor,
    severity: int,
    rngs: Sequence[np.random.Generator],
    levels: Sequence[float],
) -> tuple[Tensor, float]:
    """Returns the images as at least float32, (B, 3, H, W), and the level of the severity.

    Args:
        images: (B, 3, H, W) floating point in [0, 1]. The result may share their memory.
        severity: 1 to 5.
        rngs: B generators, one for each image.
        levels: The levels of the five severities.

    Raises:
        ArgumentError: An argument is not as described.
    """
    if severity not in SEVERITIES:
        raise ArgumentError("severity", f"must be one of 1 to 5, got {severity!r}")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ArgumentError("images", f"must be (B, 3, H, W), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ArgumentError("images", f"must be floating point in [0, 1], got {images.dtype}")
    if len(rngs) != len(images):
        raise ArgumentError(
            "rngs", f"must be {len(images)} generators, one per image, got {len(rngs)}"
        )
    dtype = torch.promote_types(images.dtype, torch.float32)
    work = images.detach().to(dtype).contiguous()
    low, high = torch.aminmax(work)
    if not (low >= 0 and high <= 1):  # written so that NaN is refused too
        raise ArgumentError("images", f"must be in [0, 1], got values in [{low:g}, {high:g}]")
    return work, levels[int(severity) - 1]


def finish(work: Tensor, images: Tensor) -> Tensor:
    """Returns ``work`` clipped to [0, 1], (B, 3, H, W), in the dtype of ``images``.

    Args:
        work: (B, 3, H, W) result of the corruption, at least float32.
        images: (B, 3, H, W) input of the corruption.
    """
    return work.clamp(0, 1).to(images.dtype)
