"""Are two images of one person? Thresholds, probabilities, strangers, cameras: from features."""

from typing import Any

from reid.evaluation.features import Features
from reid.evaluation.protocol import CROSS_CAMERA
from reid.evaluation.verification.calibration import calibrate
from reid.evaluation.verification.cameras import camera_ap
from reid.evaluation.verification.open_set import open_set
from reid.evaluation.verification.pairs import collect, count_above, make_pairs
from reid.evaluation.verification.thresholds import (
    RATES,
    as_record,
    bounds,
    equal_error_rate,
    operating_points,
    roc,
    too_few,
)

__all__ = ["verification", "verification_rates", "verification_thresholds"]

RESAMPLES = 500


def verification(
    query: Features,
    gallery: Features,
    protocol: str = CROSS_CAMERA,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Returns how well the cosine similarity tells pairs of one person from pairs of two.

    All pairs of a query and a gallery image are counted, except for junk; beyond 1e9 pairs those of
    evenly spaced queries.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        protocol: ``cross_camera`` or ``any_camera``: which pairs of one person count.
        seed: Of the resampling of the people.
        resamples: Number of resamples; the intervals are those of 95 %.

    Returns:
        Plain numbers, lists and texts by name, which JSON takes.

        * "score", "protocol", "true_pairs", "impostor_pairs", "people", "queries" and, if only some
          were taken, "queries_given": what was counted.
        * "thresholds": of :data:`RATES`; see :class:`.thresholds.OperatingPoint`.
        * "equal_error_rate", and "roc": points of the curve.
        * "calibration": see :class:`.calibration.Calibration`.
        * "open_set": see :func:`.open_set.open_set`.
        * "cameras": see :func:`.cameras.camera_ap`.
        * "notes": what could not be measured, as sentences.

    Raises:
        InputError: There is no true pair or no impostor pair, or a feature is all zeros.
    """
    pairs = make_pairs(query, gallery, protocol)
    scores = collect(pairs)
    points = operating_points(pairs, scores, seed, resamples)
    strangers = open_set(pairs, scores, seed, resamples)
    notes = [too_few(rate, pairs.num_impostor) for rate in RATES] + strangers.pop("notes")
    taken = len(pairs.q_person)
    given = {} if taken == pairs.num_given else {"queries_given": pairs.num_given}
    return {
        "score": "cosine similarity",
        "protocol": protocol,
        "true_pairs": pairs.num_true,
        "impostor_pairs": pairs.num_impostor,
        "people": pairs.num_people,
        "queries": taken,
        **given,
        "thresholds": [as_record(point) for point in points],
        "equal_error_rate": equal_error_rate(scores),
        "roc": roc(pairs, scores),
        "calibration": calibrate(scores).record(),
        "open_set": strangers,
        "cameras": camera_ap(pairs, scores),
        "notes": [note for note in notes if note],
    }


def verification_thresholds(query: Features, gallery: Features, protocol: str) -> dict[str, float]:
    """Returns the threshold of each false-accept rate that can be measured, by name ("0.001").

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        protocol: ``cross_camera`` or ``any_camera``.

    Raises:
        InputError: As :func:`verification`.
    """
    pairs = make_pairs(query, gallery, protocol)
    return {f"{rate:g}": bound for rate, bound in bounds(pairs, collect(pairs)).items()}


def verification_rates(
    query: Features, gallery: Features, protocol: str, thresholds: list[float]
) -> list[dict[str, float]]:
    """Returns what given thresholds do to the pairs of query and gallery, exactly counted.

    An entry has the "threshold", the shares "false" and "found", and how many impostor pairs are
    "passed" and how many true pairs are "lost".

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        protocol: ``cross_camera`` or ``any_camera``.
        thresholds: Scores.

    Raises:
        InputError: As :func:`verification`.
    """
    pairs = make_pairs(query, gallery, protocol)
    return [
        {
            "threshold": threshold,
            "false": counts.impostor / pairs.num_impostor,
            "found": counts.true / pairs.num_true,
            "passed": counts.impostor,
            "lost": pairs.num_true - counts.true,
        }
        for threshold, counts in zip(thresholds, count_above(pairs, thresholds), strict=True)
    ]
