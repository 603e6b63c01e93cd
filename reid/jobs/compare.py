"""The job of ``reid compare``: from run folders to tables, and to files that can be checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reid.evaluation.protocol import CROSS_CAMERA
from reid.jobs.comparing.alike import cautions, machines, named, shown
from reid.jobs.comparing.contrast import Contrast, contrast_of
from reid.jobs.comparing.measures import METRICS, SUCCESS
from reid.jobs.comparing.question import KINDS, Primary, Question
from reid.jobs.comparing.rows import Groups, rows_of
from reid.jobs.comparing.runs import Run, read_attack, read_test
from reid.jobs.comparing.selection import Selection, has_attack, has_test
from reid.statistics.resampling import Draws
from reid.statistics.tables import Row, Table
from reid.utils.errors import InputError, suggest

PRIMARY = "Primary comparison. "
SECONDARY = "Secondary. "
INTERACTIONS = "Interactions. "
FEW = 3  # query sets that the head of a table names one by one


@dataclass(frozen=True)
class Answer:
    """Tables, and the runs that they are made of.

    Attributes:
        tables: The primary comparisons, if some were named; then one for each kind, and one for the
            interactions of each kind.
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
    groups_of = _read_all(chosen, question)
    said = [f"left out, no result yet: {folder}" for folder in chosen.left_out]
    said += chosen.cautions
    asker = _Asker(chosen, question, groups_of)
    tables = asker.tables()
    said += asker.said
    if not tables:
        raise _nothing(chosen, question, groups_of)
    read: list[tuple[str, Run]] = []
    for kind in asker.used:
        read += [(name, run) for name, runs in groups_of[kind].items() for run in runs]
        said += cautions(groups_of[kind])
    unique = {id(run): (name, run) for name, run in read}
    return Answer(tables, list(unique.values()), list(dict.fromkeys(said)))


def _read_all(chosen: Selection, question: Question) -> dict[str, Groups]:
    """Reads the runs of each kind; tables of attacks and of corruptions share theirs."""
    attacked = _read(chosen, question, "attack", has_attack, read_attack)
    tested = _read(chosen, question, "test", has_test, read_test)
    return {"test": tested, "attack": attacked, "corruption": attacked}


class _Asker:
    """Asks one question of runs that were read.

    Attributes:
        used: The kinds of which a table was made.
        said: What was named before the runs, and is not there.
    """

    def __init__(
        self, chosen: Selection, question: Question, groups_of: Mapping[str, Groups]
    ) -> None:
        self.question = question
        self.groups_of = groups_of
        self.draws = Draws(question.resamples, question.seed)
        self.used: list[str] = []
        self.said: list[str] = []
        names, baseline = chosen.groups, chosen.baseline
        self.pairs = [Contrast((name, baseline)) for name in names if name != baseline]
        self.interactions = [contrast_of(some, names, baseline) for some in question.interactions]
        self.named = [(one, contrast_of(one.compared, names, baseline)) for one in question.primary]

    def tables(self) -> list[Table]:
        """Returns all tables."""
        first = [named for one in self.named if (named := self._primary(*one)) is not None]
        found = [self._first_table(first)] if first else []
        kinds = [kind for kind in self.question.kinds or KINDS if self.groups_of[kind]]
        shown_before = {(kind, row.condition, row.first, row.second, one.metric)
                        for one, kind, row in first}  # fmt: skip
        for kind in kinds:
            # Clean images stand in the table of the tests; and no attack succeeds on them.
            with_clean = self.question.metric != SUCCESS and (kind == "test" or kinds[0] != "test")
            for contrasts, name in ((self.pairs, ""), (self.interactions, INTERACTIONS)):
                rows = [
                    row
                    for one in contrasts
                    for row in self._rows(kind, one, with_clean)
                    if (kind, row.condition, row.first, row.second, self.question.metric)
                    not in shown_before
                ]
                if rows:
                    title = (SECONDARY if first else "") + name + self._title(kind)
                    metric = METRICS[self.question.metric]
                    found.append(Table(title, metric, rows, self._remarks([kind])))
        return found

    def _primary(self, asked: Primary, contrast: Contrast) -> tuple[Primary, str, Row] | None:
        """Returns the kind and the row of a comparison that was named before; None if not there."""
        question = replace(self.question, metric=asked.metric, rankings=())
        titles: list[str] = []
        for kind, groups in self.groups_of.items():
            if groups:
                rows = rows_of(kind, groups, contrast, question, self.draws, True, asked.test)
                if rows:
                    return asked, kind, rows[0]
                runs = [run for name in contrast.groups for run in groups[name]]
                titles += [line.title for line, _ in contrast.lines(kind, runs, ())]
        asked_for = " in the tables that --only asks for" if self.question.kinds else ""
        there = f"{asked_for}; there are {', '.join(dict.fromkeys(titles))}"
        self.said.append(
            f"a primary comparison is not there: no row '{asked.test}'"
            f"{suggest(asked.test, titles) or there}"
        )
        return None

    def _first_table(self, first: Sequence[tuple[Primary, str, Row]]) -> Table:
        """Returns the table of what was named before the runs, of all kinds."""
        kinds = list(dict.fromkeys(kind for _, kind, _ in first))
        metrics = {one.metric for one, _, _ in first}
        rows = [row for _, _, row in first]
        if len(metrics) > 1:
            rows = [
                replace(row, condition=f"{row.condition}, {METRICS[one.metric]}")
                for one, _, row in first
            ]
        many = "Primary comparisons. " if len(rows) > 1 else PRIMARY
        title = many + "; ".join(self._title(kind) for kind in kinds)
        metric = ", ".join(METRICS[one] for one in sorted(metrics))
        return Table(title, metric, rows, self._remarks(kinds))

    def _remarks(self, kinds: Sequence[str]) -> list[str]:
        """Says on what machines the runs were, and in how many the attacks were checked."""
        found = {told: None for kind in kinds if (told := machines(self.groups_of[kind]))}
        if "attack" in kinds:
            attacked = [run for runs in self.groups_of["attack"].values() for run in runs]
            found[_checked(attacked)] = None
        return list(found)

    def _rows(self, kind: str, contrast: Contrast, clean: bool) -> list[Row]:
        groups = self.groups_of[kind]
        return rows_of(kind, groups, contrast, self.question, self.draws, clean)

    def _title(self, kind: str) -> str:
        self.used.append(kind)
        return _title(kind, self.groups_of[kind])


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


def _title(kind: str, groups: Groups) -> str:
    """Returns what a table is about."""
    runs = [run for group in groups.values() for run in group]
    sets = list({run.query_set: run for run in runs}.values())
    names = [shown(run.about.get("dataset") or "saved features") for run in sets]
    data = f"{names[0]} to {names[-1]}" if len(names) > FEW else ", ".join(names)
    protocol = shown(runs[0].about.get("protocol") or CROSS_CAMERA)
    counts = list(dict.fromkeys(str(len(run.pids)) for run in sets))
    each = " each" if len(sets) > len(counts) == 1 else ""
    return f"{KINDS[kind]}: {data}, {protocol}, {' and '.join(counts)} queries{each}"


def _checked(runs: Sequence[Run]) -> str:
    failed = sum(bool(run.warning) for run in runs)
    passed = sum(run.checked for run in runs) - failed
    if passed == len(runs):
        return f"The attack's own checks passed in all {passed} runs."
    return (
        f"The attack's own checks (ATTACK.SANITY) passed in {passed} of {len(runs)} runs, failed in"
        f" {failed}, and were not run in {len(runs) - passed - failed}: where they did not pass, a"
        " weak attack may look like a robust model."
    )


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
