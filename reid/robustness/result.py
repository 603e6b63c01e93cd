"""Results of an attack for each query, and metrics with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reid.evaluation.ranking import Ranking

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percentiles: 95 % of the resamples lie between


@dataclass(frozen=True, eq=False)
class Result:
    """One ranking of all valid queries under one perturbation.

    Attributes:
        kind: "clean", "attack", "worst", "steps" (an attack at another number of steps) or
            "corruption".
        name: Name of the attack or corruption.
        level: Budget in 1/255, or severity.
        ranking: "plain", "re-ranked", ...
        query_index: (V,) int64 indices of the valid queries.
        pids: (V,) int64 identities of these queries.
        ap: (V,) float64 average precision.
        inp: (V,) float64 inverse negative penalty.
        first_hit: (V,) int64 0-based rank of the first match.
        facts: Further numbers: "seconds", "change" (largest change in levels), "passes" (forward
            and backward passes per attacked image), "steps", "reached" (fraction of targeted
            queries whose first hit is the target).
    """

    kind: str
    name: str
    level: float
    ranking: str
    query_index: np.ndarray
    pids: np.ndarray
    ap: np.ndarray
    inp: np.ndarray
    first_hit: np.ndarray
    facts: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: str,
        name: str,
        level: float,
        title: str,
        ranking: Ranking,
        pids: np.ndarray,
        facts: dict[str, float],
    ) -> "Result":
        """Builds the result of a ranking.

        Args:
            kind: Kind of the perturbation, one of those of the class.
            name: Name of the attack or corruption.
            level: Budget in 1/255, or severity.
            title: Name of the ranking.
            ranking: Metrics of the V valid queries.
            pids: (Q,) int64 identities of all queries.
            facts: Further numbers, as in the class.
        """
        index = ranking.query_index
        per_query = (index, pids[index], ranking.ap, ranking.inp, ranking.first_hit)
        return cls(kind, name, float(level), title, *per_query, facts)

    @property
    def hit(self) -> np.ndarray:
        """(V,) bool, whether the first hit is a match."""
        return self.first_hit == 0


def worst_case(results: Sequence[Result], name: str = "worst case") -> Result:
    """Returns the worst result of several attacks for each query.

    An attacker may choose the attack for each query, so the minimum is taken per query and not over
    the means.
    Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705.

    Args:
        results: Results of attacks with one budget and one ranking.
        name: Name of the worst case.
    """
    first = results[0]
    ap, inp = (np.min([getattr(o, key) for o in results], axis=0) for key in ("ap", "inp"))
    hit = np.max([o.first_hit for o in results], axis=0)
    facts = {"attacks": float(len(results))}
    same = (first.level, first.ranking, first.query_index, first.pids)
    return Result("worst", name, *same, ap, inp, hit, facts)


def summary(result: Result, clean: Result, seed: int) -> dict[str, float]:
    """Returns metrics as fractions, with the ends of their 95 % bootstrap intervals.

    Keys: mAP, mINP, rank1, rank5, each with ``_low`` and ``_high``; ``success``, the attack success
    rate: of the queries whose first hit is right on clean images, the fraction whose first hit is
    wrong under attack (NaN if none was right); and ``facts``.

    Args:
        result: Result of one ranking.
        clean: Clean result of the same ranking and queries.
        seed: Seed of the resampling.
    """
    ones = np.ones(len(result.ap))
    columns = {
        "mAP": (result.ap, ones),
        "mINP": (result.inp, ones),
        "rank1": (result.hit, ones),
        "rank5": (result.first_hit < 5, ones),
        "success": (clean.hit & ~result.hit, clean.hit),
    }
    row: dict[str, float] = {}
    for name, (top, bottom) in columns.items():
        row[name] = _ratio(float(top.sum()), float(bottom.sum()))
        low, high = bootstrap(top, bottom, result.pids, seed)
        row[f"{name}_low"] = low
        row[f"{name}_high"] = high
    return {**row, **result.facts}


def bootstrap(
    top: np.ndarray, bottom: np.ndarray, groups: np.ndarray, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Returns a 95 % percentile interval of sum(top) / sum(bottom), resampling whole groups.

    Queries of one identity are similar, so identities are resampled: intervals over single queries
    would be too narrow. The interval shows how much the number depends on the choice of identities;
    it does not show how much it depends on the training seed.

    Args:
        top: (V,) numerators.
        bottom: (V,) denominators.
        groups: (V,) int64 identity of each query.
        seed: Seed of the resampling.
        resamples: Number of resamples.
    """
    _, group = np.unique(groups, return_inverse=True)
    size = int(group.max()) + 1
    tops, bottoms = (np.bincount(group, x, size) for x in (top, bottom))
    rng = np.random.default_rng(seed)
    times = rng.multinomial(size, np.full(size, 1 / size), resamples)
    sums = times @ bottoms
    ratios = (times @ tops)[sums > 0] / sums[sums > 0]
    if not len(ratios):
        return float("nan"), float("nan")
    low, high = np.percentile(ratios, INTERVAL)
    return float(low), float(high)


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else float("nan")
