"""Which images make which batch: one plan per (seed, epoch), the same in every process.

A step of all processes together is planned as one batch, and each process takes its part: two
processes with B images each see what one process with 2 B images sees.

Samplers yield lists of ``(index, seed)``. The seed gives the random numbers of that image's
augmentation. It depends on the run's seed, the epoch and the position in the plan alone, so the
number of workers does not change what an image looks like.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from torch.utils.data import Sampler

from reid.utils.seeding import derive_seed, derive_seeds

SeededIndex = tuple[int, int]
_PLAN = 0
_AUGMENT = 1


class PlanSampler(Sampler[list[SeededIndex]], ABC):
    """Yields this process's part of an epoch's plan; subclasses make the plan.

    Process r takes the r-th of ``world_size`` equal parts of each batch.

    A subclass may ask in its ``__init__`` for these arguments, which are filled in: ``labels``
    (N,), the label of each image; ``camids`` (N,); ``sources`` (N,), the number of the data set of
    each image, where there are several; ``num_images``, N; ``batch_size``, images per
    batch and process; ``num_instances``, K; ``num_ids``, P = batch_size / K; ``seed``, ``rank`` and
    ``world_size``. Others need a default and are config keys: ``DATALOADER.<NAME>.<ARGUMENT>``.
    Its ``__init__`` ends with a call of this one, which draws the first plan.

    Args:
        seed: Seed of the run.
        rank: Number of this process.
        world_size: Number of processes.

    Attributes:
        serves_pairs: Whether each batch holds several images of each of its identities.
    """

    serves_pairs: ClassVar[bool] = False

    def __init__(self, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.set_epoch(1)

    @abstractmethod
    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns the epoch's batches of image indices, each for all processes together.

        Args:
            rng: Generator of the numbers.
        """

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Draws the plan of an epoch; the loader's next pass yields it.

        Args:
            epoch: Number of the epoch, 1-based.
            start: Number of batches at its beginning that are left out, because they were served
                before the run was interrupted.
        """
        batches = self.plan(np.random.default_rng(derive_seed(self.seed, epoch, _PLAN)))
        seeds = iter(
            derive_seeds(self.seed, epoch, _AUGMENT, count=sum(map(len, batches))).tolist()
        )
        self._plan = [[(index, next(seeds)) for index in batch] for batch in batches]
        self._batches = [self._part(batch, self.rank) for batch in self._plan[start:]]

    def images(self, step: int, rank: int | None = None) -> list[int]:
        """Returns the indices of the images in one batch of this epoch, served or not.

        Args:
            step: Number of the batch in the epoch, 1-based.
            rank: Process whose batch it is; None is this one.
        """
        batch = self._part(self._plan[step - 1], self.rank if rank is None else rank)
        return [index for index, _ in batch]

    def _part(self, batch: list[SeededIndex], rank: int) -> list[SeededIndex]:
        size = len(batch) // self.world_size
        return batch[rank * size : (rank + 1) * size]

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def in_each_of(world_size: int) -> str:
    """Returns the end of a message about one process's batch; it is empty for one process."""
    return f" in each of {world_size} processes" if world_size > 1 else ""
