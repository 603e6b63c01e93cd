"""Search for people who may not be in the gallery: identification against false alarms.

An alarm is a best score above the threshold. Each query is searched twice: with its person in the
gallery, and, as a stranger, with all images of its person taken out. The false alarm rate (FPIR) is
the share of strangers that raise an alarm; the detection and identification rate (DIR) is the share
of the queries with a match whose best score is above the threshold and of the right person.
Source: Phillips, Grother and Micheals, "Evaluation Methods in Face Recognition", 2011.
"""

from typing import Any

import numpy as np

from reid.evaluation.verification.pairs import Pairs, PairScores
from reid.evaluation.verification.resampling import FEWEST_PEOPLE, interval
from reid.evaluation.verification.thresholds import FEWEST, allowed

RATES = (1e-1, 1e-2)  # false alarm rates
CURVE_POINTS = 40


def open_set(
    pairs: Pairs, scores: PairScores, seed: int = 0, resamples: int = 500
) -> dict[str, Any]:
    """Returns "strangers" and "known" (counts), "rates", "curve" and, for missing rates, "notes".

    An entry of "rates" has the "rate", the "threshold", the share "false" of the strangers and the
    share "found", both with ``_low`` and ``_high``: people are drawn anew, the gallery stays.

    Args:
        pairs: The pairs.
        scores: Their scores.
        seed: Of the resampling.
        resamples: Number of resamples of the people.
    """
    strange = np.isfinite(scores.best_impostor)
    known = np.isfinite(scores.best_true)
    right = known & (scores.best_true > scores.best_impostor)
    alarms = np.sort(scores.best_impostor[strange])[::-1]
    rates, notes = [], []
    drawn = _draws(pairs.q_person, seed, resamples)
    for rate in RATES:
        place = allowed(rate, len(alarms))
        if place < FEWEST:
            notes.append(
                f"too few queries for a false alarm rate of {rate:g}: {len(alarms)}, and"
                f" {FEWEST} false alarms need {round(FEWEST / rate)}"
            )
            continue
        bound = alarms[place]
        false, found = scores.best_impostor > bound, right & (scores.best_true > bound)
        entry: dict[str, float | None] = {"rate": rate, "threshold": float(bound)}
        for name, hits, among in (("false", false, strange), ("found", found, known)):
            people = len(np.unique(pairs.q_person[among]))
            low, high = _interval(hits & among, among, drawn, people)
            entry[name] = float(hits[among].mean())
            entry |= {f"{name}_low": low, f"{name}_high": high}
        rates.append(entry)
    return {
        "strangers": len(alarms),
        "known": int(known.sum()),
        "rates": rates,
        "curve": _curve(alarms, np.sort(scores.best_true[right]), int(known.sum())),
        "notes": notes,
    }


def _draws(person: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Returns how often each query is drawn, (R, Q): as often as its person."""
    people, number = np.unique(person, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), resamples)
    return drawn.astype(np.float32)[:, number]


def _interval(
    hits: np.ndarray, among: np.ndarray, drawn: np.ndarray, people: int
) -> tuple[float | None, float | None]:
    """Returns the ends of the interval of a share of queries; None where one person has them."""
    totals = drawn @ among.astype(np.float32)
    shares = (drawn @ hits.astype(np.float32))[totals > 0] / totals[totals > 0]
    return interval(shares, people) if people >= FEWEST_PEOPLE else (None, None)


def _curve(alarms: np.ndarray, right: np.ndarray, num_known: int) -> list[dict[str, float]]:
    """Returns points of DIR against FPIR: "false", "found"."""
    points = []
    for place in np.unique(np.geomspace(1, len(alarms), CURVE_POINTS).astype(int)):
        bound = alarms[min(place, len(alarms) - 1)]
        found = len(right) - np.searchsorted(right, bound, "right")
        false = np.searchsorted(-alarms, -bound, "left")
        points.append({"false": false / len(alarms), "found": found / max(1, num_known)})
    return points
