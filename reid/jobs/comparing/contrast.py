"""What a row of a table sets against what: two groups, or the gains of an interaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reid.jobs.comparing.measures import Line, lines_of
from reid.jobs.comparing.runs import PREFIXES, Run
from reid.statistics.verdict import Adds
from reid.utils.errors import InputError, suggest, unknown

_METHODS = {"re-ranked": "re-ranking", "AQE, re-ranked": "AQE with re-ranking"}


@dataclass(frozen=True)
class Contrast:
    """Groups by name, and how they are set against each other.

    Attributes:
        groups: A group and its baseline. Of an interaction: the group with both, the one, the
            other, and the one with neither; or, with ``ranking``, a group and its baseline.
        ranking: The interaction of the first group with this ranking, in place of the plain one.
    """

    groups: tuple[str, ...]
    ranking: str = ""

    @property
    def sides(self) -> tuple[str, str]:
        """What stands to the left and to the right of the minus."""
        if self.ranking:
            first, second = (f"{name}: {self.ranking} − plain" for name in self.groups)
            return first, second
        if len(self.groups) == 2:
            return self.groups[0], self.groups[1]
        both, one, other, neither = self.groups
        return f"{both} − {other}", f"{one} − {neither}"

    @property
    def adds(self) -> Adds | None:
        """The words of an interaction; None for two groups."""
        if self.ranking:
            first, second = (f"to {name}" for name in self.groups)
            return Adds(_METHODS.get(self.ranking, self.ranking), first, second)
        if len(self.groups) == 2:
            return None
        return Adds(self.groups[1], f"on top of {self.groups[2]}", "alone")

    def lines(
        self, kind: str, runs: Sequence[Run], rankings: Sequence[str]
    ) -> list[tuple[Line, Line | None]]:
        """Returns the lines that all runs have, each with the line that its gain is over.

        Args:
            kind: As :func:`reid.jobs.comparing.measures.lines_of` takes it.
            runs: Runs of all groups.
            rankings: Names of rankings; none means all. An interaction with a ranking has its own.
        """
        if not self.ranking:
            return [(line, None) for line in lines_of(kind, runs, rankings)]
        ranked, plain = (lines_of(kind, runs, [name]) for name in (self.ranking, "plain"))
        # Both rankings are made of the same tests and attacks, in the same order.
        pairs = zip(ranked, plain, strict=False)
        return [(Line(over.title, line.conditions), over) for line, over in pairs]


def contrast_of(words: Sequence[str], groups: Iterable[str], baseline: str) -> Contrast:
    """Returns what some words name.

    One word is a group, compared with the baseline. Two are a group and a ranking. Three are the
    group with both, the one and the other, over the baseline; a fourth takes its place.

    Args:
        words: The words.
        groups: Names of the groups that there are.
        baseline: Name of the baseline.

    Raises:
        InputError: There are more words, or one of them names nothing.
    """
    known = list(groups)
    text = " ".join(words)
    if not 1 <= len(words) <= 4:
        raise InputError(
            f"interaction '{text}': name the group with both, the one and the other, such as"
            " lfm_erasing lfm erasing; or a group and a ranking"
        )
    named = [words[0]] if len(words) == 2 else list(words)
    for name in named:
        if name not in known:
            raise unknown("group", name, known)
    if len(words) == 2:
        _check_ranking(words[1], text)
        found = Contrast((words[0], baseline), words[1])
    else:
        found = Contrast(tuple(words) if len(words) == 4 else (*words, baseline))
    if len(set(found.groups)) < len(found.groups):
        raise InputError(
            f"'{text}' over {found.groups[-1]} names a group twice; each has one place"
        )
    return found


def _check_ranking(name: str, text: str) -> None:
    rankings = [ranking for ranking in PREFIXES.values() if ranking != "plain"]
    if name not in rankings:
        mend = suggest(name, rankings) or f"; known: {', '.join(rankings)}"
        raise InputError(f"interaction '{text}': '{name}' is no ranking{mend}")
