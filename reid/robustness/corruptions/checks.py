"""What every corruption checks before it computes, and sees to afterwards."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.utils.errors import InputError

SEVERITIES = range(1, 6)


def begin(
    images: Tensor,
    severity: int,
    rngs: Sequence[np.random.Generator],
    levels: Sequence[float],
) -> tuple[Tensor, float]:
    """Returns the images to compute with and what ``severity`` stands for.

    Args:
        images: (B, 3, H, W) floating point in [0, 1]. What is returned is at least float32, and may
            share their memory.
        severity: 1 to 5.
        rngs: One per image.
        levels: What the five severities stand for.

    Raises:
        InputError: If one of these is not so.
    """
    if severity not in SEVERITIES:
        raise InputError(f"a corruption's severity is one of 1 to 5, not {severity!r}")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(f"images must be (B, 3, H, W), not {tuple(images.shape)}")
    if not images.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], not {images.dtype}")
    if len(rngs) != len(images):
        raise InputError(f"{len(images)} images need as many generators, not {len(rngs)}")
    dtype = torch.promote_types(images.dtype, torch.float32)
    work = images.detach().to(dtype).contiguous()
    low, high = torch.aminmax(work)
    if not (low >= 0 and high <= 1):  # so that NaN is refused, too
        raise InputError(f"images must be in [0, 1], not in [{low:g}, {high:g}]")
    return work, levels[int(severity) - 1]


def finish(work: Tensor, images: Tensor) -> Tensor:
    """Returns ``work``, (B, 3, H, W), cut to [0, 1], in the dtype that ``images`` have.

    Args:
        work: What was computed.
        images: What the corruption was given.
    """
    return work.clamp(0, 1).to(images.dtype)
