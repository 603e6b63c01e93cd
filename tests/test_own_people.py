"""People of one's own, by the commands: a folder, a list, several sets, and what they leave."""

import csv
import json
import logging
import os
import shlex
from pathlib import Path

import pytest
from commands import ROOT, TINY, rows, run
from crops import picture, table

from reid.builders.datasets import load_splits, split_validation, write_drawn
from reid.config import load_cfg
from reid.utils.errors import InputError

LOGGER = logging.getLogger("test")
ANY = ["TEST.PROTOCOL", "any_camera"]
SHORT = [*TINY, "SOLVER.MAX_EPOCHS", 1, "SOLVER.WARMUP_EPOCHS", 1, "MODEL.PRETRAIN_CHOICE", "none",
         "INPUT.PADDING", 3]  # fmt: skip
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("narrow_resnet18")]


def own(out: Path, *more: object, config: str = "base") -> list[object]:
    return ["--config-file", ROOT / f"configs/{config}.yml", *SHORT, "OUTPUT_DIR", out, *more]


@pytest.fixture(scope="module")
def crops(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn people in a folder for each, with names of no rule."""
    root = tmp_path_factory.mktemp("my crops é")
    home = next(data.glob("synthetic-tiny-*"))
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        for path in sorted((home / split).glob("[0-9]*.jpg")):
            if path.name.startswith("0000"):
                continue
            folder = root / f"person {path.name[:4]}"
            folder.mkdir(exist_ok=True)
            camera = path.name[6]
            (folder / f"{camera} {split[0]}{path.name[8:]}").symlink_to(path)
    return root


@pytest.fixture(scope="module")
def trained(crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    run("train", *own(out, "DATASETS.FOLDER.PATH", crops, config="folder"))
    return out


@pytest.fixture(scope="module")
def listed(crops: Path) -> Path:
    """The same people in a list with cameras, which lies beside the folder."""
    images = sorted(crops.rglob("*.jpg"))
    cells = [(str(p.relative_to(crops.parent)), p.parent.name, p.name[0]) for p in images]
    return table(crops.parent / "people.csv", [("path", "identity", "camera"), *cells])


def metrics(folder: Path) -> dict:
    found: dict = json.loads((folder / "metrics.json").read_text())
    return found


def test_a_folder_is_trained_on_and_tested_by_one_command_each(
    crops: Path, trained: Path, tmp_path: Path
) -> None:
    args = own(tmp_path, "DATASETS.FOLDER.PATH", crops, config="folder")
    done = run("test", *args, "TEST.WEIGHT", trained / "last.pth")
    assert "random split 0 (DATASETS.SPLIT): 50% of" in done.stdout
    warnings = [line for line in done.stdout.splitlines() if "warning: folder" in line]
    assert warnings == [], "neither of published counts nor of names"
    assert metrics(tmp_path)["mAP"] == pytest.approx(rows(trained)[-1]["mAP"], abs=1e-12)
    assert metrics(tmp_path)["dataset"].startswith("folder_path-my-crops-")


def test_the_split_that_was_written_repeats_the_test(
    crops: Path, trained: Path, tmp_path: Path
) -> None:
    again = ["DATASETS.NAMES", "csv", "DATASETS.CSV.FILE", trained / "split_folder.csv"]
    again += ["DATASETS.CSV.FOLDER", crops, *ANY, "TEST.WEIGHT", trained / "last.pth"]
    run("test", *own(tmp_path, *again))
    assert metrics(tmp_path)["mAP"] == pytest.approx(rows(trained)[-1]["mAP"], abs=1e-12)
    with (trained / "split_folder.csv").open(encoding="utf-8", newline="") as text:
        words = [row["split"] for row in csv.DictReader(text)]
    assert len(words) == len(list(crops.rglob("*.jpg"))) and {"train", "query"} < set(words)


def test_without_cameras_the_protocol_that_drops_matches_is_refused(
    crops: Path, tmp_path: Path
) -> None:
    args = own(tmp_path, "DATASETS.NAMES", "folder", "DATASETS.FOLDER.PATH", crops)
    done = run("train", *args, code=2)
    assert (
        "its cameras are unknown" in done.stderr and "set TEST.PROTOCOL any_camera" in done.stderr
    )


def test_a_list_is_trained_on_moved_and_resumed(crops: Path, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    held = ["SOLVER.VAL_FRACTION", 0.3]
    run("train", *own(out, "DATASETS.CSV.FILE", listed, *held, config="csv"))
    moved = tmp_path / "moved" / listed.name
    moved.parent.mkdir()
    (moved.parent / crops.name).symlink_to(crops)
    moved.write_bytes(listed.read_bytes())
    longer = ["SOLVER.MAX_EPOCHS", 2]
    args = own(out, "DATASETS.CSV.FILE", moved, *held, *longer, config="csv")
    run("train", *args, "--resume")
    assert [row["epoch"] for row in rows(out)] == [1, 2]
    other = run("train", *args, "--resume", "DATASETS.SPLIT", 1, code=2)
    assert "DATASETS.SPLIT 0, this config says 1" in other.stderr


def test_check_data_looks_at_a_list_and_a_closed_set_is_no_fault(
    listed: Path, tmp_path: Path
) -> None:
    names = ["DATASETS.NAMES", "csv", "DATASETS.CSV.FILE", listed]
    run("check-data", *own(tmp_path / "open", *names))
    run("check-data", *own(tmp_path / "closed", *names, "DATASETS.CSV.CLOSED_SET", True))
    found = json.loads((tmp_path / "closed" / "check_data.json").read_text())
    assert found["dataset"] == "csv" and not found["spoiled"] and found["published"] is None


def several(data: Path, crops: Path, out: Path, *more: object) -> list[object]:
    places = ["DATASETS.ROOT_DIR", data, "DATASETS.FOLDER.PATH", crops]
    return own(out, *places, *ANY, *more)


def test_two_sets_are_trained_on_and_each_is_tested_apart(
    data: Path, crops: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    names = ["DATASETS.NAMES", "[synthetic,folder]"]
    balanced = ["DATALOADER.PK.BALANCE_SOURCES", True]
    run("train", *several(data, crops, out, *names, *balanced))
    weight = ["TEST.WEIGHT", out / "last.pth"]
    done = run("test", *several(data, crops, out, *names, *weight))
    places = [out / "test" / f"{name}_any_camera" for name in ("synthetic", "folder")]
    table_of = json.loads((out / "tests.json").read_text())["tests"]
    for name, place in zip(("synthetic", "folder"), places, strict=True):
        assert metrics(place)["mAP"] == table_of[name]["plain"]["mAP"]
    assert "2 data sets, protocol any_camera" in done.stdout
    alone = tmp_path / "alone"
    run("test", *several(data, crops, alone, "DATASETS.NAMES", "folder", *weight))
    for key in ("mAP", "rank1", "ids", "recipe_hash"):
        assert metrics(alone)[key] == metrics(places[1])[key]
    matrix = run("results", out).stdout
    assert "mAP % by run and data set" in matrix
    refused = run("attack", *several(data, crops, out, *names, *weight), code=2).stderr
    assert "an attack takes one data set, and there are 2: set DATASETS.TESTS to one" in refused


def test_training_is_evaluated_on_what_is_tested(data: Path, crops: Path, tmp_path: Path) -> None:
    sets = ["DATASETS.NAMES", "synthetic", "DATASETS.TESTS", "folder"]
    run("train", *several(data, crops, tmp_path, *sets))
    run("test", *several(data, crops, tmp_path, *sets, "TEST.WEIGHT", tmp_path / "last.pth"))
    assert metrics(tmp_path)["mAP"] == pytest.approx(rows(tmp_path)[-1]["mAP"], abs=1e-12)
    assert metrics(tmp_path)["dataset"].startswith("folder")


def test_a_reference_is_evaluated_on_each_set(data: Path, crops: Path, tmp_path: Path) -> None:
    args = several(data, crops, tmp_path, "DATASETS.TESTS", "[synthetic,folder]")
    run("reference", "--reference", "chance", *args)
    for name in ("synthetic", "folder"):
        assert metrics(tmp_path / "test" / f"chance_{name}_any_camera")["reference"] == "chance"


@pytest.mark.parametrize("names", ["[]", "[viper, viper]"])
def test_names_that_are_none_or_twice_are_one_line(names: str, tmp_path: Path) -> None:
    assert "DATASETS.NAMES" in run("train", *own(tmp_path, "DATASETS.NAMES", names), code=2).stderr


def test_val_of_a_list_picks_the_best(crops: Path, tmp_path: Path) -> None:
    people = sorted(path.name for path in crops.iterdir())
    word = dict(zip(people, ["val"] * 3 + ["test"] * 3 + ["train"] * len(people), strict=False))
    cells = [(str(p), p.parent.name, word[p.parent.name]) for p in sorted(crops.rglob("*.jpg"))]
    file = table(tmp_path / "people.csv", [("path", "identity", "split"), *cells])
    names = ["DATASETS.NAMES", "csv", "DATASETS.CSV.FILE", str(file), *ANY]
    cfg = load_cfg(None, names)
    splits = load_splits(cfg, True, LOGGER)
    picked = split_validation(cfg, splits, LOGGER)
    assert {r.path.parent.name for r in picked.query} == set(people[:3])
    assert {r.path.parent.name for r in splits.query} == set(people[3:6])
    assert picked.train == splits.train
    with pytest.raises(InputError, match=r"VAL_FRACTION is 0\.3, but the data set has images of"):
        split_validation(load_cfg(None, [*names, "SOLVER.VAL_FRACTION", "0.3"]), splits, LOGGER)


def test_names_that_are_no_utf8_are_trained_on_and_no_list_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "crops"
    for person in (b"caf\xe9", b"b"):
        for number in (1, 2):
            picture(root / os.fsdecode(person) / f"{number}.png", number)
    names = ["DATASETS.NAMES", "folder", "DATASETS.FOLDER.PATH", str(root), *ANY]
    cfg = load_cfg(None, [*names, "OUTPUT_DIR", str(tmp_path)])
    splits = load_splits(cfg, True, LOGGER)
    assert len(splits.train) == 2
    write_drawn(cfg, splits, LOGGER)
    assert not (tmp_path / "split_folder.csv").exists()
    assert "no UTF-8; rename it" in caplog.text


@pytest.mark.data
@pytest.mark.skipif("REID_VIPER" not in os.environ, reason="REID_VIPER names no copy of VIPeR")
def test_viper_as_a_folder_of_people(tmp_path: Path) -> None:
    """REID_VIPER is a ROOT_DIR with VIPeR."""
    root = Path(os.environ["REID_VIPER"])
    out = tmp_path / "run"
    run("train", *own(out, "DATASETS.NAMES", "viper", "DATASETS.ROOT_DIR", root))
    with (out / "split_viper.csv").open(encoding="utf-8", newline="") as text:
        first = next(csv.DictReader(text))
    assert first["split"] == "train"
    cells = ["DATASETS.NAMES", "csv", "DATASETS.CSV.FILE", out / "split_viper.csv"]
    with (out / "train.log").open() as log:
        folder = shlex.split(next(line for line in log if "split written" in line))[-1]
    cells += ["DATASETS.CSV.FOLDER", folder]
    run("test", *own(tmp_path / "test", *cells, "TEST.WEIGHT", out / "last.pth"))
    assert metrics(tmp_path / "test")["mAP"] == pytest.approx(rows(out)[-1]["mAP"], abs=1e-12)
