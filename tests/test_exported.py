"""A study as one small file: the same tables, and the rest of it on another machine."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ablation.studies import finished
from ablation.studies import study as study_of
from commands import InThisProcess, run
from fabricated import QUERIES
from test_ablate import study

from reid.jobs import ablate
from reid.jobs.ablation.export import misfit, told, write_export
from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.comparing.checking import check_record
from reid.jobs.exported import read_export
from reid.utils.errors import InputError
from reid.utils.packed import STEPS

LEVELS = {"plain": 0.2, "a": 0.3, "b": 0.4, "ab": 0.45}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``s`` of such a study, and its file."""
    root = tmp_path_factory.mktemp("made")
    cells = finished(root / "s", LEVELS)
    file = root / "results" / "s.json"
    assert write_export(file, study_of(root / "s", cells), cells) == 12
    return root


@pytest.fixture
def exported(made: Path, tmp_path: Path) -> Path:
    """The file of a copy."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "s.json"


def test_tables_are_those_of_the_folder(exported: Path, tmp_path: Path) -> None:
    """Numbers are rounded to 1 / 65535, which no printed digit shows."""
    asked = ["--baseline", "plain", "--interaction", "ab", "a", "b", "--interaction", "a",
             "re-ranked", "--primary", "a", "x 4"]  # fmt: skip
    of_folder = run("compare", tmp_path / "s", *asked).stdout
    assert of_folder.count("market1501") == 5
    table = tmp_path / "t.md"
    shutil.rmtree(tmp_path / "s")
    done = run("compare", exported, *asked, "--markdown", table)
    assert done.stdout.replace(f"written: {table}, {table}.json\n", "") == of_folder
    assert check_record(tmp_path / "t.md.json") == []
    record = json.loads((tmp_path / "t.md.json").read_text())
    assert record["groups"]["a"][0] == f"{exported}/a/seed0"
    few = ["--baseline", "plain", "--resamples", 100]
    for metric in ("mINP", "rank5", "success"):
        assert "a − plain" in run("compare", exported, *few, "--metric", metric).stdout


def test_results_are_those_of_the_folder(exported: Path, tmp_path: Path) -> None:
    assert run("results", exported).stdout == run("results", tmp_path / "s").stdout
    some = ["--only", "a", "--runs"]
    assert run("results", exported, *some).stdout == run("results", tmp_path / "s", *some).stdout


def test_a_file_says_nothing_of_the_machine_and_is_small(exported: Path, tmp_path: Path) -> None:
    text = exported.read_text()
    assert "/home" not in text and str(tmp_path) not in text and "x/last" not in text
    cell = json.loads(text)["cells"]["a/seed0"]
    assert cell["steps"]["attack"] == {
        "key": "k-attack", "threads": 1, "spent": 2.5, "ended": cell["steps"]["attack"]["ended"],
    }  # fmt: skip
    assert cell["attack"]["content"]["seconds"] == 0.333333
    values = QUERIES * 3 * (2 + 4)  # of the test's two rankings, of four rows of the attack
    packed = sum(len(cell[step]["queries"]["packed"]) for step in ("test", "attack"))
    assert packed < 4 * values, "less than four letters a number"


def test_a_changed_file_is_told(exported: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    run("compare", exported, "--baseline", "plain", "--csv", table)
    content = json.loads(exported.read_text())
    cells = content["cells"]
    cells["b/seed1"]["test"], cells["b/seed2"]["test"] = (
        cells["b/seed2"]["test"], cells["b/seed1"]["test"],
    )  # fmt: skip
    exported.write_text(json.dumps(content))
    said = run("report", "--check", f"{table}.json", code=1).stdout
    assert f"{exported}/b/seed1/test was written anew" in said
    cells["b/seed1"]["attack"]["queries"]["packed"] = "AAAA"
    exported.write_text(json.dumps(content))
    error = run("compare", exported, "--baseline", "plain", "--only", "attack", code=2).stderr
    assert "b/seed1/attack: holds no packed arrays" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "it has no 'format' of 'reid study 1'"),
        ('{"format": "reid study 1", "study": {}}', "has no 'cells'"),
        ('{"format": "reid study 1", "study": {}, "cells": {}}', "holds no cell"),
        ('{"format": "reid study 1", "study": {}, "cells": {"a/seed0": 1}}', "must be an object"),
    ],
)
def test_another_file_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    error = run("compare", file, code=2).stderr
    assert says in error and error.count("\n") == 1


def test_cells_that_only_the_file_knows_stay_in_it(exported: Path, tmp_path: Path) -> None:
    """And a file with cells that could not stay is left as it is."""
    cells = finished(tmp_path / "other", LEVELS, seeds=1)
    before = exported.read_text()
    entry = json.loads(before)["cells"]["a/seed0"]
    seeds = [
        Cell(**{**vars(c), "seed": seed, "folder": tmp_path / "none" / f"{c.variant}{seed}"})
        for c in cells
        for seed in range(4)
        if f"{c.variant}/seed{seed}" in json.loads(before)["cells"]
    ]
    fresh = [Cell(**{**vars(c), "seed": 9}) for c in cells[:1]]
    assert write_export(exported, study_of(tmp_path, cells), [*fresh, *seeds]) == 13
    after = json.loads(exported.read_text())["cells"]
    assert next(iter(after)) == "plain/seed9" and after["a/seed0"] == entry

    changed = Cell(**{**vars(seeds[0]), "steps": (Step("test", (), "k2"),)})
    with pytest.raises(
        InputError, match=r"cells asked for something else \(1\), not of this study \(1\), which"
    ):
        write_export(exported, study_of(tmp_path, cells), [changed, *seeds[1:]])
    assert json.loads(exported.read_text())["cells"] == after


def test_why_a_cell_of_the_file_does_not_fit_is_told(exported: Path, tmp_path: Path) -> None:
    cell = finished(tmp_path / "other", LEVELS, seeds=1)[0]
    export = read_export(exported)
    entry = export.cells[cell.name]
    assert misfit(entry, cell) == "" and misfit({}, cell) == "of another recipe"
    assert told(export, [cell]) == f"1 cells are taken from {exported}, and not run"
    other = (Step("test", (), "k2"),)
    for change, why in [
        ({}, "asked for something else"),
        ({"fingerprint": "5"}, "of other images (1)"),
        ({"fingerprint": ""}, "of images that are not there"),
        ({"recipe": "5", "fingerprint": "5"}, "of another recipe"),
    ]:
        changed = Cell(**{**vars(cell), "steps": other, **change})
        assert told(export, [changed]).startswith(
            f"0 cells are taken from {exported}, and not run; it has cells {why}"
        )


@pytest.mark.usefixtures("tiny_network")
def test_half_a_study_goes_on_from_its_file(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half done, exported, its folder deleted, ended elsewhere: the same table."""
    started: list[str] = []

    class Counted(InThisProcess):
        def __init__(self, step: Step, log: Path, *more: object) -> None:
            started.append(f"{log.parent.parent.name}/{log.parent.name} {step.name}")
            super().__init__(step, log, *more)

    monkeypatch.setattr(ablate, "StepProcess", Counted)
    path = study(tmp_path, data, SEEDS=[0, 1], PRIMARY={"COMPARED": "lfm"}, KEEP="results")
    run("ablate", path)
    table = run("compare", tmp_path / "out").stdout
    assert table.startswith("Primary comparison. Tested: ") and len(started) == 8
    for seed in ("lfm/seed1", "plain/seed1"):
        shutil.rmtree(tmp_path / "out" / seed)
    half, whole = tmp_path / "half.json", tmp_path / "whole.json"
    assert run("ablate", path, "--export", half).stdout.startswith(f"written: {half}, 2 of 4 cells")
    shutil.rmtree(tmp_path / "out")
    started.clear()
    go_on = [path, "OUTPUT_DIR", tmp_path / "elsewhere"]
    text = run("ablate", *go_on, "--known", half, "--dry-run", "--threads", 1).stdout
    assert (
        f"2 cells are taken from {half}, and not run\n" in text
        and "2 cells, 0 of them done" in text
    )
    text = run("ablate", *go_on, "--known", half).stdout
    assert f"2 cells are taken from {half}, and not run" in text and "4 of 4 cells are done" in text
    assert started == ["plain/seed1 train", "plain/seed1 test", "lfm/seed1 train", "lfm/seed1 test"]
    assert run("compare", tmp_path / "elsewhere").stdout == table
    assert "4 of 4 cells" in run("ablate", *go_on, "--export", whole).stdout
    assert run("compare", whole).stdout == table
    first, last = (json.loads(file.read_text())["cells"] for file in (half, whole))
    assert last["lfm/seed0"] == first["lfm/seed0"], "rounding twice changes nothing"
    assert run("ablate", *go_on).stdout.count("done in") == 0
    assert run("results", whole).stdout == run("results", tmp_path / "elsewhere").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--export", "x.csv"], "--export must end in .json"),
        (["--export", "x.json", "--dry-run"], "--export runs nothing"),
        (["--known", "none.json"], "none.json does not exist"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = run("ablate", study(tmp_path, data), *words, code=2).stderr
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "out" / "plain").exists()


def test_rounding_is_to_16_bits(exported: Path, tmp_path: Path) -> None:
    from reid.jobs.comparing.runs import read_attack, read_test

    for read in (read_test, read_attack):
        one, other = read(exported / "a/seed1"), read(tmp_path / "s/a/seed1")
        assert list(one.values) == list(other.values)
        for key, arrays in other.values.items():
            error = np.abs(one.values[key]["ap"] - arrays["ap"]).max()
            assert 0 < error <= 0.5 / STEPS
            assert (one.values[key]["first_hit"] == arrays["first_hit"]).all()
