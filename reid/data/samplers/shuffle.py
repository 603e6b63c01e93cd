"""Plain shuffling."""

import numpy as np

from reid.data.samplers.plan import PlanSampler, in_each_of
from reid.data.samplers.registry import SAMPLERS
from reid.utils.errors import ArgumentError


@SAMPLERS.register("shuffle")
class ShuffleSampler(PlanSampler):
    """Plain shuffling: every image once an epoch, the incomplete last batch dropped.

    Args:
        num_images: Number N of images.
        batch_size: Number of images per batch and process.
        seed: Seed of the run.
        rank: Rank of this process.
        world_size: Number of processes.

    Raises:
        ArgumentError: N is below the batch size of all processes together.
    """

    def __init__(
        self, num_images: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 1 <= batch_size * world_size <= num_images:
            raise ArgumentError(
                "batch_size",
                f"must be 1 to {num_images}, the images that there are, in all processes together;"
                f" got {batch_size}{in_each_of(world_size)}",
            )
        self.num_images = num_images
        self.batch_size = batch_size * world_size
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of ``batch_size`` indices a process."""
        order = rng.permutation(self.num_images)
        full = self.num_images // self.batch_size
        return [b.tolist() for b in order[: full * self.batch_size].reshape(full, -1)]
