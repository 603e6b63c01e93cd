"""What the page says of pairs of images: the same person or not?"""

from collections.abc import Mapping, Sequence
from typing import Any

from reid.evaluation.verification.wording import holds_for, sentence, sentences
from reid.report.charts import Line, line_chart
from reid.report.figures import MOST_LINES, Chart, chart_of
from reid.report.runs import Result


def verified(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Returns of each test that measured it a label, sentences, and AP by cameras.

    Args:
        results: Tests.
    """
    return [
        {
            "label": result.run,
            "lines": sentences(result.verification),
            "cameras": result.verification.get("cameras"),
        }
        for result in results
        if result.verification is not None
    ]


def verification_lines(results: Sequence[Result]) -> list[str]:
    """Returns for the summary what the middle threshold of each test does, and for which data.

    Args:
        results: Tests.
    """
    lines = []
    for result in results:
        points = [] if result.verification is None else result.verification["thresholds"]
        if points and result.verification is not None:
            point = points[len(points) // 2]
            lines.append(f"{result.run}: {sentence(point)}; for {holds_for(result.verification)}.")
    return lines


def verification_charts(results: Sequence[Result]) -> list[Chart]:
    """Returns the ROC curves, and the search for people who may not be in the gallery.

    Args:
        results: Tests.
    """
    charts = []
    for title, x_label, y_label, curve in (
        ("ROC", "false-accept rate", "true pairs found, %", _roc),
        ("Open-set search", "strangers taken for somebody", "known people found, %", _open_set),
    ):
        lines: dict[str, Line] = {}
        for result in results:
            points = [] if result.verification is None else curve(result.verification)
            points = [point for point in points if point["false"] > 0]  # the axis is logarithmic
            if points:
                found = [100 * point["found"] for point in points]
                lines[result.run] = ([point["false"] for point in points], found)
        names = list(lines)
        for start in range(0, len(names), MOST_LINES):
            part = {name: lines[name] for name in names[start : start + MOST_LINES]}
            svg = line_chart(part, x_label, y_label, (0, 100), log_x=True)
            charts.append(chart_of(title, svg, part))
    return charts


def _roc(record: Mapping[str, Any]) -> list[dict[str, float]]:
    points: list[dict[str, float]] = record["roc"]
    return points


def _open_set(record: Mapping[str, Any]) -> list[dict[str, float]]:
    points: list[dict[str, float]] = record["open_set"]["curve"]
    return points
