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
    def mean(self) -> float:
        """The mean metric over the runs."""
        return float(self.metric.mean())

    @property
    def identities(self) -> int:
        """I."""
        return self.sums.shape[1]

    @property
    def parts(self) -> "tuple[tuple[int, Group], ...]":
        """What the mean is made of, with signs."""
        return ((1, self),)

    @property
    def independent(self) -> "tuple[Side, ...]":
        """What has seeds of its own, one after the other."""
        return (self,)

    @property
    def contributions(self) -> np.ndarray:
        """(I,) what each identity adds to the mean metric; the sum is the mean."""
        added: np.ndarray = (self.sums / self.counts.sum(1, keepdims=True)).mean(0)
        return added

    @property
    def influence(self) -> np.ndarray:
        """(S, I) by how much an identity moves the metric of a run; the sum over I is 0.

        It is the linear part of the ratio: sum - metric x count, divided by all counts.
        """
        rest = self.sums - self.metric[:, None] * self.counts
        moved: np.ndarray = rest / self.counts.sum(1, keepdims=True)
        return moved


@dataclass(frozen=True, eq=False)
class Gain:
    """What a recipe gains over another one: one side of a difference of differences.

    Attributes:
        of: The runs that gain.
        over: The runs that they are compared with.
        paired: Run k of the one belongs to run k of the other: they share the training seed, or are
            one run that is ranked in two ways.

    Raises:
        ArgumentError: The groups show other identities, or runs are paired and not as many.
    """

    of: Group
    over: Group
    paired: bool = False

    def __post_init__(self) -> None:
        _check_fit(("of", self.of), ("over", self.over), self.paired)

    @property
    def runs(self) -> int:
        """The number of runs of a group; the smaller one where they are not as many."""
        return min(self.of.runs, self.over.runs)

    @property
    def metric(self) -> np.ndarray:
        """(S,) the gain of each pair of runs; it has a meaning for paired and for single runs."""
        gained: np.ndarray = self.of.metric - self.over.metric
        return gained

    @property
    def mean(self) -> float:
        """The mean gain."""
        return self.of.mean - self.over.mean

    @property
    def identities(self) -> int:
        """I."""
        return self.of.identities

    @property
    def parts(self) -> tuple[tuple[int, Group], ...]:
        """Both groups, with signs."""
        return ((1, self.of), (-1, self.over))

    @property
    def independent(self) -> "tuple[Side, ...]":
        """The pairs; or both groups, if they are not paired."""
        return (self,) if self.paired else (self.of, self.over)

    @property
    def contributions(self) -> np.ndarray:
        """(I,) what each identity adds to the mean gain."""
        return self.of.contributions - self.over.contributions

    @property
    def influence(self) -> np.ndarray:
        """(S, I) by how much an identity moves the gain of a pair; see ``metric``."""
        return self.of.influence - self.over.influence


Side = Group | Gain


@dataclass(frozen=True, eq=False)
class Block:
    """Two groups of runs on the same queries, or two gains.

    Two gains make a difference of differences. That of a 2 x 2 study is what A gains on top of B,
    less what it gains alone: (AB - B) - (A - plain).

    Attributes:
        first: The runs of one recipe, or one gain.
        second: The runs of the other one, the baseline; or the other gain.
        paired: Run k of the one belongs to run k of the other: they share the training seed.

    Raises:
        ArgumentError: The sides show other identities, or runs are paired and not as many.
    """

    first: Side
    second: Side
    paired: bool = False

    def __post_init__(self) -> None:
        _check_fit(("first", self.first), ("second", self.second), self.paired)

    @property
    def independent(self) -> tuple[Side, ...]:
        """What has seeds of its own where the sides are not paired."""
        return (*self.first.independent, *self.second.independent)

    @property
    def parts(self) -> list[tuple[int, Group]]:
        """All groups, with their signs in the difference."""
        return [*self.first.parts, *((-sign, group) for sign, group in self.second.parts)]

    @property
    def identities(self) -> int:
        """I."""
        return self.first.identities

    @property
    def alone(self) -> bool:
        """Whether each group is a single run."""
        return all(group.runs == 1 for _, group in self.parts)

    @property
    def difference(self) -> float:
        """The mean of the first side less that of the second."""
        return self.first.mean - self.second.mean

    @property
    def effective_identities(self) -> float:
        """How many identities with equally many queries tell as much (Kish, 1965)."""
        counts = sum(group.counts.sum(0) for _, group in self.parts)
        return float(np.sum(counts) ** 2 / np.sum(counts**2))

    @property
    def influence(self) -> np.ndarray:
        """(I,) by how much an identity moves the difference; the sum is 0."""
        moved: np.ndarray = sum(sign * group.influence.mean(0) for sign, group in self.parts)
        return moved

    @property
    def contributions(self) -> np.ndarray:
        """(I,) what each identity adds to the difference; the sum is the difference."""
        return self.first.contributions - self.second.contributions


def _check_fit(first: tuple[str, Side], second: tuple[str, Side], paired: bool) -> None:
    """Raises ArgumentError unless two named sides can be set against each other."""
    (name, one), (other_name, other) = first, second
    if one.identities != other.identities:
        raise ArgumentError(
            other_name, f"shows {other.identities} identities, {name} shows {one.identities}"
        )
    if paired and one.runs != other.runs:
        raise ArgumentError("paired", f"needs as many runs, got {one.runs} and {other.runs}")
    if paired and len(one.independent) + len(other.independent) > 2:
        raise ArgumentError("paired", "needs gains whose own groups are paired, too")
