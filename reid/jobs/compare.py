"""The job of ``reid compare``: from run folders to tables, and to files that can be checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reid.evaluation.protocol import CROSS_CAMERA
from reid.jobs.comparing.alike import Match, cautions, matched, named, shown
from reid.jobs.comparing.measures import METRICS, SUCCESS, Line, group_of, lines_of
from reid.jobs.comparing.runs import Run, read_attack, read_test
from reid.jobs.comparing.selection import Selection, has_attack, has_test
from reid.statistics.comparison import compare
from reid.statistics.groups import Block
from reid.statistics.resampling import RESAMPLES, Draws
from reid.statistics.tables import Row, Table
from reid.utils.errors import InputError

KINDS = {"test": "Tested", "attack": "Attacked", "corruption": "Corrupted images"}
PAIRINGS = ("auto", "paired", "independent")
Groups = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Question:
    """What is asked of the runs.

    Attributes:
        kinds: Keys of :data:`KINDS`; none means all that the runs have.
        metric: A key of :data:`reid.jobs.comparing.measures.METRICS`.
        rankings: Names of rankings; none means all.
        pairing: One of :data:`PAIRINGS`.
        seed: Seed of the random numbers.
        resamples: Number of resamples.
    """

    kinds: Sequence[str] = ()
    metric: str = "mAP"
    rankings: Sequence[str] = ()
    pairing: str = "auto"
    seed: int = 0
    resamples: int = RESAMPLES


@dataclass(frozen=True)
class Answer:
    """Tables, and the runs that they are made of.

    Attributes:
        tables: One for each kind.
        runs: The runs that were read, with their group.
        cautions: What may be a slip.
    """

    tables: Sequence[Table]
    runs: Sequence[tuple[str, Run]]
    cautions: Sequence[str] = field(default=())


def compare_runs(chosen: Selection, question: Question) -> Answer:
    """Compares all groups with the baseline.

    Args:
        chosen: The groups.
        question: What is asked.

    Raises:
        InputError: A file is missing or wrong, or runs cannot be compared.
    """
    draws = Draws(question.resamples, question.seed)
    tables: list[Table] = []
    read: list[tuple[str, Run]] = []
    said = [f"left out, no result yet: {folder}" for folder in chosen.left_out]
    groups_of = {"test": _read(chosen, question, "test", has_test, read_test)}
    attacked = _read(chosen, question, "attack", has_attack, read_attack)
    groups_of |= {"attack": attacked, "corruption": attacked}
    for kind in question.kinds or KINDS:
        groups = groups_of[kind]
        # Clean images stand in the table of the tests; and no attack succeeds on them.
        clean = question.metric != SUCCESS and (kind == "test" or not tables)
        rows = _rows(kind, groups, chosen.baseline, question, draws, clean) if groups else []
        if rows:
            tables.append(Table(_title(kind, groups), METRICS[question.metric], rows))
            read += [(name, run) for name, runs in groups.items() for run in runs]
            said += cautions(groups)
    if not tables:
        raise _nothing(chosen, question, groups_of)
    unique = {id(run): (name, run) for name, run in read}
    return Answer(tables, list(unique.values()), list(dict.fromkeys(said)))


def _read(
    chosen: Selection,
    question: Question,
    kind: str,
    has: Callable[[Path], bool],
    read: Callable[[Path], Run],
) -> Groups:
    """Reads one kind of result of all runs; none if no run has it and it was not asked for."""
    kinds = ("test",) if kind == "test" else ("attack", "corruption")
    asked = set(question.kinds) & set(kinds)
    folders = [folder for group in chosen.groups.values() for folder in group]
    without = [folder for folder in folders if not has(folder)]
    if (question.kinds and not asked) or (len(without) == len(folders) and not asked):
        return {}
    if without and len(without) < len(folders) and not asked:
        one = next(folder for folder in folders if folder not in without)
        what = ("result of a test", "test") if kind == "test" else ("report of an attack", "attack")
        other = "attack" if kind == "test" else "test"
        raise InputError(
            f"{one} has a {what[0]} and {without[0]} has none; {what[1]} it, too (reid {what[1]}),"
            f" or use --only {other}"
        )
    return named(
        {name: [read(folder) for folder in group] for name, group in chosen.groups.items()}
    )


def _rows(
    kind: str, groups: Groups, baseline: str, question: Question, draws: Draws, clean: bool
) -> list[Row]:
    """Compares each group with the baseline; ``clean`` says whether clean images get a line."""
    rows = []
    for name, runs in groups.items():
        if name == baseline:
            continue
        matches = matched(runs, groups[baseline], question.pairing)
        _check_sizes(name, baseline, matches)
        for line in lines_of(kind, [*runs, *groups[baseline]], question.rankings):
            if clean or line.conditions[0].kind not in ("test", "clean"):
                rows.append(_row(line, name, baseline, matches, question, draws))
    return rows


def _row(
    line: Line,
    name: str,
    baseline: str,
    matches: Sequence[Match],
    question: Question,
    draws: Draws,
) -> Row:
    blocks = [
        Block(
            group_of(match.first, line, question.metric),
            group_of(match.second, line, question.metric),
            match.paired,
        )
        for match in matches
    ]
    for block, match in zip(blocks, matches, strict=True):
        for group, runs in ((block.first, match.first), (block.second, match.second)):
            empty = np.flatnonzero(group.counts.sum(1) == 0)
            if len(empty):
                raise InputError(
                    f"{runs[empty[0]].folder}: no query is right on clean images, so that the"
                    f" {METRICS[question.metric]} is not defined; choose another --metric"
                )
    found = compare(blocks, draws)
    return Row(line.title, name, baseline, found, question.metric != SUCCESS)


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


def _title(kind: str, groups: Groups) -> str:
    """Returns what a table is about."""
    runs = [run for group in groups.values() for run in group]
    sets = list({run.query_set: run for run in runs}.values())
    data = ", ".join(shown(run.about.get("dataset") or "saved features") for run in sets)
    protocol = shown(runs[0].about.get("protocol") or CROSS_CAMERA)
    counts = " and ".join(str(len(run.pids)) for run in sets)
    return f"{KINDS[kind]}: {data}, {protocol}, {counts} queries"


def _nothing(chosen: Selection, question: Question, groups_of: Mapping[str, Groups]) -> InputError:
    runs = [run for groups in groups_of.values() for group in groups.values() for run in group]
    rankings = sorted({key.ranking for run in runs for key in run.values})
    if question.rankings and rankings:
        asked = ", ".join(question.rankings)
        return InputError(f"no run has the ranking {asked}; they hold {', '.join(rankings)}")
    first = next(iter(chosen.groups.values()))[0]
    if runs:
        return InputError(
            f"the runs have nothing to compare of --metric {question.metric} and --only"
            f" {', '.join(question.kinds) or 'all'}; attack them first (reid attack)"
        )
    return InputError(
        f"{first} holds neither metrics.json nor robustness.json; test the run first (reid test)"
    )
