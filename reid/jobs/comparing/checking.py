"""Whether published tables are still what the runs give, and what the documents show."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.jobs.compare import Answer, compare_runs
from reid.jobs.comparing.question import Primary, Question
from reid.jobs.comparing.record import FORMATS, digest_of, numbers_of, tables_of
from reid.jobs.comparing.selection import Selection
from reid.jobs.exported import file_of
from reid.utils.errors import InputError
from reid.utils.jsonfile import MAX_BYTES, fields, read_json

WHAT = "the record of a table of reid compare"
# A table in a document: these two lines around the text of the file, which is named from there.
_SHOWN = re.compile(r"<!-- table (\S+) -->\n(.*?)<!-- end of table -->", re.DOTALL)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)  # shows how a table is written
# Another processor adds in another order: a resample of 10 000 may fall to the other side.
_P = ("p", "p_holm", "p_runs")
_P_TOLERANCE = 1e-3
_TOLERANCE = 1e-3  # of a number's size
_LEAST = 1e-5  # of a fraction: a hundredth of what a table shows


def check_all(places: Sequence[Path]) -> dict[Path, list[str]]:
    """Checks records, and all that lies in folders: records, and tables in Markdown files.

    Args:
        places: Records (JSON files beside tables), and folders.

    Returns:
        What differs, by file; a file without differences has none.

    Raises:
        InputError: A folder holds no record.
    """
    found: dict[Path, list[str]] = {}
    for place in places:
        if not place.is_dir():
            found[place] = _checked(place)
            continue
        records = list(find_records(place))
        if not records:
            raise InputError(
                f"{place} holds no record of a table; write one: reid compare ... --markdown FILE"
            )
        found |= {record: _checked(record) for record in records}
        shown = {page: check_page(page) for page in sorted(place.rglob("*.md"))}
        found |= {page: differs for page, differs in shown.items() if differs is not None}
    return found


def find_records(folder: Path) -> Iterator[Path]:
    """Yields the records in a tree, by name; other JSON files are passed over.

    Args:
        folder: The tree.
    """
    for path in sorted(folder.rglob("*.json")):
        if path.with_suffix("").suffix == "" or path.stat().st_size > MAX_BYTES:
            continue  # a record is called after its table: t.md.json
        content = read_json(path, "JSON")
        if isinstance(content, dict) and {"format", "question", "tables"} <= set(content):
            yield path


def check_page(page: Path) -> list[str] | None:
    """Says which tables of a Markdown file are not those of their files; None if it has none.

    Args:
        page: The file. Each table stands between ``<!-- table PATH -->`` and
            ``<!-- end of table -->``.
    """
    tables = _SHOWN.findall(_CODE.sub("", page.read_text(encoding="utf-8", errors="replace")))
    differs = []
    for name, text in tables:
        file = page.parent / name
        if not file.is_file():
            differs.append(f"table {name} is not there")
        elif file.read_text(encoding="utf-8").strip() != text.strip():
            differs.append(f"the table is not the one in {name}")
    return differs if tables else None


def check_record(path: Path) -> list[str]:
    """Computes a published table again from its runs; returns what differs.

    Folders are sought from where the command runs, and then from the folders above the record. Last
    digits may differ, as another processor makes them.

    Args:
        path: The JSON beside the table.

    Raises:
        InputError: A file is missing or wrong, or the runs cannot be compared any more.
    """
    kinds = {"format": str, "sha256": str, "question": dict, "baseline": str, "groups": dict}
    record = fields(read_json(path, WHAT), str(path), {**kinds, "runs": list, "tables": list})
    if record["format"] not in FORMATS:
        raise InputError(f"{path}: 'format' must be one of {', '.join(FORMATS)}")
    try:
        recorded = tables_of(record["tables"])
        question = _question(record["question"])
        groups = {
            str(name): {_sought(Path(one), path): str(one) for one in group}
            for name, group in record["groups"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is not {WHAT}: {error}") from error
    chosen = Selection({name: list(group) for name, group in groups.items()}, record["baseline"])
    answer = compare_runs(chosen, question)
    typed = {folder: word for group in groups.values() for folder, word in group.items()}
    differs = _changed_files(record["runs"], answer, typed)
    as_text = FORMATS[record["format"]]
    if digest_of(as_text(answer.tables)) != record["sha256"]:
        differs += _other_numbers(record["tables"], [numbers_of(t) for t in answer.tables])
        if digest_of(as_text(recorded)) != record["sha256"]:
            differs.append(f"{path} has other numbers than the table that it is about")
    table = path.with_suffix("")
    if not table.is_file() or digest_of(table.read_text(encoding="utf-8")) != record["sha256"]:
        differs.append(f"{table} is missing, or was changed by hand")
    return differs


def _checked(path: Path) -> list[str]:
    """Returns what differs; what cannot be computed differs, too, and the rest is checked still."""
    try:
        return check_record(path)
    except InputError as error:
        return [f"cannot be computed: {error}"]


def _question(entries: Mapping[str, Any]) -> Question:
    """Returns the question of a record; older ones name no interactions."""
    named = [Primary(**one) for one in entries.get("primary", [])]
    return Question(**{**entries, "primary": named})


def _sought(folder: Path, record: Path) -> Path:
    """Returns where a run is, as it was typed or from a folder above the record."""
    places = (folder, *(above / folder for above in record.absolute().parents))
    return next((one for one in places if one.exists() or file_of(one) is not None), folder)


def _changed_files(runs: Sequence[Any], answer: Answer, typed: Mapping[Path, str]) -> list[str]:
    then: dict[str, Mapping[str, str]] = {}
    for one in runs:
        entry = fields(one, "a run of the record", {"folder": str, "files": dict})
        then[f"{entry['folder']} {sorted(entry['files'])}"] = entry["files"]
    return [
        f"{run.folder / name} was written anew"
        for _, run in answer.runs
        for name, digest in run.files.items()
        if then.get(f"{typed[run.folder]} {sorted(run.files)}", {}).get(name) != digest
    ]


def _other_numbers(then: Sequence[Any], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says which number is the first that is another one now, by more than its last digits."""
    old, new = ([row for table in tables for row in table["rows"]] for tables in (then, now))
    names = [[(row["test"], row["first"], row["second"]) for row in rows] for rows in (old, new)]
    if names[0] != names[1]:
        return ["the runs give another table now: it has other rows"]
    for before, after in zip(old, new, strict=True):
        for key, value in after.items():
            if _differ(key, before.get(key), value):
                row = f"{after['test']}, {after['first']} − {after['second']}"
                was = f"{key} was {before.get(key)}, and is {value}"
                return [f"the runs give another table now: {row}: {was}"]
    return []


def _differ(key: str, before: Any, after: Any) -> bool:
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return key != "verdict" and bool(before != after)
    if key in _P:
        return abs(before - after) > _P_TOLERANCE
    return not math.isclose(before, after, rel_tol=_TOLERANCE, abs_tol=_LEAST)
