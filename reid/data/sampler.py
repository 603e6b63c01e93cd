"""Which images make which batch: one plan per (seed, epoch), the same in every process.

A step of all processes together is planned as one batch, and each takes its part of it: two
processes with B images each see what one process with 2 B images sees.

Samplers yield lists of ``(index, seed)``: the seed drives that one draw's augmentation. It hangs on
the run's seed, the epoch and the place in the plan alone, so the number of workers does not change
what an image looks like.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed, derive_seeds

Draw = tuple[int, int]
_PLAN, _AUGMENT = 0, 1


class PlanSampler(Sampler[list[Draw]]):
    """Deals the batches of an epoch's plan to processes; subclasses say what the plan is.

    Process r takes the r-th of ``world_size`` equal parts of each batch.
    """

    def __init__(self, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.set_epoch(1)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns the epoch's batches of record indices, each for all processes together."""
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Draws the plan of a (1-based) epoch; the loader's next pass yields it."""
        batches = self.plan(np.random.default_rng(derive_seed(self.seed, epoch, _PLAN)))
        seeds = iter(
            derive_seeds(self.seed, epoch, _AUGMENT, count=sum(map(len, batches))).tolist()
        )
        dealt = [[(index, next(seeds)) for index in batch] for batch in batches]
        self._batches = [self._part(batch) for batch in dealt]

    def _part(self, batch: list[Draw]) -> list[Draw]:
        size = len(batch) // self.world_size
        return batch[self.rank * size : (self.rank + 1) * size]

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class PKSampler(PlanSampler):
    """P identities with K images each, in every batch.

    In an epoch each identity's images are shuffled and cut into groups of K; the last group is
    filled up from the identity's other images (with repeats where it has fewer than K). A batch
    takes one group each from P identities, drawn without replacement with weights equal to their
    groups left, so that large identities do not pile up at the end. When fewer than P have a group
    left, others fill the batch up. So every image of every identity is served each epoch.

    Source: Hermans, Beyer & Leibe, arXiv:1703.07737, section 2 (PK batches).
    Differs: common implementations drop an identity's remainder and the tail of an epoch.

    Args:
        labels: (N,) label or pid of each record.
        num_ids: P, identities per batch and process; those of a step are distinct.
        num_instances: K, images per identity.
        seed: Of the run.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        InputError: If K < 2, or there are fewer identities than P in all processes together.
    """

    def __init__(
        self,
        labels: Sequence[int],
        num_ids: int,
        num_instances: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._groups_of: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            self._groups_of.setdefault(label, []).append(index)
        self.num_ids, self.num_instances = num_ids * world_size, num_instances
        if num_instances < 2:
            raise InputError(
                f"DATALOADER.NUM_INSTANCES is {num_instances}: the triplet loss needs at least 2"
                " images of an identity; or set DATALOADER.SAMPLER shuffle"
            )
        if not 1 <= self.num_ids <= len(self._groups_of):
            raise InputError(
                f"a batch of P = {num_ids} identities{_in_each_of(world_size)} cannot be made: the"
                f" training set has {len(self._groups_of)}; lower SOLVER.IMS_PER_BATCH (P x K) or"
                " raise DATALOADER.NUM_INSTANCES (K)"
            )
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of P * K indices a process, K after K of one identity."""
        groups = {label: self._cut(rng, images) for label, images in self._groups_of.items()}
        labels = np.array(sorted(groups))
        left = np.array([len(groups[label]) for label in labels.tolist()])
        batches = []
        while left.any():
            # Gumbel-top-k: the P largest of log(weight) + noise are a weighted draw without
            # replacement; an identity with nothing left comes after all others.
            keys = np.where(left > 0, np.log(np.maximum(left, 1)), -1e3) + rng.gumbel(
                size=len(left)
            )
            chosen = np.argsort(-keys)[: self.num_ids]
            batches.append(
                [i for c in chosen.tolist() for i in self._take(rng, groups, int(labels[c]))]
            )
            left[chosen] = np.maximum(left[chosen] - 1, 0)
        return [batches[i] for i in rng.permutation(len(batches)).tolist()]

    def _cut(self, rng: np.random.Generator, images: list[int]) -> list[list[int]]:
        """Shuffles an identity's images into groups of K; every image is in at least one."""
        k, shuffled = self.num_instances, rng.permutation(images).tolist()
        short = -len(shuffled) % k
        filler = shuffled[: len(shuffled) - len(shuffled) % k]
        while len(filler) < short:
            filler = filler + shuffled
        shuffled += rng.permutation(filler).tolist()[:short] if short else []
        return [shuffled[i : i + k] for i in range(0, len(shuffled), k)]

    def _take(
        self, rng: np.random.Generator, groups: dict[int, list[list[int]]], label: int
    ) -> list[int]:
        if groups[label]:
            return groups[label].pop()
        return self._cut(rng, self._groups_of[label])[0]


class ShuffleSampler(PlanSampler):
    """Plain shuffling: every image once an epoch, the incomplete last batch dropped.

    Args:
        num_images: N.
        batch_size: Images per batch and process.
        seed: Of the run.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        InputError: If N is below the batch size of all processes together.
    """

    def __init__(
        self, num_images: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 1 <= batch_size * world_size <= num_images:
            raise InputError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}{_in_each_of(world_size)}, the training set"
                f" has {num_images} images"
            )
        self.num_images, self.batch_size = num_images, batch_size * world_size
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of ``batch_size`` indices a process."""
        order = rng.permutation(self.num_images)
        full = self.num_images // self.batch_size
        return [b.tolist() for b in order[: full * self.batch_size].reshape(full, -1)]


def _in_each_of(world_size: int) -> str:
    return f" in each of {world_size} processes" if world_size > 1 else ""
