"""Data of one camera, from training to attack; and results that do not replace each other."""

import json
from pathlib import Path

import pytest
from commands import lfm, rows, run

ANY = ["TEST.PROTOCOL", "any_camera"]
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("narrow_resnet18")]


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn people with all cameras called 1, and every query in the gallery besides."""
    root = tmp_path_factory.mktemp("one")
    home = next(data.glob("synthetic-tiny-*"))
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        paths = sorted((home / part).glob("[0-9]*.jpg"))
        if part == "bounding_box_test":  # and a copy of each query, under another name
            paths += sorted((home / "query").glob("[0-9]*.jpg"))
        folder = root / "market1501" / part
        folder.mkdir(parents=True)
        for number, path in enumerate(paths):
            name = f"{path.name[:4]}_c1s1_{number:06}_01.jpg"
            (folder / name).write_bytes(path.read_bytes())
    return root


def market(one: Path, out: Path, *more: object) -> list[object]:
    return lfm(one, out, "DATASETS.NAMES", "market1501", "SOLVER.MAX_EPOCHS", 1, *more)


@pytest.fixture(scope="module")
def trained(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    run("train", *market(one, out, *ANY, "SEED", 3))
    return out


def metrics(folder: Path) -> dict:
    found: dict = json.loads((folder / "metrics.json").read_text())
    return found


def test_it_trains_and_its_test_says_the_same(one: Path, trained: Path, tmp_path: Path) -> None:
    done = run("test", *market(one, tmp_path, *ANY, "TEST.WEIGHT", trained / "last.pth"))
    found = metrics(tmp_path)
    assert "protocol any_camera" in done.stdout and found["protocol"] == "any_camera"
    assert found["mAP"] == pytest.approx(rows(trained)[-1]["mAP"], abs=1e-12)
    assert found["rank1"] < 1, "the copies in the gallery are left out"
    assert found["num_skipped"] == 0
    assert "unmatched" not in rows(trained)[-1]
    assert found["seed"] == 3, "that of the training; the command of the test says none"


def test_a_validation_split_of_one_camera(one: Path, tmp_path: Path) -> None:
    run("train", *market(one, tmp_path / "run", *ANY, "SOLVER.VAL_FRACTION", 0.3))
    assert rows(tmp_path / "run")[-1]["mAP"] > 0


def test_across_cameras_it_is_refused_before_the_checkpoint_is_read(
    one: Path, tmp_path: Path
) -> None:
    done = run("test", *market(one, tmp_path, "TEST.WEIGHT", "nowhere.pth"), code=2)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "TEST.PROTOCOL cross_camera: none of the" in line and "use any_camera" in line


def test_across_cameras_an_attack_is_refused_in_the_same_words(
    one: Path, trained: Path, tmp_path: Path
) -> None:
    args = market(one, tmp_path, "TEST.WEIGHT", trained / "last.pth", "ATTACK.NAMES", "noise")
    assert "TEST.PROTOCOL cross_camera: none of the" in run("attack", *args, code=2).stderr


def test_it_is_attacked(one: Path, trained: Path, tmp_path: Path) -> None:
    args = market(one, tmp_path, *ANY, "TEST.WEIGHT", trained / "last.pth")
    few = ["ATTACK.NAMES", "fgsm-fna", "ATTACK.EPS_255", 16, "ATTACK.STEP_CURVE", 2]
    run("test", *args)
    run("attack", *args, *few)
    report = json.loads((tmp_path / "attack" / "robustness.json").read_text())
    found = {row["name"]: row["mAP"] for row in report["rows"]}
    assert found["clean"] == pytest.approx(metrics(tmp_path)["mAP"], abs=1e-12)
    assert found["fgsm-fna"] < found["clean"]


def test_its_features_know_the_copies(one: Path, trained: Path, tmp_path: Path) -> None:
    args = market(one, tmp_path / "a", *ANY, "TEST.WEIGHT", trained / "last.pth")
    run("test", *args, "TEST.SAVE_FEATURES", True)
    run("test", "--features", tmp_path / "a/features.npz", *ANY, "OUTPUT_DIR", tmp_path / "b")
    keys = ("mAP", "rank1", "num_gallery", "protocol", "ids")
    assert [metrics(tmp_path / "b")[k] for k in keys] == [metrics(tmp_path / "a")[k] for k in keys]
    table = run("results", tmp_path / "a", tmp_path / "b").stdout
    assert "cannot be compared" not in table and "market1501, any_camera: " in table


def test_no_test_in_the_folder_of_a_run_replaces_another(
    data: Path, one: Path, trained: Path, tmp_path: Path
) -> None:
    out = trained
    own = market(one, out, *ANY, "TEST.WEIGHT", trained / "best.pth")
    run("test", *own, "TEST.SAVE_FEATURES", True)
    before = (out / "metrics.json").read_text(), (out / "ranking.npz").read_bytes()
    drawn = lfm(data, out, "TEST.WEIGHT", trained / "best.pth")
    done = run("test", *drawn)
    place = out / "test" / "synthetic_preset-tiny_cross_camera"
    assert f"written: {place / 'metrics.json'}" in done.stdout
    run("reference", "--reference", "chance", *market(one, out, *ANY))
    run("test", "--features", out / "features.npz", *ANY, "OUTPUT_DIR", out)
    found = {str(p.parent.relative_to(out)) for p in out.rglob("metrics.json")}
    assert found == {
        ".",
        "test/synthetic_preset-tiny_cross_camera",
        "test/chance_market1501_any_camera",
        "test/features_any_camera",
    }
    assert ((out / "metrics.json").read_text(), (out / "ranking.npz").read_bytes()) == before
    assert metrics(place)["dataset"] == "synthetic_preset-tiny"
    again = run("test", *market(one, out, *ANY, "TEST.WEIGHT", trained / "last.pth")).stdout
    assert f"the result in {out} is replaced; it was of weight {trained / 'best.pth'}" in again
    assert "2 tables" in run("results", out).stdout


def test_queries_without_a_match_stand_in_the_rows_of_training(one: Path, tmp_path: Path) -> None:
    home = tmp_path / "market1501"
    home.mkdir()
    for part in ("bounding_box_train", "bounding_box_test"):
        (home / part).symlink_to(one / "market1501" / part)
    (home / "query").mkdir()
    for path in sorted((one / "market1501" / "query").iterdir()):
        (home / "query" / path.name).symlink_to(path)
    lonely = next((home / "query").iterdir())
    (home / "query" / "7777_c1s1_000000_01.jpg").symlink_to(lonely.resolve())
    run("train", *market(tmp_path, tmp_path / "run", *ANY))
    assert rows(tmp_path / "run")[-1]["unmatched"] == 1
