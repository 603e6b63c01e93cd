"""A run that stops inside an epoch goes on with the same bits, and a save never spoils another."""

import errno
import json
import logging
import math
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import narrow
import pytest
import small
import torch
from torch import Tensor, nn

from reid.data.samplers import PKSampler, SeededIndex
from reid.engine import checkpoint, run_files
from reid.engine.meter import DivergedError
from reid.engine.optim import build_optimizer, parameter_groups
from reid.engine.trainer import Trainer
from reid.evaluation.features import Embedding
from reid.losses import LOSSES, Criterion
from reid.modeling import HEADS, ReIDModel
from reid.modeling.regularizers.dropout import Dropout
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils.batch import Batch
from reid.utils.errors import InputError
from reid.utils.signals import Stopped, StopSignals

IDS = 10
BATCHES = 7  # of one epoch: 10 identities with 3 images are 20 groups of 2, 3 of them a batch


class Network(small.Network):
    """Batch normalization and a regularizer that draws: both have a state inside an epoch."""

    def __init__(self) -> None:
        body = nn.Sequential(nn.Linear(small.PIXELS, 16), nn.BatchNorm1d(16), nn.Linear(16, 6))
        super().__init__(body, 6, IDS)
        self.regularizers["pool"] = Dropout(p=0.3)

    def reseed(self, seed: int) -> None:
        self.regularizers["pool"].reseed(seed)

    def features(self, images: Tensor) -> Tensor:
        maps = super().features(images)[:, :, None, None]
        feat: Tensor = self.regularizers["pool"](maps).flatten(1)
        return feat


def trainer(folder: Path, adversarial: bool = False, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    network, sampler = Network(), PKSampler(small.labels_of(IDS), 3, 2, seed=1)
    assert len(sampler) == BATCHES
    optimizer = build_optimizer("adam", parameter_groups(network, 0.01, 1e-3))
    settings = {"eval_period": 1, "log_period": 3, **settings}
    run = small.trainer(folder, network, small.Noise(), sampler, optimizer, **settings)
    if adversarial:
        run.perturb = partial(AdversarialTraining(16.0), Embedding(network, "before"))
    return run


def stop_at(run: Trainer, step: int, signum: int = signal.SIGTERM) -> StopSignals:
    """Lets a signal arrive while step ``step`` of the run (counted from 1) is computed."""
    signals, backward, count = StopSignals(), run.backward, [0]

    def noted(*args: Any) -> Any:
        count[0] += 1
        if count[0] == step:
            os.kill(os.getpid(), signum)
        return backward(*args)

    run.backward = noted  # type: ignore[method-assign]
    return signals


def everything(run: Trainer) -> dict[str, Tensor]:
    moments = {
        f"{index}.{name}": value
        for index, values in run.optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    return {**run.model.state_dict(), **moments}


def rows(folder: Path) -> list[dict[str, float]]:
    timing = ("images_per_second", "train_seconds")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in timing} for row in lines]


def differing(left: dict[str, Tensor], right: dict[str, Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [key for key in left if not torch.equal(left[key], right[key])]


@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_stopped_at_any_step_it_goes_on_to_the_bit(
    tmp_path: Path, adversarial: bool, accumulate: int
) -> None:
    whole = trainer(tmp_path / "whole", adversarial, accumulate=accumulate)
    whole.fit()
    for step in (1, 2, BATCHES, BATCHES + 1, 2 * BATCHES):
        folder = tmp_path / f"stopped{step}"
        first = trainer(folder, adversarial, accumulate=accumulate)
        with stop_at(first, step) as signals, pytest.raises(Stopped) as stopped:
            first.fit(signals)
        assert stopped.value.code == 143
        again = trainer(folder, adversarial, accumulate=accumulate)
        again.resume(folder / "last.pth")
        assert again.position == first.position
        again.fit()
        assert differing(everything(again), everything(whole)) == []
        assert rows(folder) == rows(tmp_path / "whole")


def headed(folder: Path) -> Trainer:
    """Dropout in the head, weights in a loss that reads the neck, and no reader of the logits."""
    run = trainer(folder)
    torch.manual_seed(0)
    head = HEADS["reduction"](feat_dim=narrow.FEAT_DIM, num_classes=IDS, embedding_dim=8)
    run.model = run.network = ReIDModel(narrow.backbone(), head, {}, [0.5] * 3, [0.5] * 3)
    losses = {name: LOSSES[name] for name in ("arcface", "circle")}
    run.criterion = Criterion(
        {"arcface": losses["arcface"](num_classes=IDS, feat_dim=8), "circle": losses["circle"]()},
        [1.0, 0.1],
    )
    groups = parameter_groups(run.model, 0.01, 1e-3, criterion=run.criterion)
    run.optimizer = build_optimizer("adam", groups)
    return run


def test_a_head_with_dropout_and_a_loss_with_weights_go_on_to_the_bit(tmp_path: Path) -> None:
    whole, first = headed(tmp_path / "whole"), headed(tmp_path / "parts")
    drawn = first.model.head.classifier.weight.detach().clone()
    whole.fit()
    with stop_at(first, BATCHES + 3) as signals, pytest.raises(Stopped):
        first.fit(signals)
    again = headed(tmp_path / "parts")
    again.resume(tmp_path / "parts/last.pth")
    again.fit()
    assert differing(everything(again), everything(whole)) == []
    assert differing(again.criterion.state_dict(), whole.criterion.state_dict()) == []
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert torch.equal(again.model.head.classifier.weight, drawn)  # no gradient, and no decay


def test_killed_after_every_step_it_still_arrives(tmp_path: Path) -> None:
    whole, folder, tries = trainer(tmp_path / "whole"), tmp_path / "parts", 0
    whole.fit()
    while True:
        run = trainer(folder)
        if tries:
            run.resume(folder / "last.pth")
        tries += 1
        with stop_at(run, 1) as signals:
            try:
                run.fit(signals)
                break
            except Stopped:
                pass
    assert tries == 2 * BATCHES + 1
    assert differing(everything(run), everything(whole)) == []
    assert rows(folder) == rows(tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 4, BATCHES, BATCHES + 3])
def test_a_batch_that_cannot_be_read_loses_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: int
) -> None:
    whole = trainer(tmp_path / "whole")
    whole.fit()
    # The second image of that step. A step has 6, and each epoch shows those of the first before.
    read, left = small.Noise.__getitem__, [6 * (step - 1 + math.ceil(step / BATCHES)) + 2]

    def broken(self: small.Noise, draw: SeededIndex) -> Batch:
        left[0] -= 1
        if left[0] == 0:
            raise InputError("a.jpg: cannot be read as an image")
        return read(self, draw)

    folder = tmp_path / "broken"
    first = trainer(folder)
    monkeypatch.setattr(small.Noise, "__getitem__", broken)
    with pytest.raises(InputError, match=r"^a\.jpg: cannot be read"):
        first.fit()
    again = trainer(folder)
    if step == 1:
        assert not folder.joinpath("last.pth").exists()
    else:
        again.resume(folder / "last.pth")
        epochs, steps = divmod(step - 1, BATCHES)
        assert again.position == f"{epochs} of 2 epochs" + (f" and {steps} steps" if steps else "")
        assert f"cannot be read; {again.position} are saved" in caplog.text or not steps
    again.fit()
    assert differing(everything(again), everything(whole)) == []


def test_sigusr1_saves_and_goes_on(tmp_path: Path) -> None:
    run, seen = trainer(tmp_path), []
    save = run.save

    def noted(improved: bool, point: Any = None) -> None:
        seen.append(None if point is None else point["steps"])
        save(improved, point)

    run.save = noted  # type: ignore[method-assign]
    with stop_at(run, 3, signal.SIGUSR1) as signals:
        run.fit(signals)
    assert seen[0] == 3 and set(seen[1:]) == {None}
    assert run.epoch == 2


def test_saves_inside_an_epoch_keep_to_their_period(tmp_path: Path) -> None:
    run, seen = trainer(tmp_path, checkpoint_steps=3, eval_period=-1), []
    save = run.save
    run.save = lambda improved, point=None: (  # type: ignore[method-assign]
        seen.append(point and point["steps"]),
        save(improved, point),
    )
    run.fit()
    assert seen == [3, 6, None, 3, 6, None]  # 7 steps an epoch
    minutes = trainer(tmp_path / "minutes", checkpoint_minutes=1e-9, eval_period=-1)
    seen.clear()
    save = minutes.save
    minutes.save = run.save
    minutes.fit()
    assert seen == [*range(1, BATCHES), None] * 2


def test_an_epoch_is_saved_before_it_is_evaluated(tmp_path: Path) -> None:
    def fails() -> dict[str, float]:
        state = checkpoint.load(tmp_path / "last.pth")
        assert state["epoch"] == run.epoch
        raise InputError("none of the queries has a match")

    run = trainer(tmp_path, evaluate=fails)
    with pytest.raises(InputError, match="none of the queries has a match"):
        run.fit()
    assert run.epoch == 2, "the run has to go on when an evaluation in between fails"
    assert all("mAP" not in row for row in rows(tmp_path))
    again = trainer(tmp_path)  # the fault is mended
    again.resume(tmp_path / "last.pth")
    again.fit()
    assert [row.get("mAP") for row in rows(tmp_path)] == [None, 0.5]
    assert run_files.checkpoints(tmp_path)[0].name == "last.pth"
    whole = trainer(tmp_path / "whole")
    whole.fit()
    assert differing(everything(again), everything(whole)) == []


def test_a_bug_in_the_evaluation_keeps_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, evaluate=lambda: {"mAP": 1 / 0}).fit()
    assert checkpoint.load(tmp_path / "last.pth")["epoch"] == 2
    assert "ZeroDivisionError" in caplog.text and "Traceback" in caplog.text


def test_a_run_can_be_told_not_to_evaluate(tmp_path: Path) -> None:
    run = trainer(tmp_path, eval_period=-1, evaluate=None)
    run.fit()
    assert [row["epoch"] for row in rows(tmp_path)] == [1, 2]
    assert not (tmp_path / "best.pth").exists() and run.best == {}


def test_a_full_disk_costs_no_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.fsync, [3]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] in (0, 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    run = trainer(tmp_path, eval_period=-1)
    run.fit()
    before = (tmp_path / "last.pth").read_bytes()
    run.max_epochs = 3
    monkeypatch.setattr(os, "fsync", lambda handle: full(handle))
    left[0] = 3
    with pytest.raises(InputError, match=r"last\.pth could not be written \(No space left"):
        run.fit()  # its last save fails, so the command has to fail
    assert (tmp_path / "last.pth").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))
    monkeypatch.setattr(os, "fsync", real)
    run.max_epochs = 4
    run.fit()
    assert checkpoint.load(tmp_path / "last.pth")["epoch"] == 4


def test_a_folder_that_vanishes_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = trainer(folder, eval_period=-1)
    original = run.train_epoch

    def moved(epoch: int) -> dict[str, float]:
        if epoch == 2:
            folder.rename(tmp_path / "moved")
        return original(epoch)

    run.train_epoch = moved  # type: ignore[method-assign]
    run.fit()
    assert checkpoint.load(folder / "last.pth")["epoch"] == 2
    assert checkpoint.load(tmp_path / "moved/last.pth")["epoch"] == 1


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit()
    before = (tmp_path / "last.pth").read_bytes()
    with torch.no_grad():
        run.model.backbone[0].weight[0, 0] = torch.nan
    with pytest.raises(DivergedError, match=r"backbone\.0\.weight is not finite after epoch 2"):
        run.save(improved=True)
    assert (tmp_path / "last.pth").read_bytes() == before


def test_a_lower_rate_is_used_when_a_run_goes_on(tmp_path: Path) -> None:
    trainer(tmp_path, eval_period=-1).fit()
    run = trainer(tmp_path, eval_period=-1)
    for group in run.optimizer.param_groups:
        group["initial_lr"] = 1e-4
    run.resume(tmp_path / "last.pth")
    assert {group["initial_lr"] for group in run.optimizer.param_groups} == {1e-4}
    assert run.optimizer.state_dict()["state"], "Adam's sums have to come from the checkpoint"


def test_earlier_checkpoints_are_kept_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for keep in (0, 1, 2):
        folder = tmp_path / str(keep)
        run = trainer(folder, eval_period=-1, keep_last=keep)
        run.max_epochs = 4
        run.fit()
        names = [path.name for path in run_files.checkpoints(folder)]
        assert names == ["last.pth", "last.1.pth", "last.2.pth"][: keep + 1]
        epochs = [checkpoint.load(path)["epoch"] for path in run_files.checkpoints(folder)]
        assert epochs == [4, 3, 2][: keep + 1]
    (folder / "last.pth").write_bytes((folder / "last.pth").read_bytes()[:-100])
    state, path = run_files.load_newest(folder, logging.getLogger("test"))
    assert (state["epoch"], path.name) == (3, "last.1.pth")
    assert "last.pth is refused" in caplog.text and "goes on from" in caplog.text
    (folder / "last.pth").unlink()
    (folder / "last.1.pth").write_text("damaged")
    assert run_files.load_newest(folder, logging.getLogger("test"))[1].name == "last.2.pth"
    (folder / "last.2.pth").write_text("damaged")
    with pytest.raises(InputError, match=r"last\.1\.pth is refused"):
        run_files.load_newest(folder, logging.getLogger("test"))
