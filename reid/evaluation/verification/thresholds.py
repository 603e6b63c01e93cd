"""Thresholds at given false-accept rates, with intervals over identities, and the ROC curve.

A pair is accepted as one person if its score is above the threshold. The false-accept rate (FAR) is
the share of the impostor pairs that are accepted, the true-accept rate (TAR) that of the true
pairs. All counts are exact.
"""

from typing import Any, NamedTuple

import numpy as np

from reid.evaluation.verification.pairs import BINS, Pairs, PairScores
from reid.evaluation.verification.resampling import Resampled, interval, resample

RATES = (1e-2, 1e-3, 1e-4)  # false-accept rates
FEWEST = 10  # pairs that must be accepted at a rate for it to be measured
INTERVAL = (2.5, 97.5)  # percentiles: 95 % of the resamples lie between
ROC_POINTS = 60


class Interval(NamedTuple):
    """A 95 % interval; NaN where there are too few people for one."""

    low: float
    high: float


class OperatingPoint(NamedTuple):
    """A threshold and what it does.

    Attributes:
        rate: The false-accept rate that was asked for.
        threshold: Pairs with a score above it are accepted.
        accepted: Number of impostor pairs above it.
        false: FAR, at most the rate.
        found: TAR.
        threshold_interval: Where the threshold for this rate lies with other people.
        false_interval: FAR of this threshold with other people.
        found_interval: TAR of this threshold with other people.
    """

    rate: float
    threshold: float
    accepted: int
    false: float
    found: float
    threshold_interval: Interval
    false_interval: Interval
    found_interval: Interval


def allowed(rate: float, num: int) -> int:
    """Returns how many of ``num`` pairs may be accepted at a rate.

    Args:
        rate: A share.
        num: Number of pairs.
    """
    return int(rate * num * (1 + 1e-12))  # 1e-3 of 1000 pairs is one pair


def too_few(rate: float, num: int) -> str:
    """Says that there are too few impostor pairs for a rate; "" if there are enough.

    Args:
        rate: The false-accept rate.
        num: Number of impostor pairs.
    """
    if allowed(rate, num) >= FEWEST:
        return ""
    return (
        f"too few impostor pairs for a rate of {rate:g}: {num}, and {FEWEST} false accepts need"
        f" {round(FEWEST / rate)}"
    )


def bounds(pairs: Pairs, scores: PairScores) -> dict[float, float]:
    """Returns the threshold of each of RATES for which there are enough impostor pairs.

    The threshold of a rate r is the score of the impostor pair number floor(r N) + 1, from the
    highest on: it is the lowest score above which at most r N impostor pairs lie.

    Args:
        pairs: The pairs.
        scores: Their scores.
    """
    num = pairs.num_impostor
    rates = [rate for rate in RATES if not too_few(rate, num)]
    return {rate: float(scores.high[allowed(rate, num)]) for rate in rates}


def operating_points(
    pairs: Pairs, scores: PairScores, seed: int = 0, resamples: int = 500
) -> list[OperatingPoint]:
    """Returns what the thresholds of :func:`bounds` do.

    Args:
        pairs: The pairs.
        scores: Their scores.
        seed: Of the resampling.
        resamples: Number of resamples of the identities.
    """
    num = pairs.num_impostor
    found_bounds = bounds(pairs, scores)
    if not found_bounds:
        return []
    places = {rate: allowed(rate, num) for rate in found_bounds}
    resampled = resample(pairs, scores, places, seed, resamples)
    points = []
    for number, (rate, bound) in enumerate(found_bounds.items()):
        accepted = int(np.count_nonzero(scores.high > bound))
        found = float(np.count_nonzero(scores.true > bound) / len(scores.true))
        intervals = _intervals(resampled, number)
        points.append(OperatingPoint(rate, bound, accepted, accepted / num, found, *intervals))
    return points


def _intervals(resampled: Resampled | None, number: int) -> list[Interval]:
    """Returns the intervals of threshold, FAR and TAR of a rate."""
    if resampled is None:
        return [Interval(float("nan"), float("nan"))] * 3
    # Weights of two people widen these two enough; see the module of the draws.
    both = (resampled.thresholds, resampled.false)
    ends = [np.percentile(values[:, number], INTERVAL).tolist() for values in both]
    found = interval(resampled.found[:, number], resampled.people)
    return [Interval(*pair) for pair in (*ends, found)]


def equal_error_rate(scores: PairScores) -> float:
    """Returns the error rate at the threshold where FAR and 1 - TAR differ least.

    The threshold is one of the bounds of the bins of the histograms, 1/4096 apart; the counts there
    are exact, and the mean of both rates is returned.
    """
    false, found = _rates(scores)
    nearest = int(np.abs(false - (1 - found)).argmin())
    return float(false[nearest] + 1 - found[nearest]) / 2


def _rates(scores: PairScores) -> tuple[np.ndarray, np.ndarray]:
    """Returns FAR and TAR at the lower bound of each bin."""
    rates = []
    for counts in (scores.impostor_counts, scores.true_counts):
        total = counts.sum(axis=0)
        rates.append(np.cumsum(total[::-1])[::-1] / total.sum())
    return rates[0], rates[1]


def roc(pairs: Pairs, scores: PairScores) -> list[dict[str, float]]:
    """Returns points of the ROC curve from the lowest FAR to 1: "false", "found", "threshold".

    Where the highest impostor scores are kept a point is one of them, else the bound of a bin.

    Args:
        pairs: The pairs.
        scores: Their scores.
    """
    num = pairs.num_impostor
    true = np.sort(scores.true)
    points = []
    for place in np.unique(np.geomspace(1, num, ROC_POINTS).astype(np.int64)):
        if place < len(scores.high):
            bound = scores.high[place]
            false = np.searchsorted(-scores.high, -bound, "left") / num
            found = 1 - np.searchsorted(true, bound, "right") / len(true)
            points.append({"false": float(false), "found": float(found), "threshold": float(bound)})
        else:
            points.append(_binned_point(scores, place / num))
    return points


def _binned_point(scores: PairScores, rate: float) -> dict[str, float]:
    """Returns the point of the lowest bound of a bin whose FAR is at most ``rate``."""
    false, found = _rates(scores)
    cell = int(np.argmax(false <= rate))
    bound = 2 * cell / BINS - 1
    return {"false": float(false[cell]), "found": float(found[cell]), "threshold": bound}


def as_record(point: OperatingPoint) -> dict[str, Any]:
    """Returns an operating point as plain numbers; None in the place of NaN."""
    record: dict[str, Any] = {
        "rate": point.rate,
        "threshold": point.threshold,
        "accepted": point.accepted,
        "false": point.false,
        "found": point.found,
    }
    for name in ("threshold", "false", "found"):
        interval: Interval = getattr(point, f"{name}_interval")
        for end in ("low", "high"):
            value = getattr(interval, end)
            record[f"{name}_{end}"] = None if value != value else value
    return record
