"""What a verification found, in sentences and in a table."""

from collections.abc import Mapping, Sequence
from typing import Any


def sentence(point: Mapping[str, Any]) -> str:
    """Returns what a threshold does: "same person above 0.63: 0.1 % false, 82 % found".

    Args:
        point: An entry of "thresholds" of :func:`reid.evaluation.verification.verification`.
    """
    false, found = (
        f"{_percent(point[name])} % {name}{_interval(point, name)}" for name in ("false", "found")
    )
    return f"same person above {point['threshold']:.4g}: {false}, {found}"


def _interval(point: Mapping[str, Any], name: str) -> str:
    low, high = point.get(f"{name}_low"), point.get(f"{name}_high")
    if low is None or high is None:
        return ""
    return f" (95 %: {_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    """Returns a share in percent with three digits, and without digits that say nothing."""
    return f"{100 * share:.3g}"


def holds_for(record: Mapping[str, Any]) -> str:
    """Returns which data a verification is about, in words.

    Args:
        record: From :func:`reid.evaluation.verification.verification`, with the "dataset" if known.
    """
    data = record.get("dataset") or "saved features"
    some = f", of {record['queries_given']}" if "queries_given" in record else ""
    return (
        f"{data}, {record['protocol']}, {record['score']}: {record['true_pairs']} true and"
        f" {record['impostor_pairs']} impostor pairs of {record['people']} people"
        f" ({record['queries']} queries{some})"
    )


def sentences(record: Mapping[str, Any]) -> list[str]:
    """Returns all that a verification found in sentences, and what they hold for.

    Args:
        record: As for :func:`holds_for`.
    """
    lines = [sentence(point) for point in record["thresholds"]]
    lines.append(f"equal error rate {_percent(record['equal_error_rate'])} %")
    lines.append(calibration_line(record["calibration"]))
    lines += [_stranger_line(point) for point in record["open_set"]["rates"]]
    lines += record["notes"]
    return [*lines, f"this holds for {holds_for(record)}"]


def calibration_line(calibration: Mapping[str, Any]) -> str:
    """Returns the curve from scores to probabilities, and how far it is off.

    Args:
        calibration: "slope", "intercept" and "error".
    """
    error = calibration.get("error")
    off = "not checked: too few pairs" if error is None else f"off by {100 * error:.2g} points on"
    checked = "" if error is None else " people that it was not fitted on"
    return (
        "probability of one person, if both answers are as likely beforehand: 1 / (1 + exp("
        f"{-calibration['intercept']:.4g} - {calibration['slope']:.4g} score)); {off}{checked}"
    )


def _stranger_line(point: Mapping[str, Any]) -> str:
    return (
        f"search, taken as found above {point['threshold']:.4g}: {_percent(point['false'])} % of"
        f" strangers are taken for somebody{_interval(point, 'false')}, {_percent(point['found'])}"
        f" % of known people are found{_interval(point, 'found')}"
    )


PAIR_HEADERS = (
    *("perturbation", "eps", "same person above", "impostors passed"),
    *("false %", "true pairs lost", "found %"),
)


def pair_table(rows: Sequence[Mapping[str, Any]]) -> list[list[object]]:
    """Returns what thresholds of clean images do to pairs of perturbed ones, under PAIR_HEADERS.

    Args:
        rows: From :func:`reid.robustness.report.records`; those of a plain ranking that have such
            numbers.
    """
    cells: list[list[object]] = []
    for row in rows:
        names = [key.removeprefix("lost_at_") for key in row if key.startswith("lost_at_")]
        for at in names if row["ranking"] == "plain" else ():
            level = "" if row["kind"] == "clean" else f"{row['level']:g}"
            threshold = f"{row[f'threshold_at_{at}']:.4f}"
            passed, lost = (int(row[f"{key}_at_{at}"]) for key in ("passed", "lost"))
            false, found = (f"{100 * row[f'{key}_at_{at}']:.3g}" for key in ("false", "found"))
            cells.append([row["name"], level, threshold, passed, false, lost, found])
    return cells
