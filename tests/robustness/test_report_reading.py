import copy
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from commands import run

from reid.jobs.compare import compare_runs
from reid.jobs.comparing.question import Question
from reid.jobs.comparing.selection import select
from reid.robustness.reading import read_report
from reid.statistics.tables import as_csv
from reid.utils.errors import InputError


def report(clean: float, attacked: float, **changes) -> dict:
    def row(kind: str, name: str, level: float, value: float) -> dict:
        numbers = {"mAP": value, "rank1": value / 2, "mINP": value / 4, "success": None}
        return {"kind": kind, "name": name, "level": level, "ranking": "plain", **numbers}

    rows = [row("clean", "clean", 0.0, clean), row("attack", "pgd-fna", 8.0, attacked)]
    facts = {"weight": "w", "num_queries": 5, "attack": {"ATTACK.SIDE": "query"}, "rows": rows}
    return {**facts, "surrogate": None, "sanity": {"verdict": "", "checks": []}, **changes}


def test_reports_are_found_in_the_run_or_in_its_attack_folder(tmp_path) -> None:
    (tmp_path / "a" / "attack").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a" / "attack"):
        (folder / "robustness.json").write_text(json.dumps(report(0.5, 0.1)))
    assert read_report(tmp_path)["rows"] == read_report(tmp_path / "a")["rows"]
    with pytest.raises(InputError, match=r"attack the run first \(reid attack\)"):
        read_report(tmp_path / "nowhere")
    for text in ("{}", "nothing", '{"rows": []}'):
        (tmp_path / "robustness.json").write_text(text)
        with pytest.raises(InputError, match="not a report"):
            read_report(tmp_path)


def write(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "robustness.json").write_text(text, encoding="utf-8")
    return folder


def changed(place: str, value: object) -> dict:
    """A report with one entry, such as ``rows.1.mAP``, replaced, or left out if value is ...."""
    whole = copy.deepcopy(report(0.7, 0.1))
    *way, last = [int(word) if word.isdigit() else word for word in place.split(".")]
    part = whole
    for word in way:
        part = part[word]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return whole


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "the report is no JSON object"),
        (5, "the report is no JSON object"),
        ("", "Expecting value"),
        ({}, "the report has no 'weight'"),
        ("[" * 100_000, "nested too deep"),
        ("1" * 5000, "robustness.json"),
        (changed("rows.1.mAP", "0.5"), "'mAP' of row 1 must be a whole number or a number or null"),
        (changed("rows.1.mAP", True), "got true or false"),
        (changed("rows.1.mAP", ...), "row 1 has no 'mAP'"),
        (changed("rows.1.mAP", 50), "mAP of row 1 must be a fraction from 0 to 1, got 50"),
        (changed("rows.1.rank1", float("nan")), "must be a fraction"),
        (changed("rows.1.level", float("inf")), "level of row 1 must be a number"),
        (changed("rows.1.level", 10**400), "level of row 1 must be a number"),
        (changed("rows.1.kind", "attacks"), "row 1 is of kind 'attacks'; known: clean"),
        (changed("rows.1.name", "\x1b[31m"), "name of row 1 has letters that cannot be printed"),
        (changed("rows.0.ranking", "\ud800"), "ranking of row 0 has letters"),
        (changed("rows.1", None), "row 1 is no JSON object"),
        (changed("rows", []), "'rows' is empty"),
        (changed("rows", {}), "'rows' of the report must be a list, got an object"),
        (changed("num_queries", "5"), "'num_queries' of the report must be a whole number"),
        (changed("attack", {"ATTACK.SIDE": [[[[[0]]]]]}), "ATTACK.SIDE is nested too deep"),
        (changed("sanity.checks", [1]), "a check of 'sanity' is no JSON object"),
        (changed("sanity.checks", [{"passed": "no"}]), "'passed' of a check"),
    ],
)
def test_what_is_no_report_is_one_line(tmp_path, content, says: str) -> None:
    folder = write(tmp_path / "a", content)
    text = run("compare_attacks", f"x={folder}", f"y={folder}", code=2).stderr
    assert f"{folder}/robustness.json" in text
    assert text.startswith("error: ") and " is not a report of tools/attack.py: " in text
    assert says in text and text.rstrip().endswith("attack the run again (reid attack)")
    assert text.count("\n") == 1


def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch) -> None:
    folder = write(tmp_path / "a", report(0.7, 0.1))
    (folder / "robustness.json").write_bytes(b"\xff\xfe")
    assert "is no UTF-8" in run("compare_attacks", f"x={folder}", f"y={folder}", code=2).stderr
    write(folder, report(0.7, 0.1))
    monkeypatch.setattr("reid.robustness.reading._MAX_BYTES", 100)
    assert (
        "a report of tools/attack.py has at most 100 bytes"
        in run("compare_attacks", f"x={folder}", f"y={folder}", code=2).stderr
    )
    for groups, says in (("x=", "names an empty folder"), ("x=" + 300 * "y", "too long")):
        text = run("compare_attacks", groups, "z=z", code=2).stderr
        assert says in text and text.count("\n") == 1


def test_a_changed_report_is_compared_or_refused_in_one_line(tmp_path) -> None:
    """500 reports, each with some entries replaced, left out, added or put elsewhere."""
    rng = random.Random(0)
    good = write(tmp_path / "good", report(0.7, 0.1))
    worked, lines = 0, []
    for folder in (good, tmp_path / "spoiled"):
        folder.mkdir(exist_ok=True)
        shown = {f"{row}/{key}": [0.7, 0.1][row] for row in (0, 1) for key in ("ap", "inp")}
        arrays = {key: np.full(5, value) for key, value in shown.items()}
        hits = {f"{row}/first_hit": np.arange(5) for row in (0, 1)}
        np.savez(
            folder / "per_query.npz", pids=np.arange(5), query_index=np.arange(5), **hits, **arrays
        )
    for _ in range(500):
        spoiled = copy.deepcopy(report(0.7, 0.1))
        for _ in range(rng.choice((1, 1, 2, 4))):
            _spoil(spoiled, rng)
        folder = write(tmp_path / "spoiled", spoiled)
        question = Question(("attack",), rng.choice(("mAP", "success")), resamples=100)
        try:
            answer = compare_runs(select([f"a={good}", f"b={folder}"]), question)
        except InputError as error:
            lines.append(str(error))
            continue
        worked += 1
        text = as_csv(answer.tables) + "".join(answer.cautions)
        assert text.replace("\n", "").isprintable()
    assert worked > 20 and len(lines) > 300
    assert all(line.isprintable() and len(line) < 500 for line in lines)


def _spoil(report: dict, rng: random.Random) -> None:
    places: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(report)
    node, key = rng.choice(places)
    strange = [None, True, 0, -1, 2, 0.5, 1e308, math.nan, math.inf, 10**400, "", "x", "\x00"]
    strange += ["\ud800", "\n", [], {}, [[]], {"a": {}}, [1, "x"], "clean", "plain", "steps"]
    kind = rng.choice(("replace", "replace", "replace", "delete", "add", "copy"))
    if kind == "replace":
        node[key] = rng.choice(strange)
    elif kind == "copy":
        other, place = rng.choice(places)
        node[key] = copy.deepcopy(other[place])
    elif kind == "add" and isinstance(node, dict):
        node[rng.choice(["", "x", "\ud800", "kind"])] = rng.choice(strange)
    else:
        del node[key]
