"""A sampler: P identities with K images each, every batch from one camera or another."""

from collections.abc import Sequence

import numpy as np

from reid.data.samplers import SAMPLERS, PlanSampler


@SAMPLERS.register("camera_pk")
class CameraPKSampler(PlanSampler):
    """Draws P identities, and of each K images, cameras in turn.

    Args:
        labels: (N,) label of each image.
        camids: (N,) camera of each image.
        num_ids: P.
        num_instances: K.
        seed: Of the run.
        rank: Of this process.
        world_size: Number of processes.
        batches: In an epoch; 0 shows as many images as there are.
    """

    serves_pairs = True

    def __init__(
        self,
        labels: Sequence[int],
        camids: Sequence[int],
        num_ids: int,
        num_instances: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches: int = 0,
    ) -> None:
        self.labels, self.camids = np.asarray(labels), np.asarray(camids)
        self.num_ids, self.num_instances = num_ids * world_size, num_instances
        self.batches = batches or max(1, len(labels) // (self.num_ids * num_instances))
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of P * K indices."""
        people = np.unique(self.labels)
        return [
            [
                i
                for pid in rng.choice(people, self.num_ids, replace=False)
                for i in self._of(rng, pid)
            ]
            for _ in range(self.batches)
        ]

    def _of(self, rng: np.random.Generator, label: int) -> list[int]:
        index = rng.permutation(np.flatnonzero(self.labels == label))
        turn = np.zeros(len(index), int)
        for camid in np.unique(self.camids[index]):
            own = self.camids[index] == camid
            turn[own] = np.arange(own.sum())
        ordered = index[np.argsort(turn, kind="stable")]
        return np.resize(ordered, self.num_instances).tolist()
