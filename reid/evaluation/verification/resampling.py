"""Thresholds and rates when the people are drawn anew: a bootstrap over identities.

The images of a person are alike, and so are its pairs: people are drawn, and not pairs. A person
that is drawn w times gives each of its true pairs the weight w, and an impostor pair of the people
a and b has the weight w_a w_b; pairs of a person with itself stay true pairs. Source: the bootstrap
of vertices of Snijders and Borgatti, "Non-Parametric Standard Errors and Tests for Network
Statistics", Connections 22 (1999). A pair is drawn by both of its people, so that noise of single
pairs counts more than once, and intervals are rather too wide than too narrow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reid.evaluation.verification.pairs import Pairs, PairScores

CELLS = 200  # groups of neighbouring impostor scores, between whose bounds is interpolated
AT_A_TIME = 50  # resamples
FEWEST_PEOPLE = 2


def interval(values: np.ndarray, people: int) -> tuple[float, float]:
    """Returns the ends of a 95 % interval of a share whose pairs or queries have one person each.

    Of few people plain percentiles make it too narrow: they are expanded to what Student's t asks
    for. Source: Hesterberg, "What Teachers Should Know about the Bootstrap", 2015.

    Args:
        values: (R,) shares, one of each draw.
        people: How many people were drawn from, at least 2.
    """
    from scipy.special import ndtr, stdtrit

    outside = float(ndtr(stdtrit(people - 1, 0.025) * np.sqrt(people / (people - 1))))
    low, high = np.percentile(values, [100 * outside, 100 * (1 - outside)])
    return float(low), float(high)


class Resampled(NamedTuple):
    """What R resamples of the people gave, for each of F rates.

    Attributes:
        thresholds: (R, F) thresholds of the rates.
        false: (R, F) FAR of the thresholds of all people.
        found: (R, F) TAR of these thresholds.
        people: Number of people with true pairs.
    """

    thresholds: np.ndarray
    false: np.ndarray
    found: np.ndarray
    people: int


class _Cells(NamedTuple):
    """Impostor pairs in groups, the highest scores first, and sums of true pairs above each.

    Attributes:
        bounds: (E,) numbers of the highest pairs that the groups end behind.
        scores: (E,) scores of the next pair.
        sums: (S, P) sparse counts of impostor pairs: row = a group and a person, column = other.
        person: (S,) person of each row.
        starts: (E,) first row of each group.
        true: (P, E) true pairs of a query's person that are above each score.
    """

    bounds: np.ndarray
    scores: np.ndarray
    sums: Any
    person: np.ndarray
    starts: np.ndarray
    true: np.ndarray


def resample(
    pairs: Pairs,
    scores: PairScores,
    places: Mapping[float, int],
    seed: int,
    resamples: int,
) -> Resampled | None:
    """Draws people with replacement, and returns thresholds and rates of each draw.

    Args:
        pairs: The pairs.
        scores: Their scores.
        places: How many impostor pairs may be above the threshold, by false-accept rate.
        seed: Of the draws.
        resamples: R.

    Returns:
        None if fewer than two people have true pairs, or no draw has both kinds of pairs.
    """
    with_pairs = len(np.unique(pairs.q_person[scores.true_query]))
    if with_pairs < FEWEST_PEOPLE:
        return None
    numbers = list(places.values())
    cells = _cells(pairs, scores, numbers)
    at = np.searchsorted(cells.bounds, numbers)
    rng = np.random.default_rng(seed)
    people = pairs.num_people
    q_count = np.bincount(pairs.q_person, minlength=people)
    g_count = np.bincount(pairs.g_person, minlength=people)
    true_count = np.bincount(pairs.q_person[scores.true_query], minlength=people)
    parts: list[tuple[np.ndarray, ...]] = []
    for _ in range(0, resamples, AT_A_TIME):
        drawn = rng.multinomial(people, np.full(people, 1 / people), AT_A_TIME).T.astype(float)
        total = (q_count @ drawn) * (g_count @ drawn) - (q_count * g_count) @ drawn**2
        true = true_count @ drawn
        kept = (total > 0) & (true > 0)  # others drew no pair of a kind
        drawn = drawn[:, kept]
        false = _impostors_above(cells, drawn) / total[kept]
        found = (cells.true.T @ drawn) / true[kept]
        columns = [_crossing(false, cells.scores, rate) for rate in places]
        parts.append((np.stack(columns, axis=1), false[at].T, found[at].T))
    thresholds, false, found = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Resampled(thresholds, false, found, with_pairs) if len(false) else None


def _cells(pairs: Pairs, scores: PairScores, places: Sequence[int]) -> _Cells:
    # Imported here: scipy.sparse takes a quarter of a second.
    from scipy.sparse import csr_array

    kept = len(scores.high)
    last = kept - 1
    bounds = np.unique(
        np.concatenate([np.geomspace(1, max(last, 1), CELLS).astype(np.int64), places])
    )
    bounds = bounds[bounds <= last]
    people = pairs.num_people
    cell = np.searchsorted(bounds, np.arange(bounds[-1]), "right")
    one = pairs.q_person[scores.high_query[: bounds[-1]]]
    other = pairs.g_person[scores.high_gallery[: bounds[-1]]]
    keys, row = np.unique(cell * people + one, return_inverse=True)
    ones = np.ones(len(row))
    sums = csr_array((ones, (row, other)), shape=(len(keys), people))
    starts = np.searchsorted(keys // people, np.arange(len(bounds)))
    above = scores.high[bounds]
    person = pairs.q_person[scores.true_query]
    # A true pair is above the bounds from the first one on whose score is lower.
    first = np.searchsorted(-above, -scores.true, "right")
    flat = np.bincount(person * (len(bounds) + 1) + first, minlength=people * (len(bounds) + 1))
    true = np.cumsum(flat.reshape(people, -1)[:, :-1], axis=1)
    return _Cells(bounds, above, sums, keys % people, starts, true)


def _impostors_above(cells: _Cells, drawn: np.ndarray) -> np.ndarray:
    """Returns the weight of the impostor pairs above each bound, (E, R)."""
    products = (cells.sums @ drawn) * drawn[cells.person]
    return np.cumsum(np.add.reduceat(products, cells.starts, axis=0), axis=0)


def _crossing(false: np.ndarray, scores: np.ndarray, rate: float) -> np.ndarray:
    """Returns the score at which each draw has a FAR of ``rate``, between bounds interpolated."""
    return np.array([np.interp(rate, column, scores) for column in false.T])
