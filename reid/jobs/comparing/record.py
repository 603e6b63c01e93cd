"""The small JSON beside a published table: what it was made of."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from reid import __version__
from reid.jobs.compare import Answer
from reid.jobs.comparing.question import Question
from reid.jobs.comparing.selection import Selection
from reid.statistics.comparison import Comparison
from reid.statistics.tables import Row, Table, as_csv, as_latex, as_markdown
from reid.statistics.verdict import Adds
from reid.utils.logs import make_dir, write_text

FORMATS = {"markdown": as_markdown, "csv": as_csv, "latex": as_latex}
WHAT = "the record of a table of reid compare"


def write_table(
    file: Path, style: str, chosen: Selection, question: Question, answer: Answer
) -> None:
    """Writes a table, and ``FILE.json``, which says what it was made of.

    Args:
        file: The file.
        style: A key of :data:`FORMATS`.
        chosen: The groups.
        question: What was asked.
        answer: What was found.
    """
    text = FORMATS[style](answer.tables)
    record = record_of(chosen, question, answer, style)
    record |= {"command": ["reid", "compare", *words(chosen, question), f"--{style}", str(file)]}
    make_dir(file.parent)
    write_text(file, text)
    # The record is last: where it is, the table is.
    beside = file.with_name(f"{file.name}.json")
    write_text(beside, json.dumps({**record, "sha256": digest_of(text)}, indent=1) + "\n")


def words(chosen: Selection, question: Question) -> list[str]:
    """Returns what is typed behind ``reid compare`` to ask the same again.

    Args:
        chosen: The groups.
        question: What was asked.
    """
    groups = [f"{name}={','.join(map(str, one))}" for name, one in chosen.groups.items()]
    options = [("baseline", chosen.baseline), ("metric", question.metric)]
    options += [("ranking", one) for one in question.rankings]
    options += [("only", one) for one in question.kinds]
    options += [("seeds", question.pairing), ("seed", str(question.seed))]
    options.append(("resamples", str(question.resamples)))
    typed = [*groups, *(word for name, value in options for word in (f"--{name}", value))]
    for names in question.interactions:
        typed += ["--interaction", *names]
    for one in question.primary:
        typed += ["--primary", ",".join(one.compared), one.test, one.metric]
    return typed


def record_of(chosen: Selection, question: Question, answer: Answer, style: str) -> dict[str, Any]:
    """Returns what a table was made of: enough to compute it again.

    Args:
        chosen: The groups.
        question: What was asked.
        answer: What was found.
        style: A key of :data:`FORMATS`.
    """
    import numpy
    import scipy

    return {
        "made_by": f"reid {__version__}, numpy {numpy.__version__}, scipy {scipy.__version__}",
        "format": style,
        "question": asdict(question),
        "baseline": chosen.baseline,
        "groups": {name: [str(one) for one in group] for name, group in chosen.groups.items()},
        "runs": [
            {
                "group": name,
                "folder": str(run.folder),
                **run.facts,
                **{k: v for k, v in run.about.items() if "." not in k},
                "files": dict(run.files),
            }
            for name, run in answer.runs
        ],
        "tables": [numbers_of(table) for table in answer.tables],
    }


def numbers_of(table: Table) -> dict[str, Any]:
    """Returns all numbers of a table, unrounded."""
    return {
        "title": table.title,
        "metric": table.metric,
        "remarks": list(table.remarks),
        "rows": [
            {
                "test": row.condition,
                "first": row.first,
                "second": row.second,
                **row.found.numbers(),
                "p_holm": p,
                "verdict": words,
                "more_is_better": row.more_is_better,
                "adds": None if row.adds is None else asdict(row.adds),
            }
            for row, p, words in zip(table.rows, table.p_of_all, table.verdicts, strict=True)
        ],
    }


def tables_of(entries: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Returns the tables whose numbers a record has.

    Args:
        entries: From :func:`numbers_of`.

    Raises:
        KeyError: A number is missing.
        TypeError: An entry is something else.
    """
    return [
        Table(
            entry["title"],
            entry["metric"],
            [_row(one) for one in entry["rows"]],
            entry.get("remarks", ()),
        )
        for entry in entries
    ]


def _row(entry: Mapping[str, Any]) -> Row:
    numbers = {one.name: entry[one.name] for one in fields(Comparison)}
    if numbers["df"] is None:  # JSON has no infinity
        numbers["df"] = float("inf")
    adds = entry.get("adds")
    return Row(
        entry["test"],
        entry["first"],
        entry["second"],
        Comparison(**numbers),
        entry.get("more_is_better", True),
        Adds(**adds) if adds else None,
    )


def digest_of(text: str) -> str:
    """Returns the SHA-256 of a table's text."""
    return hashlib.sha256(text.encode()).hexdigest()
