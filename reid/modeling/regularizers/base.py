"""What a regularizer is."""

from typing import ClassVar

from torch import nn

from reid.utils.seeding import DeviceRNG


class Regularizer(nn.Module):
    """Disturbs a feature map in training, and is the identity in evaluation.

    ``forward`` maps x, (B, C, H, W) of any floating type, to the same shape, type and memory
    format. It must not write into x, unless ``in_place`` is set. It has no parameters and no
    buffers, so that checkpoints trained with and without it are interchangeable. It takes its
    random numbers from ``rng``.

    Arguments of ``__init__`` with a default are config keys:
    ``MODEL.REGULARIZER.<NAME>.<ARGUMENT>``.

    Attributes:
        spatial: Whether it works on neighbouring cells, and so cannot work on a 1 x 1 map.
        rng: Generators of its random numbers; after :meth:`reseed` no global state is read.
    """

    spatial: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.rng = DeviceRNG()

    def reseed(self, seed: int) -> None:
        """Starts its random numbers anew; the trainer calls it each epoch."""
        self.rng.reseed(seed)
