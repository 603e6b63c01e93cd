"""P identities with K images each."""

from collections.abc import Sequence

import numpy as np

from reid.data.samplers.plan import PlanSampler, in_each_of
from reid.data.samplers.registry import SAMPLERS
from reid.utils.errors import ArgumentError


@SAMPLERS.register("pk")
class PKSampler(PlanSampler):
    """P identities with K images each, in every batch.

    In an epoch each identity's images are shuffled and cut into groups of K; the last group is
    filled up from the identity's other images (with repeats where it has fewer than K). A batch
    takes one group each from P identities, drawn without replacement with weights equal to their
    remaining groups, so that large identities do not pile up at the end. When fewer than P have a
    group, others fill the batch up. So every image of every identity is served each epoch.

    Source: Hermans, Beyer & Leibe, arXiv:1703.07737, section 2 (PK batches).
    Differs: common implementations drop an identity's remainder and the tail of an epoch.

    Args:
        labels: (N,) label or pid of each record.
        num_ids: Number P of identities per batch and process; those of a step are distinct.
        num_instances: Number K of images per identity, at least 2.
        seed: Seed of the run.
        rank: Rank of this process.
        world_size: Number of processes.
        sources: (N,) number of the data set of each record; empty where there is one.
        balance_sources: Where there are several data sets, draw as many identities from each for
            every batch (one more from some, if P is no multiple of their number). A small set then
            comes around several times an epoch.

    Raises:
        ArgumentError: K is below 2, or there are fewer identities than P in all processes together,
            or fewer in one data set than its part.

    Examples:
        Six images of three people: a batch has two people with two images each.

        >>> sampler = PKSampler([0, 0, 1, 1, 2, 2], num_ids=2, num_instances=2, seed=0)
        >>> batch = [index // 2 for index, seed in next(iter(sampler))]  # the label of each image
        >>> batch[0] == batch[1] != batch[2] == batch[3]
        True
    """

    serves_pairs = True

    def __init__(
        self,
        labels: Sequence[int],
        num_ids: int,
        num_instances: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        sources: Sequence[int] = (),
        balance_sources: bool = False,
    ) -> None:
        self._groups_of: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            self._groups_of.setdefault(label, []).append(index)
        self.num_ids = num_ids * world_size
        self.num_instances = num_instances
        if num_instances < 2:
            raise ArgumentError(
                "num_instances",
                f"must be at least 2, so that an image has another one of its identity beside it;"
                f" got {num_instances}",
            )
        if not 1 <= self.num_ids <= len(self._groups_of):
            most = len(self._groups_of) // world_size * num_instances
            raise ArgumentError(
                "num_ids",
                f"must be 1 to {len(self._groups_of)}, the identities that there are, in all"
                f" processes together; got P = {num_ids}{in_each_of(world_size)};"
                f" batches may have up to {most} images",
            )
        self._source_of = self._sources_of_labels(labels, sources if balance_sources else ())
        super().__init__(seed, rank, world_size)

    def _sources_of_labels(self, labels: Sequence[int], sources: Sequence[int]) -> np.ndarray:
        """Returns the data set of each label, in the order of sorted labels; all 0 for one set."""
        source_of = dict(zip(labels, sources, strict=True)) if sources else {}
        known = sorted(set(source_of.values()))
        part = -(-self.num_ids // max(len(known), 1))
        for source in known:
            number = list(source_of.values()).count(source)
            if number < part:
                raise ArgumentError(
                    "balance_sources",
                    f"draws {part} identities from each data set, and number {source + 1} of them"
                    f" has {number}; lower P or set it to False",
                )
        return np.array([source_of.get(label, 0) for label in sorted(self._groups_of)])

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """Returns batches of P * K indices a process, K after K of one identity."""
        groups = {label: self._cut(rng, images) for label, images in self._groups_of.items()}
        labels = np.array(sorted(groups))
        remaining = np.array([len(groups[label]) for label in labels.tolist()])
        batches: list[list[int]] = []
        while remaining.any():
            # Gumbel-top-k: the P largest of log(weight) + noise are a weighted draw without
            # replacement; an identity with no remaining group comes after all others.
            keys = np.where(remaining > 0, np.log(np.maximum(remaining, 1)), -1e3) + rng.gumbel(
                size=len(remaining)
            )
            chosen = self._first(np.argsort(-keys), len(batches))
            batches.append(
                [i for c in chosen.tolist() for i in self._take(rng, groups, int(labels[c]))]
            )
            remaining[chosen] = np.maximum(remaining[chosen] - 1, 0)
        return [batches[i] for i in rng.permutation(len(batches)).tolist()]

    def _first(self, order: np.ndarray, batch: int) -> np.ndarray:
        """Returns the first P of an order of identities, in turn from each data set.

        In turn, so that the part of each process is balanced, too. Which data set begins changes
        from batch to batch, so that each gets the odd identity as often.

        Args:
            order: Places of the identities among the sorted labels, the wanted ones first.
            batch: Number of the batch.
        """
        source, count = self._source_of[order], int(self._source_of.max()) + 1
        rank = np.empty(len(order), np.int64)  # among those of its data set
        for number in range(count):
            mine = source == number
            rank[mine] = np.arange(mine.sum())
        return order[np.lexsort(((source + batch) % count, rank))][: self.num_ids]

    def _cut(self, rng: np.random.Generator, images: list[int]) -> list[list[int]]:
        """Shuffles an identity's images into groups of K; every image is in at least one."""
        k = self.num_instances
        shuffled = rng.permutation(images).tolist()
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
