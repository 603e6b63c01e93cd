"""The table of results: only like beside like, and a wrong file is one line."""

import json
import os
from pathlib import Path

import pytest
from commands import run, spawn

MARKET = {"dataset": "market1501", "protocol": "cross_camera", "ids": "aaa"}


def result(folder: Path, **entries: object) -> Path:
    """Writes a metrics.json; an entry None is left out."""
    metrics = {
        **dict.fromkeys(("mAP", "mINP", "rank1", "rank5", "rank10"), 0.5),
        **{"num_queries": 10, "num_skipped": 0, "num_gallery": 90, "weight": "x/last.pth"},
        **{**MARKET, "seed": 0, "recipe_hash": "r0", **entries},
    }
    folder.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in metrics.items() if value is not None}
    (folder / "metrics.json").write_text(json.dumps(kept))
    return folder


def lines(*folders: Path) -> list[str]:
    return run("results", *folders).stdout.splitlines()


def test_one_table_for_what_can_be_compared(tmp_path: Path) -> None:
    a = result(tmp_path / "a", mAP=0.25, seed=3, recipe_hash="r1")
    b = result(tmp_path / "b", mAP=0.75)
    found = lines(a, b)
    assert found[0] == "market1501, cross_camera: 10 queries, 90 gallery images"
    assert [line.split() for line in found[4:6]] == [
        ["a", "3", "25.0", "50.0", "50.0", "50.0"],
        ["b", "0", "75.0", "50.0", "50.0", "50.0"],
    ]
    assert not any("cannot be compared" in line for line in found)


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"dataset": "dukemtmc"}, "dukemtmc, cross_camera: 10 queries, 90 gallery images"),
        ({"protocol": "any_camera"}, "market1501, any_camera: 10 queries, 90 gallery images"),
        ({"num_gallery": 91}, "market1501, cross_camera: 10 queries, 91 gallery images"),
        (
            {"num_skipped": 4},
            "market1501, cross_camera: 10 queries (4 of them without a match, left out),"
            " 90 gallery images",
        ),
        ({"ids": "bbb"}, "market1501, cross_camera: 10 queries, 90 gallery images"),
    ],
)
def test_what_cannot_be_compared_is_apart(
    tmp_path: Path, change: dict[str, object], title: str
) -> None:
    found = lines(result(tmp_path / "a"), result(tmp_path / "b", seed=1, **change))
    assert found[0] == "2 tables: numbers of different tables cannot be compared"
    titles = [number for number, line in enumerate(found) if line.endswith("gallery images")]
    assert len(titles) == 2 and found[titles[1]] == title
    assert [line.split()[0] for line in found[titles[1] + 4 :] if line] == ["b"]
    assert not any("mean" in line for line in found)  # nor is a mean taken over the two


def test_features_stand_with_what_shows_the_same_people(tmp_path: Path) -> None:
    own = {"dataset": None, "weight": None, "seed": None, "recipe_hash": None}
    features = result(tmp_path / "f", **own, features="there/saved.npz")
    found = lines(features, result(tmp_path / "a"))
    assert found[0].startswith("market1501, ")
    assert sorted(line.split()[0] for line in found[4:6]) == ["a", "f"]
    alone = lines(features)
    assert alone[0].startswith("saved features, ") and alone[4].startswith("f ")


def test_all_results_of_a_folder_are_shown(tmp_path: Path) -> None:
    result(tmp_path / "a", re_ranked=dict.fromkeys(("mAP", "mINP", "rank1", "rank5"), 0.75))
    result(tmp_path / "a" / "test" / "dukemtmc_cross_camera", dataset="dukemtmc", ids="d")
    tested_features = {"weight": None, "features": "x.npz", "seed": None, "recipe_hash": None}
    result(tmp_path / "a" / "test" / "features_cross_camera", **tested_features, dataset=None)
    text = "\n".join(lines(tmp_path / "a"))
    assert (
        "a (features) " in text
        and "market1501, cross" in text
        and "dukemtmc, cross" in text
        and "a, re-ranked" in text
    )


def test_seeds_of_one_recipe_get_their_mean(tmp_path: Path) -> None:
    for seed, value in enumerate((0.2, 0.4, 0.9)):
        result(tmp_path / f"s{seed}", seed=seed, mAP=value)
    result(tmp_path / "other", seed=1, recipe_hash="r9", mAP=0.1)
    found = lines(*(tmp_path / name for name in ("s0", "s1", "s2", "other")))
    (mean,) = (line for line in found if "mean" in line)
    # Squares of the distances from 50: 900, 100, 1600; their sum / 2 is 1300, its root 36.06.
    assert "mean of 3 seeds: s0, s1, s2" in mean and "0, 1, 2" in mean
    assert "50.0 ± 36.1" in mean and "50.0 ± 0.0" in mean


def test_a_seed_that_is_there_twice_is_said(tmp_path: Path) -> None:
    found = lines(result(tmp_path / "a"), result(tmp_path / "b"))
    (note,) = (line for line in found if "mean" in line)
    assert note == "no mean of a, b: recipe last.pth r0 has a seed twice (0, 0)"


def test_best_and_last_are_two_recipes(tmp_path: Path) -> None:
    a = result(tmp_path / "a", seed=0, weight="a/last.pth")
    b = result(tmp_path / "b", seed=1, weight="b/best.pth")
    assert not any("mean" in line for line in lines(a, b))


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = "\n".join(lines(result(tmp_path / "x" / "run"), result(tmp_path / "y" / "run", seed=1)))
    assert str(tmp_path / "x" / "run") in found and str(tmp_path / "y" / "run") in found


def test_a_result_of_an_older_version_is_shown(tmp_path: Path) -> None:
    new = ("protocol", "ids", "seed", "recipe_hash")
    found = lines(result(tmp_path / "a", **dict.fromkeys(new)))
    assert found[0].startswith("market1501, cross_camera: ")
    assert found[4].split() == ["a", *["50.0"] * 4]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "must be an object"),
        ("5", "must be an object"),
        ("{}", "has no 'num_queries'"),
        ("", "is not the result of a test"),
        ('{"mAP": 0.5', "is not the result of a test"),
        ("[" * 100_000, "nested too deep"),
        ({"mAP": "high"}, "'mAP' must be a number, got \"high\""),
        ({"mAP": [0.5]}, "'mAP' must be a number"),
        ({"mAP": 64.6}, "'mAP' must be a fraction"),
        ({"rank1": float("nan")}, "'rank1' must be a fraction"),
        ({"num_gallery": "many"}, "'num_gallery' must be a whole number"),
        ({"num_gallery": None}, "has no 'num_gallery'"),
        ({"seed": "one"}, "'seed' must be a whole number"),
        ({"dataset": ["market1501"]}, "'dataset' must be text"),
        ({"re_ranked": 5}, "'re_ranked' must be an object"),
        ({"re_ranked": {"mAP": 0.5}}, "re_ranked has no 'mINP'"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, content: object, said: str) -> None:
    folder = result(tmp_path / "a", **(content if isinstance(content, dict) else {}))
    if isinstance(content, str):
        (folder / "metrics.json").write_text(content)
    error = run("results", folder, code=2).stderr
    assert error.startswith("error: ") and error.count("\n") == 1
    assert str(folder / "metrics.json") in error and said in error


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (result(tmp_path / "a") / "metrics.json").open("r+b") as file:
        file.truncate(65 << 20)
    assert "has 68157440 bytes" in run("results", tmp_path / "a", code=2).stderr


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    error = run("results", tmp_path, code=2).stderr
    assert "metrics.json does not exist; test the run first" in error
    error = run("results", tmp_path / ("x" * 300), code=2).stderr
    assert "has a part of 300 bytes, a name has at most 255" in error


def test_the_table_needs_no_torch(tmp_path: Path) -> None:
    shown = spawn(
        "results", result(tmp_path / "a"), env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert "market1501" in shown.stdout and "argparse" in shown.stderr
    assert " torch" not in shown.stderr


def training(folder: Path, epochs: int, wanted: int = 3) -> Path:
    """Writes what a training of ``wanted`` epochs has left after ``epochs`` of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(f"SOLVER: {{CLIP_NORM: 0.0, MAX_EPOCHS: {wanted}}}\n")
    rows = "".join(json.dumps({"epoch": epoch + 1}) + "\n" for epoch in range(epochs))
    (folder / "metrics.jsonl").write_text(rows + '{"epo')  # a killed run leaves half a line
    return folder


def table_of(*args: object) -> dict[str, list[str]]:
    """The rows of the one table that is shown, by their first word; without those of re-ranking."""
    found = run("results", *args).stdout.splitlines()
    rule = next(number for number, line in enumerate(found) if line.startswith("---"))
    rows = [line.split() for line in found[rule + 1 :]]
    return {row[0]: row[1:] for row in rows[: rows.index([])]}


def study(root: Path) -> Path:
    """A tree of two recipes with two seeds each, one of which has re-ranked results, too."""
    for name, values in {"lfm": (0.2, 0.4), "plain": (0.5, 0.7)}.items():
        for seed, value in enumerate(values):
            folder = training(root / name / f"seed{seed}", 3)
            result(folder, seed=seed, mAP=value, recipe_hash=name)
    return root


def test_a_tree_shows_the_seeds_of_a_recipe_together(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    (root / ".replaced/old").mkdir(parents=True)
    result(root / ".replaced/old/seed0", mAP=0.9)
    found = table_of(root)
    assert list(found) == ["lfm", "plain"]
    # The distance of 20 and 40 from their mean is 10: the root of 2 x 100 / 1.
    assert found["lfm"][:5] == ["0,", "1", "30.0", "±", "14.1"]
    each = table_of(root, "--runs")
    assert [name for name in each if "/" in name] == [
        "lfm/seed0", "lfm/seed1", "plain/seed0", "plain/seed1",
    ]  # fmt: skip


def test_results_are_chosen_and_sorted(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    assert list(table_of(root, "--sort", "mAP")) == ["plain", "lfm"]
    assert list(table_of(root, "--sort", "run")) == ["lfm", "plain"]
    assert list(table_of(root, "--only", "pl*")) == ["plain"]
    assert list(table_of(root, "--only", "plain/seed1")) == ["plain/seed1"]
    assert list(table_of(root, "--only", "*/seed0", "--sort", "mAP")) == [
        "plain/seed0", "lfm/seed0",
    ]  # fmt: skip
    assert "means none of the runs" in run("results", root, "--only", "x", code=2).stderr


def test_seed_10_comes_behind_seed_2(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        result(tmp_path / f"s/a/seed{seed}", seed=seed, recipe_hash=str(seed))
    assert list(table_of(tmp_path / "s")) == ["a/seed1", "a/seed2", "a/seed10"]


def test_what_is_not_finished_is_marked_and_in_no_mean(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    training(root / "lfm/seed1", 2)  # tested before it ended
    training(root / "x/seed0", 1)
    (training(root / "x/seed1", 2) / "diverged.pth").touch()
    failed = {"failed": {"step": "train", "error": "the disk is full"}}
    (training(root / "x/seed2", 0) / "cell.json").write_text(json.dumps(failed))
    training(root / "x/seed3", 3)
    found = run("results", root).stdout.splitlines()
    assert not any(line.startswith("lfm ") for line in found)
    (marked,) = (line for line in found if line.startswith("lfm/seed1"))
    assert "[unfinished, epoch 2 of 3]" in marked
    assert found[-5:] == [
        "runs without a result: 4",
        "  x/seed0: unfinished, epoch 1 of 3",
        "  x/seed1: diverged after epoch 2 of 3",
        "  x/seed2: failed, train: the disk is full",
        "  x/seed3: trained, not tested",
    ]


def test_a_training_that_diverged_and_then_ended_is_finished(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    (root / "lfm/seed1/diverged.pth").touch()
    assert list(table_of(root)) == ["lfm", "plain"]


def test_several_trees_are_told_apart(tmp_path: Path) -> None:
    assert list(table_of(study(tmp_path / "a"), result(tmp_path / "b", seed=5))) == [
        "b", "a/lfm", "a/plain",
    ]  # fmt: skip
