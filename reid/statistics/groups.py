"""Runs of two recipes on one set of queries, summed by identity: all that the statistics need.

Every metric here is a mean over queries, or a ratio of two such means. Queries of one identity are
alike, so they are summed first; identities and training seeds are what a study draws at random.
"""

from dataclasses import dataclass

import numpy as np

from reid.utils.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Group:
    """S runs of one recipe on one set of queries, which show I identities.

    Attributes:
        sums: (S, I) float64 sums of a metric over the queries of an identity.
        counts: (S, I) float64 what the sums are divided by: numbers of queries, or, for a rate such
            as the success of an attack, of the queries that count in a run.
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, pids: np.ndarray, counted: np.ndarray | None = None) -> "Group":
        """Sums the values of queries by identity.

        Args:
            values: (S, Q) value of each query in each run.
            pids: (Q,) integer identities of the queries.
            counted: (S, Q) bool, the queries that count in a run; the values of others must be 0.
                None: all count.
        """
        _, place = np.unique(pids, return_inverse=True)
        width = int(place.max()) + 1
        ones = np.ones(np.shape(values)) if counted is None else np.asarray(counted, np.float64)
        rows = [np.asarray(rows, np.float64) for rows in (values, ones)]
        sums, counts = (np.stack([np.bincount(place, row, width) for row in one]) for one in rows)
        return cls(sums, counts)

    @property
    def runs(self) -> int:
        """S."""
        return len(self.sums)

    @property
    def metric(self) -> np.ndarray:
        """(S,) the metric of each run; NaN where no query counts."""
        with np.errstate(invalid="ignore"):
            ratio: np.ndarray = self.sums.sum(1) / self.counts.sum(1)
        return ratio

    @property
    def influence(self) -> np.ndarray:
        """(S, I) by how much an identity moves the metric of a run; the sum over I is 0.

        It is the linear part of the ratio: sum - metric x count, divided by all counts.
        """
        rest = self.sums - self.metric[:, None] * self.counts
        moved: np.ndarray = rest / self.counts.sum(1, keepdims=True)
        return moved


@dataclass(frozen=True, eq=False)
class Block:
    """Two groups of runs on the same queries.

    Attributes:
        first: The runs of one recipe.
        second: The runs of the other one, the baseline.
        paired: Run k of the one belongs to run k of the other: they share the training seed.

    Raises:
        ArgumentError: The groups show other identities, or runs are paired and not as many.
    """

    first: Group
    second: Group
    paired: bool = False

    def __post_init__(self) -> None:
        widths = [group.sums.shape[1] for group in (self.first, self.second)]
        if widths[0] != widths[1]:
            raise ArgumentError("second", f"shows {widths[1]} identities, first shows {widths[0]}")
        if self.paired and self.first.runs != self.second.runs:
            raise ArgumentError(
                "paired", f"needs as many runs, got {self.first.runs} and {self.second.runs}"
            )

    @property
    def identities(self) -> int:
        """I."""
        return self.first.sums.shape[1]

    @property
    def alone(self) -> bool:
        """Whether each group is a single run."""
        return self.first.runs == self.second.runs == 1

    @property
    def difference(self) -> float:
        """The mean metric of the first group less that of the second."""
        return float(self.first.metric.mean() - self.second.metric.mean())

    @property
    def effective_identities(self) -> float:
        """How many identities with equally many queries tell as much. Source: Kish, 1965."""
        counts = self.first.counts.sum(0) + self.second.counts.sum(0)
        return float(counts.sum() ** 2 / (counts**2).sum())

    @property
    def influence(self) -> np.ndarray:
        """(I,) by how much an identity moves the difference; the sum is 0."""
        moved: np.ndarray = self.first.influence.mean(0) - self.second.influence.mean(0)
        return moved

    @property
    def contributions(self) -> np.ndarray:
        """(I,) what each identity adds to the difference; the sum is the difference."""
        parts = [
            (group.sums / group.counts.sum(1, keepdims=True)).mean(0)
            for group in (self.first, self.second)
        ]
        added: np.ndarray = parts[0] - parts[1]
        return added
