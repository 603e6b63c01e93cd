"""What a loader hands to the engine and to the evaluator."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """A batch of crops, plain tensors only.

    Attributes:
        images: (B, 3, H, W) uint8 RGB. They are copied to the device as bytes, a quarter of the
            size of floats; ``to_unit`` turns them into [0, 1] there.
        labels: (B,) int64, rank of the pid among the sorted train pids; -1 where there is none
            (query, gallery).
        pids: (B,) int64, identity as in the file name.
        camids: (B,) int64, 0-based camera.
        indices: (B,) int64, position in the split.
    """

    images: Tensor
    labels: Tensor
    pids: Tensor
    camids: Tensor
    indices: Tensor


class BatchLoader(Protocol):
    """Yields the batches of a split; each ``iter`` begins a new pass."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...


def to_unit(images: Tensor) -> Tensor:
    """Turns (B, 3, H, W) uint8 into float32 in [0, 1]; exact multiples of 1/255."""
    return images.float().div(255)
