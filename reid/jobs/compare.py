"""The job of ``reid compare``: from run folders to tables, and to files that can be checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reid.evaluation.protocol import CROSS_CAMERA
from reid.jobs.comparing.alike import cautions, named, shown
from reid.jobs.comparing.contrast import Contrast, contrast_of
from reid.jobs.comparing.measures import METRICS, SUCCESS
from reid.jobs.comparing.question import KINDS, Question
from reid.jobs.comparing.rows import Groups, rows_of
from reid.jobs.comparing.runs import Run, read_attack, read_test
from reid.jobs.comparing.selection import Selection, has_attack, has_test
from reid.statistics.resampling import Draws
from reid.statistics.tables import Row, Table
from reid.utils.errors import InputError, suggest

PRIMARY = "Primary comparison. "
SECONDARY = "Secondary. "
INTERACTIONS = "Interactions. "


@dataclass(frozen=True)
class Answer:
    """Tables, and the runs that they are made of.

    Attributes:
        tables: The primary comparison, if one was named; then one for each kind, and one for the
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
    first = asker.primary()
    if question.primary is not None and first is None:
        said.append(asker.no_primary())
    tables = asker.tables(first)
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
    """

    def __init__(
        self, chosen: Selection, question: Question, groups_of: Mapping[str, Groups]
    ) -> None:
        self.question = question
        self.groups_of = groups_of
        self.draws = Draws(question.resamples, question.seed)
        self.used: list[str] = []
        names = chosen.groups
        self.pairs = [Contrast((n, chosen.baseline)) for n in names if n != chosen.baseline]
        self.interactions = [
            contrast_of(words, names, chosen.baseline) for words in question.interactions
        ]
        self.first: Contrast | None = None
        if question.primary is not None:
            self.first = contrast_of(question.primary.compared, names, chosen.baseline)

    def primary(self) -> tuple[str, Row] | None:
        """Returns kind and row of the comparison that was named before; None if not there."""
        asked = self.question.primary
        if asked is None or self.first is None:
            return None
        question = replace(self.question, metric=asked.metric, rankings=())
        for kind, groups in self.groups_of.items():
            if groups:
                rows = rows_of(kind, groups, self.first, question, self.draws, True, asked.test)
                if rows:
                    return kind, rows[0]
        return None

    def no_primary(self) -> str:
        """Says that the comparison that was named before the runs is not there."""
        titles = [
            line.title
            for kind, groups in self.groups_of.items()
            if self.first is not None and groups
            for line, _ in self.first.lines(
                kind, [run for name in self.first.groups for run in groups[name]], ()
            )
        ]
        asked = self.question.primary.test if self.question.primary else ""
        return (
            f"the primary comparison is not there: no row '{asked}'"
            f"{suggest(asked, titles) or '; there are ' + ', '.join(dict.fromkeys(titles))}"
        )

    def tables(self, first: tuple[str, Row] | None) -> list[Table]:
        """Returns all tables.

        Args:
            first: From :meth:`primary`.
        """
        found: list[Table] = []
        asked = self.question.primary
        if first is not None and asked is not None:
            found.append(self._table(first[0], PRIMARY, [first[1]], asked.metric))
        kinds = [kind for kind in self.question.kinds or KINDS if self.groups_of[kind]]
        for kind in kinds:
            # Clean images stand in the table of the tests; and no attack succeeds on them.
            with_clean = self.question.metric != SUCCESS and (kind == "test" or kinds[0] != "test")
            for contrasts, name in ((self.pairs, ""), (self.interactions, INTERACTIONS)):
                rows = [row for one in contrasts for row in self._rows(kind, one, with_clean)]
                rows = [row for row in rows if not self._is_first(kind, row, first)]
                if rows:
                    prefix = (SECONDARY if first is not None else "") + name
                    found.append(self._table(kind, prefix, rows, self.question.metric))
        return found

    def _rows(self, kind: str, contrast: Contrast, clean: bool) -> list[Row]:
        groups = self.groups_of[kind]
        return rows_of(kind, groups, contrast, self.question, self.draws, clean)

    def _is_first(self, kind: str, row: Row, first: tuple[str, Row] | None) -> bool:
        """Says whether a row is the one that was named before, and has its own table."""
        asked = self.question.primary
        if first is None or asked is None or asked.metric != self.question.metric:
            return False
        one = first[1]
        return (kind, row.condition, row.first, row.second) == (
            first[0], one.condition, one.first, one.second,
        )  # fmt: skip

    def _table(self, kind: str, prefix: str, rows: Sequence[Row], metric: str) -> Table:
        self.used.append(kind)
        return Table(prefix + _title(kind, self.groups_of[kind]), METRICS[metric], rows)


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
