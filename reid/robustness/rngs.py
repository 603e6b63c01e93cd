"""Random numbers of a batch, drawn image by image: they never depend on how images are batched."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ImageRNGs:
    """One generator per image.

    Args:
        seed: Of the run, non-negative.
        indices: (B,) position of each image in its split.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self.generators = [np.random.default_rng((seed, index)) for index in indices]

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Draws (B, *shape) from [0, 1); of the type, device and memory format of ``like``.

        Args:
            shape: Of the numbers of one image.
            like: Any tensor, for type, device and memory format.
        """
        rows = np.stack([rng.random(tuple(shape), np.float32) for rng in self.generators])
        return _as(torch.from_numpy(rows), like)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Draws (B, *shape) from the standard normal distribution; see :meth:`uniform`.

        Args:
            shape: Of the numbers of one image.
            like: Any tensor, for type, device and memory format.
        """
        rows = np.stack([rng.standard_normal(tuple(shape), np.float32) for rng in self.generators])
        return _as(torch.from_numpy(rows), like)


def _as(values: Tensor, like: Tensor) -> Tensor:
    if values.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        values = values.contiguous(memory_format=torch.channels_last)
    return values.to(like.device, like.dtype, non_blocking=True)
