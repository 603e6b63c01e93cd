"""The real commands, on tiny synthetic people."""

import json
import logging
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import narrow
import numpy as np
import pytest
import torch
import torchvision
import yaml
from commands import lfm, rows, run, spawn, stop, weights
from PIL import Image

from reid.builders import build_trainer
from reid.config import load_cfg
from reid.losses import LOSSES
from reid.utils.settings import plain

pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    spawn("train", *lfm(data, out, "SOLVER.MAX_EPOCHS", 4))
    return out


def test_training_writes_what_a_run_needs(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    expected = {"config.yml", "last.pth", "best.pth", "metrics.jsonl", "train.log", "tensorboard"}
    assert expected <= names
    assert not [name for name in names if name.endswith(".tmp")]
    config = yaml.safe_load((trained / "config.yml").read_text())
    assert config["SOLVER"]["MAX_EPOCHS"] == 4
    assert (
        torch.load(trained / "last.pth", weights_only=True)["config"]
        == (trained / "config.yml").read_text()
    )


def test_the_log_opens_with_what_the_run_depends_on(trained: Path) -> None:
    log = (trained / "train.log").read_text()
    head = log[: log.index("step 1/")]
    for part in ("torch", "Python", "device cpu", "threads", "differs from the defaults"):
        assert part in head
    assert "MODEL.REGULARIZER.NAME  lfm" in " ".join(head.split()).replace(" lfm", "  lfm")
    assert "query" in head and "gallery" in head and "TEST split" in head


def test_each_epoch_logs_each_loss_and_speed_and_evaluations(trained: Path) -> None:
    assert [row["epoch"] for row in rows(trained)] == [1, 2, 3, 4]
    for row in rows(trained):
        total = row["loss_ce"] + row["loss_triplet"]
        assert row["loss_total"] == pytest.approx(total, rel=1e-5)
        assert row["images_per_second"] > 0
        assert ("mAP" in row) == (row["epoch"] in (2, 4))


def test_training_learns(trained: Path) -> None:
    # Every trainable tensor has left its start, and cross-entropy with smoothing 0.1 is below that
    # of a uniform guess over 8 identities, log 8.
    start = torch.load(trained / "last.pth", weights_only=True)["optimizer"]["state"]
    assert all(state["exp_avg"].any() for state in start.values())
    assert rows(trained)[-1]["loss_ce"] < np.log(8)
    assert rows(trained)[-1]["loss_ce"] < rows(trained)[0]["loss_ce"]


def test_a_killed_run_resumes_to_the_bit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each image decoded anew, then from a cache on disk; the whole run had it in memory.
    monkeypatch.setattr(torchvision.models, "resnet18", narrow.resnet18)
    whole = tmp_path / "whole"
    out = tmp_path / "killed"
    run("train", *lfm(data, whole, "SOLVER.MAX_EPOCHS", 4))
    args = lfm(data, out, "SOLVER.MAX_EPOCHS", 4)
    in_epoch_2 = "reid.engine.trainer:Trainer.train_epoch:2"
    more = ["DATALOADER.CACHE", "none"]
    done = stop("train", *args, *more, at=in_epoch_2, signum=signal.SIGKILL, mark=tmp_path / "mark")
    assert done.returncode == -signal.SIGKILL
    reached = torch.load(out / "last.pth", weights_only=True)["epoch"]
    assert reached == 1
    run("train", *args, "DATALOADER.CACHE", "disk", "--resume")
    found = {path.name for path in (out / "cache").glob("*.rows")}
    assert found == {f"{split}_64x32.rows" for split in ("train", "query", "gallery")}
    left, right = weights(out), weights(whole)
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    timing = ("images_per_second", "train_seconds")
    for ours, theirs in zip(rows(out), rows(whole), strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }


@pytest.mark.slow
def test_an_adversarially_trained_run_resumes_to_the_bit(data: Path, tmp_path: Path) -> None:
    # LFM after conv1, dropout on the pooled feature, and half of each batch attacked.
    stages = ["MODEL.REGULARIZER.STAGES", "['conv1', 'pool:dropout']"]
    settings = [*stages, "SOLVER.ADVERSARIAL.ENABLED", True, "SOLVER.ADVERSARIAL.STEPS", 2]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("train", *lfm(data, whole, *settings, "SOLVER.MAX_EPOCHS", 2))
    run("train", *lfm(data, parts, *settings, "SOLVER.MAX_EPOCHS", 1))
    run("train", *lfm(data, parts, *settings, "SOLVER.MAX_EPOCHS", 2, "--resume"))
    left, right = weights(parts), weights(whole)
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []


def test_a_run_is_not_overwritten_nor_continued_as_another(data: Path, trained: Path) -> None:
    before = weights(trained)
    again = run("train", *lfm(data, trained, "SOLVER.MAX_EPOCHS", 4), code=2)
    assert "already holds a run; go on with --resume" in again.stderr
    other = lfm(data, trained, "SOLVER.MAX_EPOCHS", 4, "--resume", "SOLVER.BASE_LR", 0.1)
    assert "trained with SOLVER.BASE_LR 0.001" in run("train", *other, code=2).stderr
    after = weights(trained)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_testing_writes_fractions_and_per_query_results(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "test_only"
    home = next(data.glob("synthetic-tiny-*"))
    for part in ("query", "bounding_box_test"):  # testing needs no training folder
        (alone / "Market-1501-v15.09.15").mkdir(parents=True, exist_ok=True)
        (alone / "Market-1501-v15.09.15" / part).symlink_to(home / part)
    out = tmp_path / "tested"
    args = lfm(alone, out, "DATASETS.NAMES", "market1501", "TEST.WEIGHT", trained / "last.pth")
    done = run("test", *args, "TEST.RE_RANKING", True, "TEST.RERANK.K1", 6, "TEST.FLIP", "true")
    assert "warning: market1501 query:" in done.stdout  # far fewer than published
    assert "Rank-1 %" in done.stdout and "re-ranked" in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    with np.load(out / "ranking.npz") as arrays:
        assert metrics["mAP"] == pytest.approx(arrays["ap"].mean())
        assert metrics["mINP"] == pytest.approx(arrays["inp"].mean())
        assert metrics["rank1"] == pytest.approx((arrays["first_hit"] == 0).mean())
        assert metrics["rank5"] == pytest.approx((arrays["first_hit"] < 5).mean())
        assert metrics["re_ranked"]["mAP"] == pytest.approx(arrays["re_ranked_ap"].mean())
        assert len(arrays["query_index"]) == metrics["num_queries"]
    assert {"features", "plain", "re-ranked"} == set(metrics["seconds"])
    assert len(metrics["config_hash"]) == 12


def test_saved_features_give_the_same_without_model_images_or_config(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    settings = ["TEST.RE_RANKING", True, "TEST.RERANK.K1", 6, "TEST.AQE.ENABLED", "true"]
    args = lfm(data, tmp_path / "images", "TEST.WEIGHT", trained / "last.pth", *settings)
    table = run("test", *args, "TEST.SAVE_FEATURES", True, "TEST.CHUNK", 5).stdout
    saved = tmp_path / "images" / "features.npz"
    again = ["TEST.CHUNK", 7, "OUTPUT_DIR", tmp_path / "arrays"]
    done = run("test", "--features", saved, *settings, *again)
    names = ("plain", "re-ranked", "AQE", "AQE, re-ranked")
    for name in names:
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert line in table
    first, second = (
        json.loads((tmp_path / out / "metrics.json").read_text()) for out in ("images", "arrays")
    )
    for key in ("re_ranked", "aqe", "aqe_re_ranked"):
        assert first[key] == pytest.approx(second[key], abs=1e-12)
    assert first["mAP"] == pytest.approx(second["mAP"], abs=1e-12)
    assert second["features"] == str(saved)
    with np.load(tmp_path / "arrays" / "ranking.npz") as arrays:
        assert arrays["aqe_re_ranked_ap"].mean() == pytest.approx(second["aqe_re_ranked"]["mAP"])
    rows = run("results", tmp_path / "arrays").stdout
    assert "arrays, AQE, re-ranked" in rows


@pytest.mark.parametrize(
    ("change", "more", "part"),
    [
        ({}, ["TEST.RE_RANKING", True], "TEST.RERANK.K1 is 20, but re-ranking 8 query and"),
        ({}, ["TEST.AQE.ENABLED", True, "TEST.AQE.K", 6], "TEST.AQE.K must be in 0..5"),
        ({"query_feats": np.full((3, 4), np.nan)}, [], "query features hold NaN or infinite"),
        ({"query_pids": None}, [], "has no array 'query_pids'; did you mean 'query_pidz'?"),
    ],
)
def test_bad_features_are_one_line_and_exit_code_2(
    tmp_path: Path, change: dict[str, object], more: list[object], part: str
) -> None:
    ones = {"pids": np.ones(5, int), "camids": np.arange(5), "feats": np.eye(5, 4) + 1}
    arrays = {f"gallery_{key}": value for key, value in ones.items()}
    arrays |= {f"query_{key}": value[:3] for key, value in ones.items()}
    arrays |= {"query_pidz": np.ones(3, int)} if change.get("query_pids", 0) is None else {}
    arrays = {k: v for k, v in {**arrays, **change}.items() if v is not None}
    np.savez(tmp_path / "saved.npz", **arrays)
    args = ["--features", tmp_path / "saved.npz", *more, "OUTPUT_DIR", tmp_path / "out"]
    done = run("test", *args, code=2)
    assert part in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1


def test_eval_only_gives_what_training_saw(data: Path, trained: Path) -> None:
    run("train", *lfm(data, trained, "SOLVER.MAX_EPOCHS", 4), "--eval-only")
    metrics = json.loads((trained / "metrics.json").read_text())
    best = max(row.get("mAP", -1.0) for row in rows(trained))
    assert metrics["mAP"] == pytest.approx(best, abs=1e-12)


def test_an_attack_gives_the_same_numbers_in_any_batch(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    # Here and not in tests/test_attack_tool.py: how torch rounds depends on the network's width.
    few = ["ATTACK.NUM_QUERIES", 12, "ATTACK.EPS_255", "(4,)", "ATTACK.STEP_CURVE", "()"]
    pgd = ["ATTACK.NAMES", "pgd-fna", "ATTACK.PGD.STEPS", 4]
    args = lfm(data, tmp_path, *few, *pgd, "TEST.WEIGHT", trained / "last.pth")
    run("attack", *args)
    first = (tmp_path / "attack" / "robustness.json").read_text()
    text = run("attack", *args, "ATTACK.IMS_PER_BATCH", 5).stdout
    older = tmp_path / "attack" / "older" / "1"
    assert f"another run (other ATTACK.IMS_PER_BATCH) in {tmp_path}/attack were moved" in text
    assert (older / "robustness.json").read_text() == first
    one, other = (np.load(x / "per_query.npz") for x in (older, tmp_path / "attack"))
    assert all(np.array_equal(one[key], other[key]) for key in one.files)


def test_references_and_the_table(data: Path, trained: Path, tmp_path: Path) -> None:
    for name in ("chance", "color_histogram"):
        run("reference", "--reference", name, *lfm(data, tmp_path / name))
    run("test", *lfm(data, tmp_path / "lfm", "TEST.WEIGHT", trained / "best.pth"))
    folders = [tmp_path / name for name in ("chance", "color_histogram", "lfm")]
    table = run("results", *folders, "--markdown").stdout
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        line = next(line for line in table.splitlines() if f"| {folder.name} " in line)
        assert f"{100 * metrics['mAP']:.1f}" in line


@pytest.mark.parametrize(
    ("tool", "more", "parts"),
    [
        ("train", ["SOLVER.BASE_LRR", 1], ["unknown key SOLVER.BASE_LRR", "SOLVER.BASE_LR"]),
        (
            "train",
            ["DATALOADER.NUM_INSTANCES", 1],
            ["DATALOADER.NUM_INSTANCES must be at least 2", "got 1"],
        ),
        ("train", ["MODEL.REGULARIZER.LFM.P", 1.5], ["MODEL.REGULARIZER.LFM.P must be", "1.5"]),
        ("train", ["MODEL.REGULARIZER.STAGES", "['conv9']"], ["conv9", "layer1"]),
        (
            "train",
            ["MODEL.REGULARIZER.STAGES", "['pool:drop']"],
            ["STAGES: 'pool:drop'", "drop"],
        ),
        ("train", ["INPUT.DEVICE", "cuda", "MODEL.DEVICE", "cpu"], ["INPUT.DEVICE is cuda"]),
        ("train", ["DATALOADER.CACHE", "rma"], ["DATALOADER.CACHE", "did you mean 'ram'?"]),
        (
            "train",
            ["INPUT.JITTER", "(0.1,2,0.1)"],
            ["INPUT.JITTER must be at least 0 and at most 1, got 2"],
        ),
        ("train", ["DATASETS.NAMES", "market1501"], ["Market-1501: no folder with"]),
        ("test", [], ["TEST.WEIGHT is empty"]),
        ("test", ["--features", "gone.npz"], ["gone.npz does not exist"]),
        ("test", ["TEST.WEIGHT", "nowhere.pth"], ["nowhere.pth does not exist"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    data: Path, tmp_path: Path, tool: str, more: list[object], parts: list[str]
) -> None:
    done = run(tool, *lfm(data, tmp_path / "out", *more), code=2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in lines[0]


def test_a_broken_image_is_named_from_within_a_worker(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    home = tmp_path / "market1501"
    for part in ("query", "bounding_box_test"):
        (home / part).mkdir(parents=True)
        Image.new("RGB", (8, 16)).save(home / part / "0001_c1s1_000001_01.jpg")
    (home / "query/0001_c2s1_000001_01.jpg").write_bytes(b"no image")
    args = lfm(tmp_path, tmp_path / "out", "DATASETS.NAMES", "market1501")
    done = run(
        "test", *args, "TEST.WEIGHT", trained / "last.pth", "DATALOADER.NUM_WORKERS", 1, code=2
    )
    assert "0001_c2s1_000001_01.jpg: cannot be read as an image" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_duke_folder_trains_with_center_loss_on_a_validation_split(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.models, "resnet18", narrow.resnet18)
    home = next(data.glob("synthetic-tiny-*"))
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        folder = tmp_path / "dukemtmc-reid/DukeMTMC-reID" / part
        folder.mkdir(parents=True)
        for path in sorted((home / part).glob("[0-9]*.jpg")):
            pid, camera, frame, box = path.stem.split("_")
            (folder / f"{pid}_{camera[:2]}_f{frame}{box}.jpg").write_bytes(path.read_bytes())
    out = tmp_path / "out"
    args = lfm(tmp_path, out, "DATASETS.NAMES", "dukemtmc", "SOLVER.MAX_EPOCHS", 1)
    losses = ["LOSS.NAMES", "('ce','triplet','center')", "LOSS.WEIGHTS", "(1,1,0.0005)"]
    more = ["SOLVER.VAL_FRACTION", 0.3, "DATALOADER.NUM_WORKERS", 2, "SOLVER.PRECISION", "bf16"]
    log = run("train", *args, *losses, *more).stdout
    assert "validation split of identities held out from train" in log
    assert "warning: dukemtmc train" in log and "16522 published" in log
    assert rows(out)[0]["loss_center"] > 0
    centers = torch.load(out / "last.pth", weights_only=True)["criterion"]
    assert [tuple(value.shape) for value in centers.values()] == [
        (6, narrow.FEAT_DIM)
    ]  # 8 ids, 2 out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch 2.14 warns while it compiles
def test_a_compiled_run_trains_and_tests(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compiled = ["SOLVER.COMPILE", True, "SOLVER.MAX_EPOCHS", 3, "SOLVER.ACCUMULATE", 2]
    run("train", *lfm(data, out, *compiled))
    assert rows(out)[-1]["loss_ce"] < rows(out)[0]["loss_ce"]
    run("test", *lfm(data, tmp_path / "tested", "TEST.WEIGHT", out / "last.pth"))


def test_the_package_imports_from_anywhere(tmp_path: Path) -> None:
    code = "import reid.evaluation, reid.modeling; print(reid.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0.1.0"


def test_a_healthy_run_describes_its_distances_and_is_not_warned_of(trained: Path) -> None:
    assert "warning: in epoch" not in (trained / "train.log").read_text()
    for row in rows(trained):
        assert 0 < row["triplet_negative_std"] < row["triplet_negative"]
        assert 0 < row["triplet_positive_std"] < row["triplet_positive"]
        assert 0 < row["triplet_active"] <= 1
        assert row["triplet_collapsed"] < 0.1
        assert 0.05 < row["feat_spread"] < 1


def test_a_training_that_diverges_names_its_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = plain(LOSSES["ce"])
    forward, calls = kind.forward, []

    def spoiled(self: torch.nn.Module, *args: torch.Tensor) -> torch.Tensor:
        calls.append(len(calls))
        loss: torch.Tensor = forward(self, *args)
        return loss * torch.nan if len(calls) == 3 else loss

    monkeypatch.setattr(kind, "forward", spoiled)
    done = run("train", *lfm(data, tmp_path), code=2)
    assert done.stderr.startswith("error: loss_")
    found = re.search(r"in epoch 1, at step (\d): .*; its images: (.*) and 8 more; ", done.stderr)
    assert found is not None
    kept = torch.load(tmp_path / "diverged.pth", weights_only=True)["diverged"]
    assert str(kept["step"]) == found[1]
    assert [Path(file).name for file in kept["files"]][:8] == found[2].split(", ")
    assert len(kept["files"]) == 16
    assert all(Path(file).parent.name == "bounding_box_train" for file in kept["files"])
    assert all(Path(file).is_file() for file in kept["files"])


def test_one_identity_in_a_batch_is_no_training(data: Path, tmp_path: Path) -> None:
    args = lfm(data, tmp_path, "SOLVER.IMS_PER_BATCH", 4, "DATALOADER.NUM_INSTANCES", 4)
    done = run("train", *args, code=2)
    assert "LOSS.NAMES: triplet compares different identities, and each batch" in done.stderr
    assert "set SOLVER.IMS_PER_BATCH 8 or more" in done.stderr


def test_one_identity_in_all_is_warned_of(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = next(data.iterdir())
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        folder = tmp_path / "market1501" / part
        folder.mkdir(parents=True)
        files = sorted((source / part).glob("[0-9]*.jpg"))
        kept = files[0].name[:4] if part == "bounding_box_train" else ""
        for path in files:
            if path.name.startswith(kept):
                shutil.copy(path, folder)
    alone = ["DATALOADER.SAMPLER", "shuffle", "LOSS.NAMES", "[ce]", "LOSS.WEIGHTS", "[1.0]"]
    few = ["DATASETS.NAMES", "market1501", "SOLVER.IMS_PER_BATCH", "4", "DATALOADER.CACHE", "none"]
    config, *overrides = map(str, lfm(tmp_path, tmp_path / "out", *alone, *few)[1:])
    build_trainer(load_cfg(config, overrides), logging.getLogger("test.alone"))
    assert "warning: the training split holds one identity" in caplog.text
