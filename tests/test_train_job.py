"""What surrounds a training: the folder, what is checked first, signals, and how a run goes on."""

import json
import os
import signal
from pathlib import Path

import narrow
import pytest
import torch
import torchvision
from commands import lfm, rows, run, stop, weights

from reid.engine import checkpoint
from reid.utils.lock import NAME, FolderLock

pytestmark = [pytest.mark.early, pytest.mark.usefixtures("narrow_resnet18")]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs, one evaluation."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run("train", *lfm(data, out, "SOLVER.MAX_EPOCHS", 2))
    return out


def copied(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in source.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def differing(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [key for key in left if not torch.equal(left[key], right[key])]


@pytest.mark.parametrize(
    ("signum", "code", "workers"), [(signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 0)]
)
def test_a_signal_saves_inside_the_epoch_and_the_run_goes_on_to_the_bit(
    data: Path, trained: Path, tmp_path: Path, signum: int, code: int, workers: int
) -> None:
    out = tmp_path / "stopped"
    args = lfm(data, out, "SOLVER.MAX_EPOCHS", 2, "DATALOADER.CACHE", "none")
    in_step_3 = "reid.engine.trainer:Trainer.backward:3"
    mark, more = tmp_path / "mark", ["DATALOADER.NUM_WORKERS", workers]
    done = stop("train", *args, *more, at=in_step_3, signum=signum, mark=mark)
    log = done.stdout
    assert done.returncode == code, log
    assert "go on with the same command and --resume" in log and "Traceback" not in log
    assert not (out / NAME).exists()
    inside = checkpoint.load(out / "last.pth")["inside"]
    assert inside is not None and inside["steps"] == 3
    done = run("train", *args, "--resume")
    assert f"0 of 2 epochs and {inside['steps']} steps are done" in done.stdout
    assert differing(weights(out), weights(trained)) == []
    timing = ("images_per_second", "train_seconds")
    for ours, theirs in zip(rows(out), rows(trained), strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }


def test_a_second_run_in_the_same_folder_is_refused(data: Path, tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "out")
    lock.acquire()
    try:
        done = run("train", *lfm(data, tmp_path / "out", "SOLVER.MAX_EPOCHS", 1), code=2)
    finally:
        lock.release()
    assert f"another run: process {os.getpid()} on " in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_without_its_last_checkpoint_is_not_overwritten(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    out = copied(trained, tmp_path / "out")
    (out / "last.1.pth").unlink()
    (out / "last.pth").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".log"}
    args = lfm(data, out, "SOLVER.MAX_EPOCHS", 1, "SOLVER.EVAL_PERIOD", -1)
    done = run("train", *args, code=2)
    assert "holds best.pth of a run, and no last.pth to go on from" in done.stderr
    assert before == {p.name: p.read_bytes() for p in out.iterdir() if p.suffix != ".log"}
    done = run("train", *args, "--resume")
    assert "metrics.jsonl of a run without last.pth is now" in done.stdout
    assert (out / "metrics.1.jsonl").read_bytes() == before["metrics.jsonl"]
    assert (out / "best.1.pth").read_bytes() == before["best.pth"]
    assert "never evaluated" in done.stdout and not (out / "best.pth").exists()


def test_a_damaged_checkpoint_falls_back_and_strays_are_removed(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    out = copied(trained, tmp_path / "out")
    damaged = bytearray((out / "last.pth").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (out / "last.pth").write_bytes(damaged)
    (out / ".last.pth.99.tmp").write_bytes(b"half")
    done = run("train", *lfm(data, out, "SOLVER.MAX_EPOCHS", 2, "--resume"))
    assert "its checksum is wrong" in done.stdout and "goes on from" in done.stdout
    assert "removed" in done.stdout and not list(out.glob(".*.tmp"))
    assert differing(weights(out), weights(trained)) == []


def test_other_images_are_another_run(data: Path, trained: Path, tmp_path: Path) -> None:
    out, root = copied(trained, tmp_path / "out"), tmp_path / "data"
    home = next(data.glob("synthetic-tiny-*"))
    for path in sorted(home.rglob("*")):
        if path.is_file():
            target = root / path.relative_to(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    args = lfm(root, out, "SOLVER.MAX_EPOCHS", 2, "--resume")
    run("train", *args)  # the same images elsewhere are the same images
    first, second = sorted((root / home.name / "bounding_box_train").glob("*.jpg"))[:2]
    one, two = first.read_bytes(), second.read_bytes()
    assert len(one) != len(two)
    # Of the same size: only what was decoded tells it.
    padded = one + bytes(max(0, len(two) - len(one)))
    if len(padded) == len(two):
        second.write_bytes(padded)
    else:
        first.write_bytes(two + bytes(len(one) - len(two)))
    refused = run("train", *args, code=2)
    assert "training images whose pixels have digest" in refused.stderr
    assert "--accept-changes" in refused.stderr
    run("train", *args, "SOLVER.MAX_EPOCHS", 3, "--accept-changes")
    changes = checkpoint.load(out / "last.pth")["facts"]["changes"]
    assert len(changes) == 1 and changes[0].startswith("after epoch 2: training images whose")


def test_best_weights_are_not_compared_across_protocols(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    out = copied(trained, tmp_path / "out")
    before = (out / "best.pth").read_bytes()
    assert checkpoint.load(out / "last.pth")["best"]["mAP"] > 0
    args = lfm(data, out, "SOLVER.MAX_EPOCHS", 4, "--resume", "TEST.PROTOCOL", "any_camera")
    done = run("train", *args)
    assert "best.pth chosen under other TEST.PROTOCOL is now" in done.stdout
    assert (out / "best.1.pth").read_bytes() == before
    assert checkpoint.load(out / "last.pth")["best"]["epoch"] == 4
    assert checkpoint.load(out / "best.pth")["epoch"] == 4


def test_a_diverged_run_goes_on_with_a_lower_rate(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    out = copied(trained, tmp_path / "out")
    before = (out / "last.pth").read_bytes()
    args = lfm(data, out, "SOLVER.MAX_EPOCHS", 3, "--resume", "--accept-changes")
    done = run("train", *args, "INPUT.PIXEL_STD", "(1e-30,1e-30,1e-30)", code=2)
    assert "go on from the last good state with --resume --accept-changes" in done.stderr
    assert (out / "last.pth").read_bytes() == before
    run("train", *args, "SOLVER.BASE_LR", 1e-5)
    assert [row["epoch"] for row in rows(out)] == [1, 2, 3]
    assert rows(out)[-1]["lr"] == pytest.approx(1e-5, rel=1)
    assert all(value.isfinite().all() for value in weights(out).values())
    changes = checkpoint.load(out / "last.pth")["facts"]["changes"]
    assert changes == ["after epoch 2: SOLVER.BASE_LR 0.001, this config says 1e-05"]


def test_a_disk_that_is_too_small_is_found_before_the_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reid.engine.run_files.free_disk", lambda folder: 10**6)
    done = run("train", *lfm(data, tmp_path / "out", "SOLVER.MAX_EPOCHS", 1), code=2)
    assert "the checkpoints of this run need about" in done.stderr
    assert not (tmp_path / "out/metrics.jsonl").exists()


def test_the_checkpoint_says_what_the_numbers_depend_on(trained: Path) -> None:
    state = checkpoint.load(trained / "last.pth")
    assert state["facts"]["threads"] == torch.get_num_threads()
    assert state["facts"]["torch"] == str(torch.__version__)
    assert state["facts"]["precision"] == "fp32"
    assert set(state["facts"]["data"]) == {"train", "query", "gallery", "pixels"}
    assert json.dumps(state["facts"])  # plain values


def test_an_averaged_run_tests_what_it_evaluated_and_goes_on_to_the_bit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.models, "resnet18", narrow.resnet18)
    solver = {
        "OPTIMIZER_NAME": "sgd", "NESTEROV": True, "BASE_LR": 0.05, "BACKBONE_LR_FACTOR": 0.1,
        "LAYER_DECAY": 0.9, "NORM_DECAY_FACTOR": 0, "SCHEDULE": "cosine", "WARMUP_EPOCHS": 0,
        "FREEZE_EPOCHS": 1, "EMA_DECAY": 0.5, "MAX_EPOCHS": 2, "EVAL_PERIOD": 1,
    }  # fmt: skip
    keys = [part for name, value in solver.items() for part in (f"SOLVER.{name}", value)]
    keys += ["INPUT.TRANSFORMS", "[autoaugment,flip,erasing]", "INPUT.AUTOAUGMENT_PROB", 0.5]
    keys += ["MODEL.POOLING.NAME", "gem"]
    args = lfm(data, tmp_path, *keys, "SOLVER.KEEP_LAST", 3)
    said = run("train", *args).stdout
    assert "the average is evaluated, and is the model of the checkpoints" in said
    assert "SOLVER.LAYER_DECAY 0.9: resnet18 has 8 blocks; the rate of the first is 0.43" in said
    whole = checkpoint.load(tmp_path / "last.pth")
    for name in ("last", "best"):
        file = tmp_path / f"{name}.pth"
        run("test", *args, "TEST.WEIGHT", file)
        tested = json.loads((tmp_path / "metrics.json").read_text())
        assert tested["mAP"] == rows(tmp_path)[checkpoint.load(file)["epoch"] - 1]["mAP"]
    assert not torch.equal(whole["model"]["pooling.p"], whole["ema"]["trained"]["pooling.p"])
    before = [path for path in tmp_path.glob("last.*.pth") if checkpoint.load(path)["epoch"] == 1]
    (tmp_path / "last.pth").write_bytes(before[0].read_bytes())
    run("train", *args, "--resume")
    again = checkpoint.load(tmp_path / "last.pth")
    assert again["epoch"] == 2
    assert differing(again["model"], whole["model"]) == []
    assert differing(again["ema"]["trained"], whole["ema"]["trained"]) == []
    other = run("train", *args, "SOLVER.EMA_DECAY", 0, "--resume", code=2)
    assert "SOLVER.EMA_DECAY 0.5, this config says 0" in other.stderr


def test_an_average_longer_than_the_run_is_warned_of(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.models, "resnet18", narrow.resnet18)
    settings = ["SOLVER.EMA_DECAY", 0.999, "SOLVER.MAX_EPOCHS", 1, "SOLVER.EVAL_PERIOD", -1]
    said = run("train", *lfm(data, tmp_path, *settings))
    assert "SOLVER.EMA_DECAY 0.999 averages over about 1000 updates" in said.stdout + said.stderr
