"""Rows of a table: which runs belong together, and what the comparison of them says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reid.jobs.comparing.alike import Match, matched
from reid.jobs.comparing.contrast import Contrast
from reid.jobs.comparing.measures import METRICS, SUCCESS, Line, group_of
from reid.jobs.comparing.question import Question
from reid.jobs.comparing.runs import Run
from reid.statistics.comparison import compare
from reid.statistics.groups import Block, Gain, Group
from reid.statistics.resampling import Draws
from reid.statistics.tables import Row
from reid.utils.errors import InputError

Groups = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class _Set:
    """The runs of each group on one set of queries.

    Attributes:
        runs: Runs by the name of their group, by seed.
        paired: Whether all groups have the same seeds.
    """

    runs: Groups
    paired: bool


def rows_of(
    kind: str,
    groups: Groups,
    contrast: Contrast,
    question: Question,
    draws: Draws,
    clean: bool,
    only: str = "",
) -> list[Row]:
    """Returns a row for each line that the runs have.

    Args:
        kind: A key of :data:`reid.jobs.comparing.question.KINDS`.
        groups: Runs by the name of their group.
        contrast: What is set against what.
        question: What is asked.
        draws: The random numbers.
        clean: Whether clean images get a line in a table of attacks.
        only: Title of the one line that is wanted; "" means all.
    """
    sets = _sets(contrast, groups, question.pairing)
    runs = [run for name in contrast.groups for run in groups[name]]
    rows = []
    for line, over in contrast.lines(kind, runs, question.rankings):
        hidden = not clean and line.conditions[0].kind in ("test", "clean")
        if hidden or only not in ("", line.title):
            continue
        blocks = [_block(contrast, one, line, over, question.metric) for one in sets]
        found = compare(blocks, draws)
        better = question.metric != SUCCESS
        rows.append(Row(line.title, *contrast.sides, found, better, contrast.adds))
    return rows


def _sets(contrast: Contrast, groups: Groups, pairing: str) -> list[_Set]:
    """Sorts the runs of all groups by their query sets."""
    *others, last = contrast.groups
    of_all = []
    for name in others:
        matches = matched(groups[name], groups[last], pairing)
        _check_sizes(name, last, matches)
        of_all.append({match.second[0].query_set: match for match in matches})
    return [
        _Set(
            {name: by_set[key].first for name, by_set in zip(others, of_all, strict=True)}
            | {last: of_all[0][key].second},
            all(by_set[key].paired for by_set in of_all),
        )
        for key in of_all[0]
    ]


def _block(contrast: Contrast, one: _Set, line: Line, over: Line | None, metric: str) -> Block:
    groups = [_group(one.runs[name], line, metric) for name in contrast.groups]
    if over is not None:  # each run gains over its own other ranking
        plain = [_group(one.runs[name], over, metric) for name in contrast.groups]
        gains = [Gain(of, less, paired=True) for of, less in zip(groups, plain, strict=True)]
        return Block(gains[0], gains[1], one.paired)
    if len(groups) == 2:
        return Block(groups[0], groups[1], one.paired)
    both, single, other, neither = groups
    on_top, alone = Gain(both, other, one.paired), Gain(single, neither, one.paired)
    return Block(on_top, alone, one.paired)


def _group(runs: Sequence[Run], line: Line, metric: str) -> Group:
    group = group_of(runs, line, metric)
    empty = np.flatnonzero(group.counts.sum(1) == 0)
    if len(empty):
        raise InputError(
            f"{runs[empty[0]].folder}: no query is right on clean images, so that the"
            f" {METRICS[metric]} is not defined; choose another --metric"
        )
    return group


def _check_sizes(name: str, baseline: str, matches: Sequence[Match]) -> None:
    """Raises InputError where one group has a single run, and more are needed."""
    for match in matches:
        sizes = (len(match.first), len(match.second))
        if min(sizes) == 1 and max(sizes) > 1:
            alone, other = (name, baseline) if sizes[0] == 1 else (baseline, name)
            raise InputError(
                f"{alone} has one run and {other} has {max(sizes)}: one run tells nothing of what"
                f" another seed does; add seeds to {alone}, or compare one run with one"
            )
    alone_on = [len(match.first) == 1 for match in matches]
    if any(alone_on) and not all(alone_on):
        raise InputError(
            f"{name} and {baseline} have one run on some query sets and several on others; give"
            " each the same number of seeds"
        )
