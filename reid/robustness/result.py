"""What an attack did to each query, and the numbers that follow."""

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
        name: Of the attack or corruption.
        level: Budget in 1/255, or severity.
        ranking: "plain", "re-ranked", ...
        query_index: (V,) which queries.
        pids: (V,) their identities.
        ap: (V,) average precision.
        inp: (V,) inverse negative penalty.
        first_hit: (V,) 0-based rank of the first match.
        facts: Further numbers: "seconds", "change" (largest change in levels), "steps", "reached"
            (share of targeted queries whose first hit is the target).
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
        """Takes over what a ranking says of each query.

        Args:
            kind: See the class.
            name: See the class.
            level: See the class.
            title: Name of the ranking.
            ranking: Of the queries that have a match.
            pids: (Q,) identities of all queries.
            facts: See the class.
        """
        index = ranking.query_index
        per_query = (index, pids[index], ranking.ap, ranking.inp, ranking.first_hit)
        return cls(kind, name, float(level), title, *per_query, facts)

    @property
    def hit(self) -> np.ndarray:
        """(V,) bool, whether the first place is a match."""
        return self.first_hit == 0


def worst_case(results: Sequence[Result], name: str = "worst case") -> Result:
    """Returns, query by query, the least of several attacks: the mean of minima.

    An attacker may choose the attack for each query. The least of the means would let one attack
    fail on some queries that another breaks.
    Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705.

    Args:
        results: Attacks of one budget and ranking.
        name: What the worst case is called.
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
    rate: of the queries whose first hit is right on clean images, the share whose first hit is
    wrong now (NaN where none was right); and ``facts``.

    Args:
        result: Of one ranking.
        clean: Of the same ranking and queries.
        seed: Of the resampling.
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
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    return {**row, **result.facts}


def bootstrap(
    top: np.ndarray, bottom: np.ndarray, groups: np.ndarray, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Returns a 95 % percentile interval of sum(top) / sum(bottom), resampling whole groups.

    Queries of one identity are alike, so that identities are drawn, not queries: intervals over
    queries would be too narrow. It says how much the number depends on these identities, not on
    the training seed.

    Args:
        top: (V,) numerators.
        bottom: (V,) denominators.
        groups: (V,) the identity of each.
        seed: Of the draws.
        resamples: Their number.
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
