"""The loop on a network of two layers, where every number can be followed."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from reid.data.samplers import SeededIndex, ShuffleSampler
from reid.engine.checkpoint import load
from reid.engine.optim import Schedule, build_optimizer, parameter_groups
from reid.engine.trainer import Trainer, grouped
from reid.evaluation.features import Embedding
from reid.losses import Criterion
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils.batch import Batch
from reid.utils.errors import InputError


class Network(small.Network):
    """Sees the mean colour of a picture."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 4), 4, 2, bias=False)

    def features(self, images: Tensor) -> Tensor:
        feat: Tensor = self.backbone(images.mean((2, 3)))
        return feat


class Colors(Dataset[Batch]):
    """Red images have label 0, blue ones label 1."""

    def __getitem__(self, draw: SeededIndex) -> Batch:
        index, _ = draw
        image = torch.zeros(3, 4, 2, dtype=torch.uint8)
        image[0 if index % 2 == 0 else 2] = 255 - index
        return small.batch_of(image, index % 2, index)


def trainer(folder: Path, maps: list[float] | None = None, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    network, sampler = Network(), ShuffleSampler(8, 4, seed=1)
    answers = iter(maps or [0.5] * 99)
    defaults = {
        "criterion": small.sum_of("ce"),
        "schedule": Schedule("multistep", 3),
        "evaluate": lambda: {"mAP": next(answers)},
        "max_epochs": 3,
        "eval_period": 1,
        "log_period": 1,
    }
    optimizer = build_optimizer("sgd", parameter_groups(network, 0.5, 0.0))
    return small.trainer(folder, network, Colors(), sampler, optimizer, **{**defaults, **settings})


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("precision", [None, torch.bfloat16, torch.float16])
def test_every_parameter_moves_and_the_loss_falls(
    tmp_path: Path, precision: torch.dtype | None
) -> None:
    run = trainer(tmp_path, precision=precision, max_epochs=20, eval_period=0)
    before = [p.detach().clone() for p in run.model.parameters()]
    run.fit()
    assert not any(map(torch.equal, before, run.model.parameters()))
    assert rows(tmp_path)[-1]["loss_total"] < rows(tmp_path)[0]["loss_total"]
    assert rows(tmp_path)[-1]["accuracy"] == 1.0


def test_one_step_is_plain_gradient_descent(tmp_path: Path) -> None:
    run, twin = trainer(tmp_path), trainer(tmp_path).model
    batch = next(iter(run.loader))
    run.backward(batch)
    run.update()
    output = twin(batch.images.float() / 255)
    loss = nn.functional.cross_entropy(output.logits, batch.labels, label_smoothing=0.1)
    loss.backward()
    for ours, theirs in zip(run.model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs - 0.5 * theirs.grad, atol=1e-7)


def test_two_accumulated_batches_make_the_step_of_one_twice_as_large(tmp_path: Path) -> None:
    halves, whole = trainer(tmp_path / "a", accumulate=2), trainer(tmp_path / "b")
    halves.train_epoch(1)  # 8 images in batches of 4
    both = Batch(*(torch.cat(fields) for fields in zip(*halves.loader, strict=True)))
    whole.model.train()
    whole.backward(both)
    whole.update()
    for ours, theirs in zip(halves.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)


def test_what_is_left_of_an_epoch_makes_an_update_of_its_own() -> None:
    batch = Batch(*torch.zeros(5, 1))
    assert [len(group) for group in grouped([batch] * 7, 3)] == [3, 3, 1]
    assert list(grouped([], 3)) == []


def test_the_gradient_is_clipped_to_its_norm(tmp_path: Path) -> None:
    run = trainer(tmp_path, clip_norm=0.01)
    before = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    run.backward(next(iter(run.loader)))
    run.update()
    after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_the_weights_of_a_loss_are_within_the_clipped_norm(tmp_path: Path) -> None:
    run = trainer(tmp_path, clip_norm=0.01)
    head = nn.Linear(4, 2, bias=False)
    head.consumes = "feat"  # type: ignore[assignment]
    head.forward = lambda x, y: nn.functional.cross_entropy(  # type: ignore[method-assign]
        x @ head.weight.T, y
    )
    run.criterion = Criterion({"own": head}, [1.0])
    groups = parameter_groups(run.model, 0.5, 0.0, criterion=run.criterion)
    run.optimizer = build_optimizer("sgd", groups)
    every = [*run.model.backbone.parameters(), head.weight]
    before = torch.cat([p.detach().flatten() for p in every])
    run.backward(next(iter(run.loader)))
    run.update()
    after = torch.cat([p.detach().flatten() for p in every])
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert not torch.equal(before[-8:], after[-8:])


def test_regularizers_are_reseeded_by_the_epoch_alone(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "a")
    whole.fit()
    resumed = trainer(tmp_path / "b")
    resumed.epoch = 1
    resumed.fit()
    assert len(set(whole.model.seeds)) == 3
    assert resumed.model.seeds == whole.model.seeds[1:]


def test_what_perturb_makes_of_the_pixels_is_trained_on(tmp_path: Path) -> None:
    run, twin = trainer(tmp_path, perturb=lambda images, seed: 1 - images), trainer(tmp_path).model
    batch = next(iter(run.loader))
    run.backward(batch)
    run.update()
    output = twin(1 - batch.images.float() / 255)
    nn.functional.cross_entropy(output.logits, batch.labels, label_smoothing=0.1).backward()
    for ours, theirs in zip(run.model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs - 0.5 * theirs.grad, atol=1e-7)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_perturb_is_seeded_by_epoch_and_step_alone(tmp_path: Path, accumulate: int) -> None:
    seeds: list[int] = []

    def note(images: Tensor, seed: int) -> Tensor:
        seeds.append(seed)
        return images

    whole = trainer(tmp_path / "a", perturb=note)
    whole.fit()
    found = seeds.copy()
    assert len(set(found)) == len(found) == 6  # 3 epochs of 2 batches
    assert not set(found) & set(whole.model.seeds)
    seeds.clear()
    resumed = trainer(tmp_path / "b", perturb=note, accumulate=accumulate)
    resumed.epoch = 1
    resumed.fit()
    assert seeds == found[2:]


def test_adversarial_training_resumes_to_the_bit(tmp_path: Path) -> None:
    def adversarial(folder: Path, **settings: Any) -> Trainer:
        run = trainer(folder, **settings)
        run.perturb = partial(AdversarialTraining(16.0), Embedding(run.model, "before"))
        return run

    plain, whole = trainer(tmp_path / "plain"), adversarial(tmp_path / "whole")
    plain.fit()
    whole.fit()
    adversarial(tmp_path / "parts", max_epochs=1).fit()
    again = adversarial(tmp_path / "parts")
    again.resume(tmp_path / "parts/last.pth")
    again.fit()
    state, other = whole.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in again.model.state_dict().items())
    assert not any(torch.equal(state[key], other[key]) for key in state)


def test_the_best_is_kept_and_the_last_is_the_last(tmp_path: Path) -> None:
    run = trainer(tmp_path, maps=[0.2, 0.6, 0.4])
    run.fit()
    assert run.best == {"mAP": 0.6, "epoch": 2}
    assert load(tmp_path / "best.pth")["epoch"] == 2
    assert load(tmp_path / "last.pth")["epoch"] == 3


def test_a_resumed_run_remembers_the_best(tmp_path: Path) -> None:
    first = trainer(tmp_path, maps=[0.2, 0.6, 0.4], max_epochs=2)
    first.fit()
    second = trainer(tmp_path, maps=[0.4])
    second.resume(tmp_path / "last.pth")
    second.fit()
    assert second.best == {"mAP": 0.6, "epoch": 2}
    assert load(tmp_path / "best.pth")["epoch"] == 2


def test_evaluation_keeps_to_its_period_and_the_last_epoch(tmp_path: Path) -> None:
    trainer(tmp_path, max_epochs=5, eval_period=2).fit()
    assert [row["epoch"] for row in rows(tmp_path) if "mAP" in row] == [2, 4, 5]


def test_a_loss_that_is_not_finite_stops_the_run_by_name(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit()
    kept = (tmp_path / "last.pth").read_bytes()
    run.max_epochs = 4
    with torch.no_grad():
        run.model.backbone.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="loss_ce became nan in epoch 4"):
        run.fit()
    assert (tmp_path / "last.pth").read_bytes() == kept


def test_weights_alone_cannot_be_resumed(tmp_path: Path) -> None:
    trainer(tmp_path).fit()
    with pytest.raises(InputError, match="holds weights only"):
        trainer(tmp_path).resume(tmp_path / "best.pth")


def test_other_identities_cannot_be_resumed(tmp_path: Path) -> None:
    trainer(tmp_path).fit()
    other = trainer(tmp_path)
    other.pids = [0, 7]
    with pytest.raises(InputError, match="other identities"):
        other.resume(tmp_path / "last.pth")
