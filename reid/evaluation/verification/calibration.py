"""Probabilities from scores: a logistic curve, fitted by scikit-learn.

It is fitted on all pairs of a test, true and impostor pairs having the same weight together: the
probability is that for somebody to whom both answers are equally likely before the images are seen.
Whoever knows that one pair in a thousand is a true one adds log(1/999) to the logit.
Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from reid.evaluation.verification.pairs import BINS, PairScores

PRIOR = 0.5
FEWEST = 10  # true pairs of each half of the people, for a check
GROUPS = 10  # of probabilities, whose mean is compared with the share of true pairs
_WEAK = 1e4  # inverse of the strength of the penalty, which keeps a perfect fit finite


class Calibration(NamedTuple):
    """P(one person) = 1 / (1 + exp(-(slope * score + intercept))).

    Attributes:
        slope: Slope of the logit.
        intercept: Logit at score 0.
        error: Expected calibration error on people that the curve was not fitted on: two curves,
            each fitted on the pairs within one half of the people, and compared with the pairs
            within the other; NaN where a half has too few true pairs.
    """

    slope: float
    intercept: float
    error: float

    def probability(self, score: float) -> float:
        """Returns the probability that a pair of this score is of one person."""
        logit = self.slope * score + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0

    def record(self) -> dict[str, Any]:
        """Returns plain numbers, and what they are."""
        error = None if self.error != self.error else self.error
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "prior": PRIOR,
            "error": error,
            "fit": "logistic regression on all pairs, both kinds with the same weight together;"
            " error: of curves fitted on one half of the people, on the other half",
        }


def calibrate(scores: PairScores) -> Calibration:
    """Fits the curve on histograms of the scores, whose bins are 1/4096 wide.

    Args:
        scores: Of all pairs.
    """
    true, impostor = scores.true_counts, scores.impostor_counts
    slope, intercept = _fit(true.sum(axis=0), impostor.sum(axis=0))
    errors = []
    for half in (0, 1):
        parts = [true[half], impostor[half], true[1 - half], impostor[1 - half]]
        if min(part.sum() for part in parts) < FEWEST:
            return Calibration(slope, intercept, float("nan"))
        errors.append(_error(*_fit(parts[0], parts[1]), parts[2], parts[3]))
    return Calibration(slope, intercept, float(np.mean(errors)))


def _centers() -> np.ndarray:
    centers: np.ndarray = (2 * np.arange(BINS) + 1) / BINS - 1
    return centers


def _fit(true: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """Returns slope and intercept for (BINS,) counts of both kinds."""
    # Imported here: it takes seconds.
    from sklearn.linear_model import LogisticRegression

    size = float(true.sum())
    score = np.tile(_centers(), 2)
    label = np.repeat([1, 0], BINS)
    weight = np.concatenate([true, impostor * (size / impostor.sum())])
    used = weight > 0
    score, label, weight = score[used], label[used], weight[used]
    mean = np.average(score, weights=weight)
    spread = math.sqrt(np.average((score - mean) ** 2, weights=weight)) or 1.0
    curve = LogisticRegression(C=_WEAK, max_iter=1000)
    curve.fit(((score - mean) / spread)[:, None], label, sample_weight=weight)
    slope = float(curve.coef_[0, 0]) / spread
    return slope, float(curve.intercept_[0]) - slope * float(mean)


def _error(slope: float, intercept: float, true: np.ndarray, impostor: np.ndarray) -> float:
    """Returns the mean distance of the probability to the share of true pairs, by groups."""
    logit = np.clip(slope * _centers() + intercept, -700, 700)
    probability = 1 / (1 + np.exp(-logit))
    group = np.minimum((probability * GROUPS).astype(int), GROUPS - 1)
    weights = [counts / counts.sum() / 2 for counts in (true, impostor)]
    both = weights[0] + weights[1]
    expected = np.bincount(group, both * probability, GROUPS)
    happened = np.bincount(group, weights[0], GROUPS)
    return float(np.abs(expected - happened).sum())
