"""A frozen backbone stays as it is to the bit, and all parts of the solver resume to the bit."""

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from test_inside_an_epoch import BATCHES, IDS, differing, everything, rows, stop_at
from torch import Tensor, nn

from reid.data.samplers import PKSampler
from reid.engine.ema import averaged_model
from reid.engine.freezing import Freezing
from reid.engine.optim import Factors, Schedule, build_optimizer, parameter_groups
from reid.engine.trainer import Trainer
from reid.evaluation.features import Embedding
from reid.modeling.pooling.gem import GeMPool
from reid.modeling.regularizers.dropout import Dropout
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils.errors import ArgumentError, InputError
from reid.utils.signals import Stopped


class Network(small.Network):
    """Blocks with batch normalization, a pooling that learns, a neck, and a regularizer."""

    def __init__(self) -> None:
        backbone = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 1)))
        parts = [{"conv": nn.Conv2d(4, 4, 1, bias=False), "bn": nn.BatchNorm2d(4)} for _ in "12"]
        blocks = nn.Sequential(*(nn.Sequential(OrderedDict(part)) for part in parts))
        backbone.add_module("blocks", blocks)
        super().__init__(backbone, 4, IDS)
        backbone.stem.weight.requires_grad_(False)  # one that never trains
        self.pooling = GeMPool()
        self.neck = nn.BatchNorm1d(4)
        self.regularizers["blocks"] = Dropout(p=0.3)

    def reseed(self, seed: int) -> None:
        self.regularizers["blocks"].reseed(seed)

    def forward(self, images: Tensor) -> small.Output:
        x = self.regularizers["blocks"](self.backbone(images))
        feat = self.pooling(x).flatten(1)
        feat_bn = self.neck(feat)
        return small.Output(feat.float(), feat_bn.float(), self.classifier(feat_bn).float())


def trainer(folder: Path, adversarial: bool = False, **settings: Any) -> Trainer:
    """Everything at once: Nesterov, factors, frozen epochs, an average, a delayed cosine."""
    torch.manual_seed(0)
    network, sampler = Network(), PKSampler(small.labels_of(IDS), 3, 2, seed=1)
    factors = Factors(backbone=0.5, head=2.0, layer_decay=0.7, norm_decay=0.0)
    groups = parameter_groups(network, 0.05, 1e-3, 2.0, 0.0, factors=factors)
    optimizer = build_optimizer("sgd", groups, 0.9, nesterov=True)
    defaults = {
        "schedule": Schedule("cosine", 3, delay_epochs=2),
        "evaluate": None,
        "max_epochs": 3,
        "eval_period": -1,
        "log_period": 5,
        "freeze_epochs": 1,
        "ema": averaged_model(network, 0.9),
    }
    settings = {**defaults, **settings}
    run = small.trainer(folder, network, small.Noise(), sampler, optimizer, **settings)
    if adversarial:
        run.perturb = partial(AdversarialTraining(16.0), Embedding(network, "before"))
    return run


def state(run: Trainer) -> dict[str, Tensor]:
    """Weights, moments, and the average."""
    averaged = {f"ema.{k}": v.clone() for k, v in run.ema.module.state_dict().items()}
    mine = {k: v.clone() for k, v in everything(run).items() if isinstance(v, Tensor)}
    return {**mine, **averaged, "updates": run.ema.n_averaged.clone()}


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_frozen_backbone_stays_to_the_bit_and_then_learns(
    tmp_path: Path, adversarial: bool
) -> None:
    run = trainer(tmp_path, adversarial, freeze_epochs=2)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    for epoch in (1, 2):
        run.train_epoch(epoch)
        now = run.model.state_dict()
        still = {name for name, value in before.items() if torch.equal(value, now[name])}
        assert still == {name for name in before if name.startswith("backbone.")}
        assert not any(p.grad is not None for p in run.model.backbone.parameters())
        assert not any(module.training for module in run.model.backbone.modules())
        assert run.model.neck.training and run.model.regularizers["blocks"].training
        kept = {p for p in run.model.backbone.parameters() if p in run.optimizer.state}
        assert kept == set(), "no momentum may gather"
    averaged = run.ema.module.backbone.state_dict()
    assert all(torch.equal(value, before[f"backbone.{k}"]) for k, value in averaged.items())
    run.train_epoch(3)
    now = run.model.state_dict()
    still = {name for name, value in before.items() if torch.equal(value, now[name])}
    assert still == {"backbone.stem.weight"}  # which never trains
    assert run.model.backbone.training


def test_it_depends_on_the_epoch_alone(tmp_path: Path) -> None:
    model = Network()
    freezing = Freezing(model, 3)
    assert [freezing.holds(epoch) for epoch in (1, 3, 4)] == [True, True, False]
    assert [freezing.frozen_part(epoch) for epoch in (3, 4)] == ["backbone", ""]
    freezing.set_gradients(2)
    assert not any(p.requires_grad for p in model.backbone.parameters())
    freezing.set_gradients(4)
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    assert [name for name, wanted in trained.items() if not wanted] == ["backbone.stem.weight"]


def test_a_model_without_a_backbone_cannot_be_frozen() -> None:
    with pytest.raises(ArgumentError, match="freeze_epochs is 1, and the model has no backbone"):
        Freezing(nn.Linear(1, 1), 1)
    with pytest.raises(ArgumentError, match="freeze_epochs must be a whole number of at least 0"):
        Freezing(nn.Linear(1, 1), -1)
    Freezing(nn.Linear(1, 1), 0).set_modes(1)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_stopped_at_any_step_it_goes_on_to_the_bit(tmp_path: Path, accumulate: int) -> None:
    whole = trainer(tmp_path / "whole", accumulate=accumulate)
    whole.fit()
    for step in (1, 2, BATCHES, BATCHES + 1, 2 * BATCHES, 3 * BATCHES - 1):
        folder = tmp_path / f"stopped{step}"
        first = trainer(folder, accumulate=accumulate)
        with stop_at(first, step) as signals, pytest.raises(Stopped):
            first.fit(signals)
        again = trainer(folder, accumulate=accumulate)
        again.resume(folder / "last.pth")
        again.fit()
        assert differing(state(again), state(whole)) == []
        assert rows(folder) == rows(tmp_path / "whole")


def test_saved_inside_an_epoch_by_its_period_it_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.fit()
    run = trainer(tmp_path / "killed", checkpoint_steps=2)
    save, files = run.save, []

    def noted(improved: bool, point: Any = None) -> None:
        save(improved, point)
        files.append((point and point["steps"], (tmp_path / "killed/last.pth").read_bytes()))

    run.save = noted  # type: ignore[method-assign]
    run.fit()
    assert [steps for steps, _ in files] == [2, 4, 6, None] * 3
    for number in (0, 2, 5, 9):
        folder = tmp_path / f"from{number}"
        folder.mkdir()
        (folder / "last.pth").write_bytes(files[number][1])
        again = trainer(folder)
        again.resume(folder / "last.pth")
        again.fit()
        assert differing(state(again), state(whole)) == []


def test_gem_and_each_factor_are_at_work(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    before = run.model.pooling.p.detach().clone()
    run.fit()
    assert not torch.equal(run.model.pooling.p, before)
    # Of weights: 2 blocks; of biases: stem and 2 blocks; of the head: weights and biases.
    assert len({group["initial_lr"] for group in run.optimizer.param_groups}) == 7


def test_other_groups_of_parameters_do_not_take_the_state_of_these(tmp_path: Path) -> None:
    trainer(tmp_path, max_epochs=1).fit()
    other = trainer(tmp_path)
    other.optimizer = build_optimizer("sgd", parameter_groups(other.model, 0.05, 1e-3))
    with pytest.raises(InputError, match="its state of optimizer or losses is of another kind"):
        other.resume(tmp_path / "last.pth")
