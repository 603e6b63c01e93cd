"""Tables in LaTeX and Markdown keep their columns, whatever groups are called."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reid.statistics.comparison import Comparison, compare
from reid.statistics.groups import Block, Group
from reid.statistics.resampling import Draws
from reid.statistics.tables import (
    HEADERS,
    Row,
    Table,
    as_csv,
    as_latex,
    as_text,
    cells,
    notes,
    values,
)


@pytest.fixture(scope="module")
def found() -> Comparison:
    rng = np.random.default_rng(0)
    groups = [Group.of(rng.random((3, 30)), np.arange(30)) for _ in range(2)]
    return compare([Block(*groups, paired=True)], Draws(500))


def table(found: Comparison, name: str = "lfm") -> Table:
    return Table("Tested: x", "mAP", [Row("clean", name, "plain", found)] * 2)


def test_latex_escapes_what_means_something_to_it(found: Comparison) -> None:
    text = as_latex([table(found, "a_b & 5% {x} ~^\\")])
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 3 and len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
    assert (
        r"a\_b \& 5\% \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} $-$ plain" in text
    )
    assert not re.search(r"[−±]", "\n".join(lines)), "letters that LaTeX may not know"
    sign = "+" if found.difference > 0 else "-"
    assert f"${sign}${100 * abs(found.difference):.1f}" in text


def test_cells_are_in_percent_and_notes_say_of_what(found: Comparison) -> None:
    row = cells(table(found))[0]
    assert len(row) == len(HEADERS)
    assert row[2] == f"{100 * found.first_mean:.1f} ± {100 * found.first_sd:.1f}"
    assert row[5] == f"{100 * found.low:+.1f} .. {100 * found.high:+.1f}"
    said = " ".join(notes(table(found)))
    assert "over 3 and 3 runs, paired by seed; 30 identities" in said
    assert "new training seeds and new identities" in said and "at once (2)" in said
    assert as_text(table(found)).startswith("Tested: x\n\ntest ")


def test_holm_counts_the_rows_of_a_table(found: Comparison) -> None:
    line = as_csv([table(found)]).splitlines()[1].split(",")
    names = as_csv([]).strip().split(",")
    values = dict(zip(names, line, strict=False))
    assert float(values["p_holm"]) == pytest.approx(min(1, 2 * found.p))


def test_each_column_of_numbers_has_what_it_is_sorted_by(found: Comparison) -> None:
    """Signs, dots and ± in a cell are read as words."""
    without = Row("clean", "lfm", "plain", replace(found, effect=None, difference=-0.5))
    first, second = values(
        Table("Tested: x", "mAP", [Row("clean", "lfm", "plain", found), without])
    )
    assert list(first) == [name for name in HEADERS if name not in ("test", "compared", "verdict")]
    for name, number in first.items():
        text = cells(table(found))[0][HEADERS.index(name)]
        scale = 1 if name in ("p", "p, Holm", "g") else 100
        assert float(text.split()[0]) == pytest.approx(scale * number, abs=0.0501)
    assert second["difference"] == -0.5 and second["g"] < -1000
