"""A training that goes wrong says where, keeps the state, and warns where it learns nothing."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from reid.data.samplers import PKSampler, SeededIndex
from reid.engine.meter import DivergedError
from reid.engine.optim import Schedule, build_optimizer, parameter_groups
from reid.engine.trainer import Trainer
from reid.engine.watch import Watch, finite_sign, weight_size
from reid.losses import Criterion, Loss
from reid.utils.batch import Batch
from reid.utils.errors import InputError
from reid.utils.signals import Stopped, StopSignals

IDS = 6
BAD = 11  # index of the image that spoils a run
HEALTHY = {"feat_spread": 0.4, "triplet_collapsed": 0.02}


class People(Dataset[Batch]):
    """Three pictures of each identity: one colour and some noise. That of BAD is all white."""

    def __getitem__(self, draw: SeededIndex) -> Batch:
        index, _ = draw
        label = index // small.EACH
        dice = torch.Generator().manual_seed(index)
        image = torch.randint(60, (3, 4, 2), generator=dice) + 30 * label
        if index == BAD:
            image = torch.full_like(image, 255)
        return small.batch_of(image, label, index)


class Poison(nn.Module):
    """Passes features on; makes those of the white picture, or the gradient there, no number."""

    def __init__(self, backward: bool) -> None:
        super().__init__()
        self.backward = backward

    def forward(self, feat: Tensor, images: Tensor) -> Tensor:
        white = images.amin((1, 2, 3)).unsqueeze(1) == 1
        if self.backward:
            # The square root of 0 is 0, and its gradient is infinite.
            return feat + torch.where(white, feat - feat.detach(), 1).abs().sqrt() * 0
        return torch.where(white, torch.nan, feat)


class Poisoned(small.Network):
    def __init__(self, backward: bool) -> None:
        super().__init__(nn.Linear(small.PIXELS, 8), 8, IDS)
        self.poison = Poison(backward)

    def features(self, images: Tensor) -> Tensor:
        feat: Tensor = self.poison(super().features(images), images)
        return feat


def sampler() -> PKSampler:
    return PKSampler(small.labels_of(IDS), 2, 2, seed=1)


def trainer(folder: Path, network: small.Network | None = None, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    network = network or small.Network(nn.Linear(small.PIXELS, 8), 8, IDS)
    optimizer = build_optimizer("sgd", parameter_groups(network, 0.01, 0.0))
    defaults = {
        "schedule": Schedule("multistep", 3),
        "evaluate": None,
        "max_epochs": 3,
        "log_period": 100,
        "file_of": lambda index: Path(f"/data/person_{index:02}.jpg"),
    }
    return small.trainer(
        folder, network, People(), sampler(), optimizer, **{**defaults, **settings}
    )


def step_of_bad(epoch: int) -> tuple[int, list[int]]:
    """The number of the first batch of an epoch that has the bad image, and its images."""
    plan = sampler()
    plan.set_epoch(epoch)
    batches = [[index for index, _ in batch] for batch in plan]
    number = next(n for n, batch in enumerate(batches) if BAD in batch)
    return number + 1, batches[number]


@pytest.mark.parametrize("log_period", [1, 4, 100])
@pytest.mark.parametrize(
    ("backward", "part"), [(False, "loss_ce"), (True, "the gradient")], ids=["loss", "gradient"]
)
def test_the_batch_that_spoils_a_run_is_named_whenever_it_is_noticed(
    tmp_path: Path, backward: bool, part: str, log_period: int
) -> None:
    step, images = step_of_bad(1)
    assert step > 1
    run = trainer(tmp_path, Poisoned(backward), log_period=log_period)
    names = ", ".join(f"person_{index:02}.jpg" for index in images)
    with pytest.raises(DivergedError) as caught:
        run.fit()
    assert str(caught.value) == (
        f"{part} became nan in epoch 1, at step {step}: the training diverged; its images: {names};"
        f" the state is in {tmp_path / 'diverged.pth'}"
    )
    assert not (tmp_path / "last.pth").exists()


def test_what_diverged_is_kept_to_be_looked_at_and_what_was_saved_stays(tmp_path: Path) -> None:
    trainer(tmp_path, max_epochs=1).fit()
    saved = (tmp_path / "last.pth").read_bytes()
    run = trainer(tmp_path, Poisoned(False))
    run.resume(tmp_path / "last.pth")
    step, images = step_of_bad(2)
    with pytest.raises(DivergedError, match=f"nan in epoch 2, at step {step}"):
        run.fit()
    assert (tmp_path / "last.pth").read_bytes() == saved
    kept = torch.load(tmp_path / "diverged.pth", weights_only=True)
    assert kept["diverged"] == {
        "part": "loss_ce",
        "value": "nan",
        "first": step,
        "step": step,
        "rank": 0,
        "epoch": 2,
        "images": images,
        "files": [f"/data/person_{index:02}.jpg" for index in images],
    }
    assert kept["model"].keys() == run.model.state_dict().keys()
    with pytest.raises(InputError, match="holds weights only"):
        trainer(tmp_path).resume(tmp_path / "diverged.pth")


def test_many_images_are_counted_and_a_state_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    def guard() -> None:
        raise InputError("the folder is gone")

    run = trainer(tmp_path, Poisoned(True), accumulate=3, guard=guard)
    # The bad image is in the second update, of three batches with four images each.
    assert 4 <= step_of_bad(1)[0] <= 6
    with pytest.raises(DivergedError) as caught:
        run.fit()
    message = str(caught.value)
    assert "the gradient became nan in epoch 1, at steps 4 to 6" in message
    assert message.count("person_") == 8
    assert " and 4 more; the state could not be kept in" in message
    assert "(the folder is gone)" in message
    assert not (tmp_path / "diverged.pth").exists()


def test_after_a_stop_inside_the_epoch_the_steps_still_count_from_its_beginning(
    tmp_path: Path,
) -> None:
    step, _ = step_of_bad(1)
    assert step > 1
    signals, run = StopSignals(), trainer(tmp_path)
    signals.signum = 15  # as if it came in the first step
    with pytest.raises(Stopped):
        run.fit(signals)
    assert run.position == "0 of 3 epochs and 1 steps"
    again = trainer(tmp_path, Poisoned(False))
    again.resume(tmp_path / "last.pth")
    with pytest.raises(DivergedError, match=f"at step {step}: .* person_{BAD}.jpg"):
        again.fit()


def test_a_run_that_diverged_is_not_saved_inside_an_epoch(tmp_path: Path) -> None:
    step, _ = step_of_bad(1)
    run = trainer(tmp_path, Poisoned(False), checkpoint_steps=step)
    with pytest.raises(DivergedError, match=f"loss_ce became nan in epoch 1, at step {step}:"):
        run.fit()
    assert not (tmp_path / "last.pth").exists()


class Steep(Loss):
    """A loss near 1 whose gradient is no number."""

    consumes = "feat"

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return 1 + (x.sum() - x.sum().detach()).abs().sqrt()


def test_fp16_training_whose_every_step_is_skipped_ends(tmp_path: Path) -> None:
    run = trainer(tmp_path, precision=torch.float16, max_epochs=9)
    run.criterion = Criterion({"steep": Steep()}, [1.0])
    before = [p.clone() for p in run.model.parameters()]
    with pytest.raises(DivergedError, match="fp16 training skipped them: the training diverged"):
        run.fit()
    assert all(map(torch.equal, before, run.model.parameters()))


def test_the_sign_is_finite_exactly_if_the_gradients_are() -> None:
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 3e38)  # finite, and their sum is not
    unused = nn.Parameter(torch.zeros(2))
    assert float(finite_sign([*parameters, unused])) == 0
    for value in (math.nan, math.inf, -math.inf):
        parameters[1].grad = torch.tensor([[1.0, 2.0], [value, 3.0]])
        assert math.isnan(finite_sign(parameters))


def test_what_is_not_finite_in_a_large_layer_shows_in_the_small_ones_before_it() -> None:
    conv, norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
    large = nn.Conv2d(8, 300, 3, bias=False)
    network = nn.Sequential(conv, norm, nn.ReLU(), large)
    assert large.weight.numel() > 1 << 14
    for spoiled, expected in ((False, False), (True, True)):
        network.zero_grad()
        out = network(torch.rand(2, 3, 8, 8))
        weight = torch.ones_like(out)
        weight[1, 7, 2, 2] = math.inf if spoiled else 1
        out.backward(weight)
        assert math.isnan(finite_sign(network.parameters())) == expected
    large.weight.grad = None
    alone = nn.Parameter(torch.zeros(1 << 15))
    alone.grad = torch.full_like(alone, math.nan)
    assert math.isnan(finite_sign([alone]))  # none is small


def test_the_size_of_weights_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 2.0]]))
        network[1].weight.copy_(torch.tensor([[3.0], [4.0]]))
        network[0].bias.fill_(100)
    assert weight_size(network) == pytest.approx(math.sqrt((1 + 4 + 9 + 16) / 4))
    assert weight_size(nn.BatchNorm1d(3)) == math.inf


@pytest.mark.parametrize(
    ("reading", "weights", "text"),
    [
        ({"feat_spread": 0.004}, 0.03, "0.40% of their length away from their mean (feat_spread)"),
        ({"triplet_collapsed": 0.97}, 0.03, "the loss triplet cannot tell images apart: for 97%"),
        ({}, 2e-5, "the weights have decayed to 2.0e-05"),
    ],
)
def test_a_sign_in_three_readings_in_a_row_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, reading: dict[str, float], weights: float, text: str
) -> None:
    watch = Watch(logging.getLogger("test.watch"), first_epoch=2)
    bad = {**HEALTHY, **reading}
    for epoch in (1, 1, 1, 1, 2, 2):  # the warm-up does not count
        watch.see(epoch, bad, weights)
    watch.see(2, HEALTHY, 0.03)  # and this breaks the row
    watch.see(2, bad, weights)
    watch.see(2, bad, weights)
    assert not caplog.records
    for _ in range(5):
        watch.see(3, bad, weights)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("warning: in epoch 3 ")
    assert text in caplog.messages[0]


def warnings_of(
    folder: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[nn.Module], None]
) -> list[str]:
    run = trainer(folder, max_epochs=4)
    with torch.no_grad():
        spoil(run.model)
    run.fit()
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_healthy_run_is_not_warned_of_and_writes_plain_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_of(tmp_path, caplog, lambda model: None) == []
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert all(math.isfinite(value) for value in row.values())
        assert 0 <= row["triplet_active"] <= 1
        assert row["triplet_positive"] > 0
        assert row["feat_spread"] > 0.01


def test_a_collapsed_network_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def collapse(model: nn.Module) -> None:
        model.backbone.weight.zero_()
        model.backbone.weight.requires_grad_(False)

    found = warnings_of(tmp_path, caplog, collapse)
    assert len(found) == 2
    assert "all features of a batch are alike: they are 0.00% of their length" in found[0]
    assert "the loss triplet cannot tell images apart: for 100% of them" in found[1]
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["loss_triplet"] == pytest.approx(0.3)  # its margin
