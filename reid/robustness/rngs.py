"""Random numbers drawn image by image, so that they do not depend on the batches."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ImageRNGs:
    """One random generator for each image.

    Args:
        seed: Seed of the run, non-negative.
        indices: Position of each of the B images in its split.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self.generators = [np.random.default_rng((seed, index)) for index in indices]

    def of(self, rows: Tensor) -> "ImageRNGs":
        """Returns the same generators of some of the images, (R,) int64."""
        some = ImageRNGs(0, [])
        some.generators = [self.generators[row] for row in rows.tolist()]
        return some

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Returns uniform numbers from [0, 1), ``(B, *shape)``.

        Args:
            shape: Shape of the numbers of one image.
            like: Any tensor; the result has its dtype, device and memory format.
        """
        rows = np.stack([rng.random(tuple(shape), np.float32) for rng in self.generators])
        return _as(torch.from_numpy(rows), like)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Returns numbers from the standard normal distribution, ``(B, *shape)``.

        Args:
            shape: Shape of the numbers of one image.
            like: Any tensor; the result has its dtype, device and memory format.
        """
        rows = np.stack([rng.standard_normal(tuple(shape), np.float32) for rng in self.generators])
        return _as(torch.from_numpy(rows), like)


def _as(values: Tensor, like: Tensor) -> Tensor:
    if values.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        values = values.contiguous(memory_format=torch.channels_last)
    return values.to(like.device, like.dtype, non_blocking=True)
