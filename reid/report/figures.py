"""Which charts a report has."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from reid.report.attacks import attack_rows
from reid.report.charts import Line, histogram, line_chart
from reid.report.queries import data_uri
from reid.report.runs import Result, Run

CMC_RANKS = 20
MOST_LINES = 12  # of a chart; more cannot be told apart
CURVES = (
    ("mAP", "mAP, %", 100),
    ("rank1", "Rank-1, %", 100),
    ("loss_total", "total loss", 1),
    ("accuracy", "training accuracy, %", 100),
    ("feat_spread", "spread of features", 1),
    ("lr", "learning rate", 1),
)


class Chart(NamedTuple):
    """A chart of the page.

    Attributes:
        title: Its title.
        text: What it shows, for readers who do not see it.
        uri: The SVG as a data URI.
    """

    title: str
    text: str
    uri: str


def chart_of(title: str, svg: str, names: Iterable[str]) -> Chart:
    """Returns a drawn chart with its title and with words for it.

    Args:
        title: Its title.
        svg: The drawing.
        names: What it shows lines of.
    """
    return Chart(title, f"{title} of {', '.join(names)}", data_uri("image/svg+xml", svg.encode()))


def _lines(title: str, lines: dict[str, Line], x: str, y: str, percent: bool) -> list[Chart]:
    """Returns charts of at most twelve lines each."""
    names = list(lines)
    charts = []
    for start in range(0, len(names), MOST_LINES):
        part = {name: lines[name] for name in names[start : start + MOST_LINES]}
        charts.append(chart_of(title, line_chart(part, x, y, (0, 100) if percent else None), part))
    return charts


def training_charts(runs: Sequence[Run]) -> list[Chart]:
    """Returns a chart of each quantity that metrics.jsonl has, a line for each run."""
    charts = []
    for key, label, factor in CURVES:
        lines: dict[str, Line] = {}
        for run in runs:
            points = [(row["epoch"], factor * row[key]) for row in run.epochs if key in row]
            if points:
                lines[run.name] = ([x for x, _ in points], [y for _, y in points])
        title = label.split(",")[0]
        charts += _lines(f"{title} by epoch", lines, "epoch", label, factor == 100)
    return charts


def cmc_charts(results: Sequence[Result]) -> list[Chart]:
    """Returns the CMC curves of comparable results, a line for each ranking."""
    lines: dict[str, Line] = {}
    for name, _, first_hit in _ranked(results):
        ranks = np.arange(1, CMC_RANKS + 1)
        share = [100 * float((first_hit < rank).mean()) for rank in ranks]
        lines[name] = (ranks.tolist(), share)
    return _lines("Match among the first places (CMC)", lines, "place", "queries, %", False)


def ap_charts(results: Sequence[Result]) -> list[Chart]:
    """Returns how the average precisions of the queries are distributed."""
    values = {name: ap for name, ap, _ in _ranked(results)}
    names = list(values)
    charts = []
    for start in range(0, len(names), MOST_LINES):
        part = {name: values[name] for name in names[start : start + MOST_LINES]}
        svg = histogram(part, "average precision of a query, %", "queries, %")
        charts.append(chart_of("Average precision of the queries", svg, part))
    return charts


def _ranked(results: Sequence[Result]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns (name, ap, first_hit) of each ranking that has lists."""
    return [
        (result.run if name == "plain" else f"{result.run}, {name}", ranked.ap, ranked.first_hit)
        for result in results
        if result.lists is not None
        for name, ranked in result.lists.rankings.items()
    ]


def robustness_charts(runs: Sequence[Run]) -> list[Chart]:
    """Returns mAP against budget or severity, a chart for each perturbation, a line for each run.

    The worst case over all attacks comes first.
    """
    axes = {"attack": "eps, levels of 255", "worst": "eps, levels of 255", "corruption": "severity"}
    lines: dict[tuple[str, str], dict[str, Line]] = {}
    for run in runs:
        plain = [row for row in attack_rows(run) if row.get("ranking") == "plain"]
        clean = [row for row in plain if row["kind"] == "clean"]
        for kind, name in dict.fromkeys((row["kind"], row["name"]) for row in plain):
            if kind in axes and clean:
                found = [row for row in plain if (row["kind"], row["name"]) == (kind, name)]
                points = sorted((float(row["level"]), 100 * float(row["mAP"])) for row in found)
                points.insert(0, (0.0, 100 * float(clean[0]["mAP"])))
                line = ([x for x, _ in points], [y for _, y in points])
                lines.setdefault((kind, name), {})[run.name] = line
    charts = []
    for kind, name in sorted(lines, key=lambda key: key[0] != "worst"):
        title = f"mAP under {name}"
        charts += _lines(title, lines[kind, name], axes[kind], "mAP, %", True)
    return charts
