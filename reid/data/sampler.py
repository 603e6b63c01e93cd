"""Which images make which batch: one plan per (seed, epoch), the same on every rank.

Samplers yield lists of ``(index, seed)``: the seed drives that one draw's augmentation. It hangs on
the run's seed, the epoch and the place in the plan alone, so neither the number of workers nor the
number of ranks changes what an image looks like.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed, derive_seeds

Draw = tuple[int, int]
_PLAN, _AUGMENT = 0, 1


class PlanSampler(Sampler[list[Draw]]):
    """Deals the batches of an epoch's plan to ranks; subclasses say what the plan is.

    Rank r takes batches r, r + world_size, ...; what does not fill a step of all ranks is dropped,
    so that every rank makes the same number of steps.
    """

    def __init__(self, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.set_epoch(1)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns the epoch's batches of record indices for all ranks together."""
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Draws the plan of a (1-based) epoch; the loader's next pass yields it."""
        batches = self.plan(np.random.default_rng(derive_seed(self.seed, epoch, _PLAN)))
        batches = batches[: len(batches) // self.world_size * self.world_size]
        if not batches:
            raise InputError(f"an epoch has no full batch for each of {self.world_size} processes")
        seeds = iter(
            derive_seeds(self.seed, epoch, _AUGMENT, count=sum(map(len, batches))).tolist()
        )
        dealt = [[(index, next(seeds)) for index in batch] for batch in batches]
        self._batches = dealt[self.rank :: self.world_size]

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
        num_ids: P, identities per batch and process.
        num_instances: K, images per identity.
        seed: Of the run.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        InputError: If K < 2, or there are fewer identities than P.
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
        self.num_ids, self.num_instances = num_ids, num_instances
        if num_instances < 2:
            raise InputError(
                f"DATALOADER.NUM_INSTANCES is {num_instances}: the triplet loss needs at least 2"
                " images of an identity; or set DATALOADER.SAMPLER shuffle"
            )
        if not 1 <= num_ids <= len(self._groups_of):
            raise InputError(
                f"a batch of P = {num_ids} identities cannot be made: the training set has"
                f" {len(self._groups_of)}; lower SOLVER.IMS_PER_BATCH (P x K) or raise"
                " DATALOADER.NUM_INSTANCES (K)"
            )
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of P * K indices, K after K of one identity."""
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
        InputError: If N is below the batch size.
    """

    def __init__(
        self, num_images: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 1 <= batch_size <= num_images:
            raise InputError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}, the training set has {num_images} images"
            )
        self.num_images, self.batch_size = num_images, batch_size
        super().__init__(seed, rank, world_size)

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of ``batch_size`` indices."""
        order = rng.permutation(self.num_images)
        full = self.num_images // self.batch_size
        return [b.tolist() for b in order[: full * self.batch_size].reshape(full, -1)]
