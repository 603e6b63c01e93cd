"""The page: one HTML file with everything in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import reid
from reid.evaluation.protocol import CROSS_CAMERA
from reid.evaluation.verification.wording import PAIR_HEADERS, pair_table
from reid.report.attacks import Picture, attack_rows, attacked_hits, sheets, taken_over
from reid.report.cameras import camera_pairs
from reid.report.figures import ap_charts, cmc_charts, robustness_charts, training_charts
from reid.report.queries import shown_queries
from reid.report.rows import Intervals, Row, alike, differing_settings, no_interval, rows_of
from reid.report.runs import Result, Run
from reid.report.verification import verification_charts, verification_lines, verified

TEMPLATES = Path(__file__).parent / "templates"
METRIC_NAMES = ("mAP", "mINP", "Rank-1", "Rank-5", "Rank-10")
SECTIONS = {
    "summary": "Summary",
    "warnings": "Warnings",
    "results": "Results",
    "comparisons": "Compared",
    "settings": "Differences",
    "training": "Training",
    "verification": "The same person?",
    "robustness": "Robustness",
    "activations": "Activations",
    "cameras": "Cameras",
    "queries": "Queries",
    "made": "Environment and commands",
}
# What reid show --activations writes for several runs, into the folder of the first, and for one.
ACTIVATIONS_BESIDE = "activations_beside.png"
ACTIVATIONS = "activations.png"


@dataclass(frozen=True)
class Comparison:
    """A table of differences between recipes.

    Attributes:
        title: What it is about.
        headers: Names of the columns.
        rows: The cells, as text.
        notes: Sentences that say how to read it.
        values: For each row what its columns of numbers are sorted by, by the column's name.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    values: Sequence[Mapping[str, float]] = ()


def render(
    runs: Sequence[Run],
    title: str,
    counts: dict[str, int],
    comparisons: Sequence[Comparison] = (),
    intervals: Intervals = no_interval,
    made: datetime | None = None,
) -> str:
    """Returns the page.

    Args:
        runs: The runs.
        title: Title of the page.
        counts: How many queries of each test are shown, by "worst", "median" and "best".
        comparisons: Differences between recipes, with their intervals.
        intervals: Where the intervals of the table come from; see :func:`reid.report.rows.rows_of`.
        made: Time that the page names; None takes this moment.
    """
    # Imported here: other commands need neither.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    results = [result for run in runs for result in run.results]
    groups = [
        {
            "title": group[0].title,
            "rows": rows_of(group, intervals),
            "charts": [*cmc_charts(group), *ap_charts(group)],
        }
        for group in alike(results)
    ]
    content: dict[str, Any] = {
        "summary": _summary(runs, groups),
        "warnings": [w for w in map(_warnings, runs) if w["lines"]],
        "groups": groups,
        "comparisons": comparisons,
        "settings": _settings(runs),
        "training": training_charts(runs),
        "verification": verified(results),
        "verification_charts": verification_charts(results),
        "robustness": _robustness(runs),
        "activations": _activations(runs),
        "cameras": _cameras(results),
        "lists": [_lists(result, counts) for result in results],
    }
    content["sections"] = [(k, name) for k, name in SECTIONS.items() if _is_there(content, k)]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    moment = made or datetime.now(timezone.utc)
    return environment.get_template("report.html").render(
        **content,
        title=title,
        runs=runs,
        metrics=METRIC_NAMES,
        version=reid.__version__,
        made=moment.strftime("%Y-%m-%d %H:%M"),
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
    )


def _is_there(content: dict[str, Any], section: str) -> bool:
    if section == "settings":
        return bool(content["settings"]["rows"])
    if section == "robustness":
        return bool(content["robustness"]["charts"] or content["robustness"]["runs"])
    name = {"results": "groups", "queries": "lists", "made": "summary"}.get(section, section)
    return bool(content[name])


def _activations(runs: Sequence[Run]) -> list[Picture]:
    """Returns the pictures of where networks look: runs beside each other first."""
    beside = [
        picture
        for run in runs
        for picture in taken_over(run.folder / ACTIVATIONS_BESIDE, f"{run.name} beside other runs")
    ]
    alone = [picture for run in runs for picture in taken_over(run.folder / ACTIVATIONS, run.name)]
    return beside + alone


def _summary(runs: Sequence[Run], groups: Sequence[dict[str, Any]]) -> list[str]:
    """Returns sentences on what there is, and the best row of each table."""
    tested = sum(bool(run.results) for run in runs)
    lines = [f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {tested} of them tested."]
    if len(groups) > 1:
        lines.append(f"{len(groups)} tables: numbers of different tables cannot be compared.")
    for group in groups:
        best: Row = max(group["rows"], key=lambda row: row.cells["mAP"].mean)
        lines.append(
            f"{group['title']}: the highest mAP is {best.cells['mAP'].mean:.1%}, of {best.label}"
            f" ({best.ranking})."
        )
    lines += verification_lines([result for run in runs for result in run.results])
    attacked = [run.name for run in runs if run.attack]
    if attacked:
        lines.append(f"Attacked: {', '.join(attacked)}.")
    unfinished = [run.name for run in runs if _missing_epochs(run)]
    if unfinished:
        lines.append(f"Not trained to the end: {', '.join(unfinished)}.")
    return lines


def _missing_epochs(run: Run) -> bool:
    planned = run.config.get("SOLVER.MAX_EPOCHS")
    if not isinstance(planned, int) or not run.epochs:
        return False
    return max(row["epoch"] for row in run.epochs) < planned


def _warnings(run: Run) -> dict[str, Any]:
    """Returns what was warned of: by the logs, by tests, and by a check of the data."""
    lines = list(run.warnings)
    for finding in (run.check or {}).get("findings", []):
        spoils = "this spoils results: " if finding.get("spoils") else ""
        lines.append(
            f"data check: {spoils}{finding.get('what')} ({finding.get('kind')}):"
            f" {finding.get('found')}"
        )
    for result in run.results:
        for split, number in (result.metrics.get("unreadable") or {}).items():
            lines.append(f"{result.run}: {number} images of {split} could not be read")
    return {"name": run.name, "lines": lines}


def _settings(runs: Sequence[Run]) -> dict[str, Any]:
    trained = [run for run in runs if run.config]
    rows = differing_settings([dict(run.config) for run in trained])
    return {"names": [run.name for run in trained], "rows": rows}


def _robustness(runs: Sequence[Run]) -> dict[str, Any]:
    attacked = [
        {
            "name": run.name,
            "rows": [row for row in attack_rows(run) if row["kind"] != "steps"],
            "hits": attacked_hits(run),
            "pairs": {"headers": PAIR_HEADERS, "rows": pair_table(attack_rows(run))},
            "sheets": sheets(run),
        }
        for run in runs
        if run.attack
    ]
    return {"charts": robustness_charts(runs), "runs": attacked}


def _cameras(results: Sequence[Result]) -> list[dict[str, Any]]:
    tables = []
    for result in results:
        if result.lists is not None:
            protocol = str(result.metrics.get("protocol", CROSS_CAMERA))
            table = camera_pairs(result.lists, protocol)
            if len(table.gallery) > 1:
                tables.append({"label": result.run, "table": table})
    return tables


def _lists(result: Result, counts: dict[str, int]) -> dict[str, Any]:
    queries = [] if result.lists is None else shown_queries(result.lists, counts)
    has_files = result.lists is not None and result.lists.query.files is not None
    pictures = [uri for query in queries for uri in (query.picture, *query.pictures.values())]
    return {
        "label": result.run,
        "why": result.why,
        "queries": queries,
        "missing": has_files and not all(pictures),
    }
