"""The small JSON beside a published table: what it was made of, and whether that is still so."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reid import __version__
from reid.jobs.compare import Answer, compare_runs
from reid.jobs.comparing.question import Primary, Question
from reid.jobs.comparing.selection import Selection
from reid.statistics.tables import Table, as_csv, as_latex, as_markdown
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
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
    write_text(beside, json.dumps({**record, "sha256": _digest(text)}, indent=1) + "\n")


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
    if question.primary is not None:
        first = question.primary
        typed += ["--primary", *first.compared, "--primary-row", first.test]
        typed += ["--primary-metric", first.metric]
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
        "tables": [_numbers(table) for table in answer.tables],
    }


def check_record(path: Path) -> list[str]:
    """Computes a published table again, and returns what differs; nothing if all is as it was.

    Args:
        path: The JSON; the table lies beside it, the run folders where they lay.

    Raises:
        InputError: A file is missing or wrong, or the runs cannot be compared any more.
    """
    kinds = {"format": str, "sha256": str, "question": dict, "baseline": str, "groups": dict}
    record = fields(read_json(path, WHAT), str(path), {**kinds, "runs": list, "tables": list})
    if record["format"] not in FORMATS:
        raise InputError(f"{path}: 'format' must be one of {', '.join(FORMATS)}")
    try:
        question = _question(record["question"])
        groups = {str(k): [Path(one) for one in group] for k, group in record["groups"].items()}
    except TypeError as error:
        raise InputError(f"{path} is not {WHAT}: {error}") from error
    answer = compare_runs(Selection(groups, record["baseline"]), question)
    differs = _changed_files(record["runs"], answer)
    if _digest(FORMATS[record["format"]](answer.tables)) != record["sha256"]:
        differs.append("the runs give another table now")
    table = path.with_suffix("")
    if not table.is_file() or _digest(table.read_text(encoding="utf-8")) != record["sha256"]:
        differs.append(f"{table} is missing, or was changed by hand")
    return differs


def _question(entries: Mapping[str, Any]) -> Question:
    """Returns the question of a record; older ones name no interactions."""
    first = entries.get("primary")
    return Question(**{**entries, "primary": Primary(**first) if first else None})


def _changed_files(runs: Sequence[Any], answer: Answer) -> list[str]:
    then: dict[str, Mapping[str, str]] = {}
    for one in runs:
        entry = fields(one, "a run of the record", {"folder": str, "files": dict})
        then[f"{entry['folder']} {sorted(entry['files'])}"] = entry["files"]
    return [
        f"{run.folder / name} was written anew"
        for _, run in answer.runs
        for name, digest in run.files.items()
        if then.get(f"{run.folder} {sorted(run.files)}", {}).get(name) != digest
    ]


def _numbers(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "metric": table.metric,
        "rows": [
            {
                "test": row.condition,
                "first": row.first,
                "second": row.second,
                **row.found.numbers(),
                "p_holm": p,
                "verdict": words,
            }
            for row, p, words in zip(table.rows, table.p_of_all, table.verdicts, strict=True)
        ],
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
