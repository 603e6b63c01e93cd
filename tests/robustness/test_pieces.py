"""Pieces of an attack run: what was finished comes back to the bit, and only to its own run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_result import result

from reid.robustness.pieces import FIELDS, Pieces, begin, run_hash
from reid.robustness.result import Result
from reid.robustness.sanity import Check

FACTS = {"weights": "abc", "SEED": 1, "ATTACK.EPS_255": (4, 8.5)}


def some() -> list[Result]:
    ap = np.random.default_rng(0).random(3)
    facts = {"seconds": 0.1, "change": 1 / 3, "steps": 8, "reached": float("nan")}
    return [
        result(ap, [0, 4, 2], "pgd-fna", **facts),
        replace(result(ap / 3, [1, 4, 2], "pgd-fna", pids=[7, 7, 9]), ranking="re-ranked"),
    ]


def start(folder: Path, said: list[str] | None = None, restart: bool = False, **changes) -> Pieces:
    say = (said if said is not None else []).append
    return begin(folder, {**FACTS, **changes}, restart, say)


def never() -> list[Result]:
    raise AssertionError("what is finished is not done again")


def test_results_come_back_to_the_bit(tmp_path: Path) -> None:
    assert start(tmp_path).results("001_x", some)[0].name == "pgd-fna"
    again = start(tmp_path)
    assert again.count(["001_x", "002_y"]) == 1
    for found, expected in zip(again.results("001_x", never), some(), strict=True):
        for key in ("kind", "name", "level", "ranking"):
            assert getattr(found, key) == getattr(expected, key)
        assert repr(found.facts) == repr(expected.facts)  # also 8 and no 8.0, and NaN
        for key in FIELDS:
            assert getattr(found, key).dtype == getattr(expected, key).dtype
            assert getattr(found, key).tobytes() == getattr(expected, key).tobytes()


def test_checks_come_back(tmp_path: Path) -> None:
    for number, passed in enumerate((True, False, None)):
        check = Check("mAP falls", passed, f"{number} ± 1")
        assert start(tmp_path).check(f"check_{number}", lambda check=check: check) == check
        assert start(tmp_path).check(f"check_{number}", never) == check


def test_a_piece_that_fails_leaves_the_others(tmp_path: Path) -> None:
    start(tmp_path).results("001_x", some)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path).results("002_y", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert start(tmp_path).count(["001_x", "002_y"]) == 1


@pytest.mark.parametrize("changes", [{"SEED": 2}, {"weights": "abd"}, {"ATTACK.EPS_255": [4]}])
def test_another_run_does_not_go_on_and_nothing_is_lost(tmp_path: Path, changes) -> None:
    start(tmp_path).results("001_x", some)
    (tmp_path / "robustness.json").write_text("first")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    said: list[str] = []
    other = start(tmp_path, said, **changes)
    assert other.count(["001_x"]) == 0
    assert said == [
        f"results of another run (other {next(iter(changes))}) in {tmp_path} were moved to"
        f" {tmp_path}/older/1"
    ]
    assert not (tmp_path / "robustness.json").exists() and not (tmp_path / "images").exists()
    assert (tmp_path / "older/1/robustness.json").read_text() == "first"
    assert (tmp_path / "older/1/images/a.png").exists()
    assert json.loads((tmp_path / "older/1/run.json").read_text())["run"] == run_hash(FACTS)
    back = start(tmp_path, said)  # its pieces are where they were
    back.results("001_x", never)
    assert (tmp_path / "older/2/run.json").exists()


def test_the_report_of_the_same_run_stays(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "robustness.json").write_text("mine")
    said: list[str] = []
    start(tmp_path, said)
    assert (tmp_path / "robustness.json").exists() and not (tmp_path / "older").exists()
    assert said == []


def test_a_report_without_a_mark_is_of_an_unknown_run(tmp_path: Path) -> None:
    for text in (None, "", "[]", '{"facts": 5}', "[" * 100_000):
        (tmp_path / "robustness.json").write_text("old")
        (tmp_path / "run.json").unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "run.json").write_text(text)
        said: list[str] = []
        start(tmp_path, said)
        assert "results of an unknown run" in said[0]
        assert not (tmp_path / "robustness.json").exists()
    assert len(list((tmp_path / "older").glob("*/robustness.json"))) == 5


def test_restart_moves_what_is_finished(tmp_path: Path) -> None:
    start(tmp_path).results("001_x", some)
    said: list[str] = []
    assert start(tmp_path, said, restart=True).count(["001_x"]) == 0
    assert said == [f"results of the same run in {tmp_path} were moved to {tmp_path}/older/1"]
    assert (tmp_path / "older/1" / run_hash(FACTS) / "001_x.npz").exists()


def test_a_damaged_or_foreign_piece_is_made_again(tmp_path: Path) -> None:
    """120 files with changed bytes: each gives the same numbers, or is made again."""
    pieces = start(tmp_path)
    pieces.results("001_x", some)
    path = pieces.folder / "001_x.npz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    made, again = 0, some()
    for number in range(120):
        spoiled = bytearray(whole if number % 3 else whole[: rng.integers(len(whole))])
        for place in rng.integers(len(spoiled), size=min(len(spoiled), 2)):
            spoiled[place] ^= int(rng.integers(1, 256))
        path.write_bytes(spoiled)
        said: list[str] = []
        found = Pieces(pieces.folder, said.append).results("001_x", lambda: again)
        made += found is again
        assert len(said) == (found is again)
        assert found[0].ap.tobytes() == again[0].ap.tobytes()
    assert 60 < made < 120
    path.write_bytes(whole)
    other = start(tmp_path, SEED=2)
    other.folder.mkdir(parents=True)
    (other.folder / "001_x.npz").write_bytes(whole)
    (pieces.folder / "002_y.npz").write_bytes(whole)
    assert other.results("001_x", lambda: again) is again
    assert start(tmp_path).results("002_y", lambda: again) is again


def test_other_clean_results_are_another_run(tmp_path: Path) -> None:
    """The facts are the same, the contents of an image or the rounding of the machine are not."""
    clean = [result([1.0, 0.5], [0, 1], "clean", "clean")]
    pieces = start(tmp_path)
    pieces.start(clean)
    pieces.results("001_x", some)
    said: list[str] = []
    again = start(tmp_path, said)
    again.start(clean)
    again.results("001_x", never)
    assert said == []
    ap = np.array([1.0, np.nextafter(0.5, 1)])
    again.start([replace(clean[0], ap=ap)])
    assert again.count(["001_x"]) == 0 and "the images or the machine changed" in said[0]
    assert (tmp_path / "older/1" / again.folder.name / "001_x.npz").exists()


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    start(tmp_path)
    kept = ["a.tmp", ".b.tmp", "older/1/.x.png.12.tmp"]
    for name in [*kept, ".x.json.12.tmp", "images/y/.a.png.7.tmp"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    start(tmp_path)
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.tmp")}
    assert found == set(kept)


def test_pieces_are_deleted_when_the_report_is_there(tmp_path: Path) -> None:
    other = start(tmp_path, SEED=2)
    other.results("001_x", some)
    pieces = start(tmp_path)
    pieces.results("001_x", some)
    pieces.remove()
    assert start(tmp_path, SEED=2).count(["001_x"]) == 1, "another run's stay"
    start(tmp_path, SEED=2).remove()
    assert not (tmp_path / "partial").exists()
