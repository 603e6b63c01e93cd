"""The same numbers as a table for the screen, Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from reid.statistics.comparison import LEVEL, SPLITS, Comparison
from reid.statistics.detectable import POWER
from reid.statistics.holm import holm
from reid.statistics.verdict import Adds, verdict

HEADERS = (
    *("test", "compared", "mean of first", "mean of second", "difference"),
    *(f"{100 * LEVEL:.0f} % interval", "p", "p, Holm", "g", "verdict"),
)
_DECIMALS = 1  # of percent
_NO_EFFECT = -1e9  # where an effect that is not there is sorted
_LATEX = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
}


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        condition: What was done to the images, and how they were ranked: ``pgd-fna 4, re-ranked``.
        first: Name of the first group.
        second: Name of the baseline.
        found: The comparison.
        more_is_better: Whether a large value of the metric is good; not of the success of an
            attack.
        adds: The words of an interaction, whose sides are gains; None for two groups.
    """

    condition: str
    first: str
    second: str
    found: Comparison
    more_is_better: bool = True
    adds: Adds | None = None

    @property
    def compared(self) -> str:
        """Both sides with a minus."""
        if self.adds is not None:
            return f"({self.first}) − ({self.second})"
        return f"{self.first} − {self.second}"

    def verdict(self, p_of_all: float, comparisons: int) -> str:
        """Returns a sentence.

        Args:
            p_of_all: The p-value after Holm's correction.
            comparisons: Number of rows of the table.
        """
        names = (self.first, self.second)
        return verdict(self.found, p_of_all, names, comparisons, self.more_is_better, self.adds)


@dataclass(frozen=True)
class Table:
    """Comparisons that are read together, and corrected together.

    Attributes:
        title: What it is about.
        metric: Name of the metric, for people.
        rows: The comparisons.
        remarks: What else is to be known of the runs behind it, a line each.
    """

    title: str
    metric: str
    rows: Sequence[Row]
    remarks: Sequence[str] = ()

    @property
    def p_of_all(self) -> list[float]:
        """The p-values of the rows after Holm's correction."""
        return holm([row.found.p for row in self.rows])

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each row."""
        return [
            row.verdict(p, len(self.rows)) for row, p in zip(self.rows, self.p_of_all, strict=True)
        ]


def cells(table: Table) -> list[list[str]]:
    """Returns the rows under :data:`HEADERS`, in percent."""
    found = []
    for row, p_of_all, words in zip(table.rows, table.p_of_all, table.verdicts, strict=True):
        c = row.found
        found.append(
            [
                row.condition,
                row.compared,
                _mean(c.first_mean, c.first_sd),
                _mean(c.second_mean, c.second_sd),
                f"{100 * c.difference:+.{_DECIMALS}f}",
                f"{100 * c.low:+.{_DECIMALS}f} .. {100 * c.high:+.{_DECIMALS}f}",
                _probability(c.p),
                _probability(p_of_all),
                "" if c.effect is None else f"{c.effect:+.1f}",
                words,
            ]
        )
    return found


def values(table: Table) -> list[dict[str, float]]:
    """Returns what the columns of numbers under :data:`HEADERS` are sorted by, for each row.

    An interval counts by its lower end; an effect that is not there is the smallest.
    """
    names = HEADERS[2:-1]
    found = []
    for row, p_of_all in zip(table.rows, table.p_of_all, strict=True):
        c = row.found
        effect = _NO_EFFECT if c.effect is None else c.effect
        numbers = (c.first_mean, c.second_mean, c.difference, c.low, c.p, p_of_all, effect)
        found.append(dict(zip(names, numbers, strict=True)))
    return found


def notes(table: Table) -> list[str]:
    """Returns lines that say how the table is to be read."""
    found = [row.found for row in table.rows]
    about = sorted({one.speaks_of for one in found})
    runs = sorted({(one.first_runs, one.second_runs) for one in found})
    sizes = " or ".join("one run each" if n == (1, 1) else f"{n[0]} and {n[1]} runs" for n in runs)
    pairs = {one.paired for one in found}
    paired = "paired by seed" if True in pairs else "not paired"
    if len(pairs) == 2:
        paired += " where both groups have the same seeds"
    blocks = max(one.blocks for one in found)
    sets = "" if blocks == 1 else f" on {blocks} query sets, each compared within itself"
    many = len(table.rows)
    lines = [
        f"{table.metric} in %, mean ± standard deviation over {sizes}{sets}, {paired};"
        f" {max(one.identities for one in found)} identities.",
        f"The interval and p speak of {' / '.join(about)}. p, Holm holds for all rows of this table"
        f" at once ({many}); g is the difference in standard deviations over runs.",
        "What could have been shown: the true difference that such a study finds, without Holm's"
        f" correction, in {100 * POWER:.0f} % of the cases.",
    ]
    if any(row.adds is not None for row in table.rows):
        lines.append(
            "Both means are gains of one recipe or ranking over another; the difference of the two"
            " is the interaction."
        )
    if SPLITS in about:
        lines.append("Splits share training images, so that the interval is a little too short.")
    return [*lines, *table.remarks]


def as_text(table: Table, style: str = "simple") -> str:
    """Returns title, table and notes.

    Args:
        table: The table.
        style: A format of tabulate: ``simple``, or ``github`` for Markdown.
    """
    from tabulate import tabulate

    aligned = ("left", "left", *["right"] * (len(HEADERS) - 3), "left")
    body = tabulate(cells(table), HEADERS, style, disable_numparse=True, colalign=aligned)
    return "\n".join([table.title, "", body, "", *_paragraphs(notes(table), style)])


def as_markdown(tables: Sequence[Table]) -> str:
    """Returns all tables as Markdown."""
    return "\n\n".join(as_text(table, "github") for table in tables) + "\n"


def as_csv(tables: Sequence[Table]) -> str:
    """Returns one line for each comparison of all tables, with all its numbers unrounded."""
    names = [field.name for field in fields(Comparison)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "metric", "test", "first", "second", *names, "p_holm", "verdict"])
    for table in tables:
        for row, p, words in zip(table.rows, table.p_of_all, table.verdicts, strict=True):
            numbers = row.found.numbers()
            about = [table.title, table.metric, row.condition, row.first, row.second]
            values = ["" if numbers[name] is None else numbers[name] for name in names]
            writer.writerow([*about, *values, p, words])
    return out.getvalue()


def as_latex(tables: Sequence[Table]) -> str:
    """Returns a tabular for each table; it needs the package booktabs."""
    return "\n".join(_tabular(table) for table in tables)


def _tabular(table: Table) -> str:
    kept = [place for place, name in enumerate(HEADERS) if name != "verdict"]
    lines = [f"% {line}" for line in (table.title, *notes(table))]
    lines += [r"\begin{tabular}{ll" + "r" * (len(kept) - 2) + "}", r"\toprule"]
    lines += [" & ".join(_latex(HEADERS[place]) for place in kept) + r" \\", r"\midrule"]
    lines += [" & ".join(_latex(row[place]) for place in kept) + r" \\" for row in cells(table)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex(text: str) -> str:
    safe = "".join(_LATEX.get(letter, letter) for letter in text)
    numbers = re.sub(r"(?<![\w$])([+-])(?=\d)", r"$\1$", safe)  # a minus, and no hyphen
    return numbers.replace(" .. ", r" \ldots\ ")


def _paragraphs(lines: Sequence[str], style: str) -> list[str]:
    """Returns lines that stay lines in Markdown, too."""
    return [f"{line}  " for line in lines] if style == "github" else list(lines)


def _mean(mean: float, sd: float | None) -> str:
    value = f"{100 * mean:.{_DECIMALS}f}"
    return value if sd is None else f"{value} ± {100 * sd:.{_DECIMALS}f}"


def _probability(p: float) -> str:
    return "< .0005" if p < 0.0005 else f"{p:.3f}".lstrip("0") if p < 1 else "1"
