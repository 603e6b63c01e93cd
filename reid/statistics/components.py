"""Where the error of a difference comes from: training seeds, identities, and both at once.

All runs of a block are tested on the same identities, so the numbers form a table, seeds x
identities, in which both sides are drawn at random (a crossed design with random effects):

    value(seed, identity) = mean + seed effect + identity effect + interaction

The variance of the mean of S seeds and I identities is then

    var(seed) / S + var(identity) / I + var(interaction) / (S I).

The spread of the seeds' means estimates the first and the last part, that of the identities' means
the middle and the last one. Their sum counts the last part twice, so it is subtracted once.
Sources: Searle, Casella, McCulloch, "Variance Components", 1992; Cameron, Gelbach, Miller, "Robust
Inference with Multiway Clustering", 2011; Owen, "The pigeonhole bootstrap", 2007.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reid.statistics.groups import Block, Side

NO_LIMIT = float("inf")  # degrees of freedom of a variance that is known


@dataclass(frozen=True)
class Components:
    """Variances of an estimated difference.

    Attributes:
        seeds: Of the seeds' means: what new seeds would change, the interaction included.
        seeds_df: Degrees of freedom of ``seeds``.
        identities: Of the identities' means: what new identities would change, with these runs.
        identities_df: Degrees of freedom of ``identities``.
        both: Of the interaction of seeds and identities, which the other two both contain.
    """

    seeds: float
    seeds_df: float
    identities: float
    identities_df: float
    both: float

    @property
    def pure_identities(self) -> float:
        """``identities`` without the interaction; an estimate below 0 is taken for 0."""
        return max(self.identities - self.both, 0.0)

    @property
    def variance(self) -> float:
        """Of the difference, over new seeds and new identities."""
        return self.seeds + self.pure_identities

    @property
    def df(self) -> float:
        """Degrees of freedom of ``variance``. Source: Satterthwaite, 1946."""
        parts = ((self.seeds, self.seeds_df), (self.pure_identities, self.identities_df))
        below = sum(part**2 / df for part, df in parts if part > 0)
        return self.variance**2 / below if below > 0 else NO_LIMIT


def components(block: Block) -> Components:
    """Estimates the parts from the runs of a block; single runs show nothing of the seeds.

    Args:
        block: Two runs or more of each group, or one of each.
    """
    effective = block.effective_identities
    few = effective / (effective - 1) if effective > 1 else 1.0
    identities = few * float((block.influence**2).sum())
    df = max(effective - 1, 1.0)
    if block.alone:
        return Components(0.0, NO_LIMIT, identities, df, 0.0)
    if block.paired:
        metric = block.first.metric - block.second.metric
        tables = [(metric, block.first.influence - block.second.influence)]
    else:
        tables = [(side.metric, side.influence) for side in block.independent]
    seeds = [float(metric.var(ddof=1)) / len(metric) for metric, _ in tables]
    both = [few * float(table.var(0, ddof=1).sum()) / len(table) for _, table in tables]
    sizes = [len(metric) for metric, _ in tables]
    return Components(sum(seeds), _welch(seeds, sizes), identities, df, sum(both))


def between_splits(differences: Sequence[float]) -> Components:
    """Estimates the variance of a mean difference over splits, each with people of its own.

    The differences of splits vary with everything that is new in a split: seed, training images and
    identities.

    Args:
        differences: One for each split, at least two.
    """
    count = len(differences)
    variance = float(np.var(differences, ddof=1)) / count
    return Components(variance, count - 1.0, 0.0, NO_LIMIT, 0.0)


def _welch(variances: Sequence[float], sizes: Sequence[int]) -> float:
    """Returns the degrees of freedom of a sum of variances of means. Source: Welch, 1947."""
    below = sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    return sum(variances) ** 2 / below if below > 0 else float(sum(n - 1 for n in sizes))


def pooled_sd(groups: Sequence[Side]) -> float:
    """Returns the standard deviation over runs, within groups; NaN if each has one run.

    Args:
        groups: Runs of one recipe, a group for each set of queries.
    """
    spread = sum(float(((one.metric - one.metric.mean()) ** 2).sum()) for one in groups)
    df = sum(one.runs - 1 for one in groups)
    return float(np.sqrt(spread / df)) if df else float("nan")
