"""What is compared: which conditions make a line of a table, and what a query scores under them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reid.jobs.comparing.runs import Condition, Run
from reid.statistics.groups import Group
from reid.utils.errors import InputError

METRICS = {
    "mAP": "mAP",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "mINP": "mINP",
    "success": "success rate of the attacker",
}
SUCCESS = "success"


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        title: What stands in the table.
        conditions: The line is about the mean over these.
    """

    title: str
    conditions: Sequence[Condition]


def lines_of(kind: str, runs: Sequence[Run], rankings: Sequence[str] = ()) -> list[Line]:
    """Returns the lines that all runs have.

    Args:
        kind: ``test``, ``attack`` or ``corruption``.
        runs: The runs.
        rankings: Names of rankings; none means all.
    """
    shared = [key for key in runs[0].values if all(key in run.values for run in runs)]
    shared = [key for key in shared if not rankings or key.ranking in rankings]
    if kind == "corruption":
        return _corruptions([key for key in shared if key.kind == kind])
    kinds = {"test": ("test",), "attack": ("clean", "attack", "worst")}[kind]
    found = [Line(_title(key), [key]) for key in shared if key.kind in kinds]
    attacked = any(key.kind in ("attack", "worst") for key in shared)
    return found if kind == "test" or attacked else []


def _corruptions(keys: Sequence[Condition]) -> list[Line]:
    """Returns a line for each corruption, the mean over its severities, and one for all of them."""
    lines = []
    for ranking in dict.fromkeys(key.ranking for key in keys):
        here = [key for key in keys if key.ranking == ranking]
        names = list(dict.fromkeys(key.name for key in here))
        if len(names) > 1:
            lines.append(Line(_ranked("mean of all", ranking), here))
        lines += [
            Line(_ranked(name, ranking), [key for key in here if key.name == name])
            for name in names
        ]
    return lines


def _title(key: Condition) -> str:
    name = key.name if key.kind in ("test", "clean") else f"{key.name} {key.level:g}"
    return _ranked(name, key.ranking)


def _ranked(name: str, ranking: str) -> str:
    return name if ranking == "plain" else f"{name}, {ranking}"


def group_of(runs: Sequence[Run], line: Line, metric: str) -> Group:
    """Sums what the queries score, by identity.

    Args:
        runs: Runs on the same queries.
        line: The line of the table.
        metric: A key of :data:`METRICS`.
    """
    values = np.stack([_values(run, line, metric) for run in runs])
    counted = None
    if metric == SUCCESS:
        counted = np.stack([_clean_hit(run, line.conditions[0].ranking) for run in runs])
    return Group.of(values, runs[0].pids, counted)


def _values(run: Run, line: Line, metric: str) -> np.ndarray:
    """Returns the score of each query, (V,), the mean over the conditions of a line."""
    found = [_score(run.values[key], metric) for key in line.conditions]
    if metric == SUCCESS:
        hit = _clean_hit(run, line.conditions[0].ranking)
        found = [hit * (1.0 - one) for one in found]
    mean: np.ndarray = np.mean(found, axis=0)
    return mean


def _score(arrays: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
    hits = arrays["first_hit"]
    scores = {"mAP": arrays["ap"], "mINP": arrays["inp"], "rank5": hits < 5}
    return np.asarray(scores.get(metric, hits == 0), np.float64)


def _clean_hit(run: Run, ranking: str) -> np.ndarray:
    """Returns which queries find their identity at once on clean images, (V,) bool."""
    clean = Condition("clean", "clean", 0.0, ranking)
    if clean not in run.values:
        raise InputError(
            f"{run.folder} has no row clean, {ranking}; attack the run again (reid attack)"
        )
    hits: np.ndarray = run.values[clean]["first_hit"] == 0
    return hits
