"""Learning rates stated epoch by epoch; parameter groups."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from reid.engine.optim import OPTIMIZERS, Factors, Schedule, build_optimizer, parameter_groups
from reid.modeling import BACKBONES
from reid.utils.environment import choose_precision
from reid.utils.errors import ArgumentError


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (1, 3.815e-5),  # (0.01 * 0.9 + 0.1) * 3.5e-4
        (5, 1.7675e-4),  # (0.01 * 0.5 + 0.5) * 3.5e-4
        (10, 3.5e-4),
        (39, 3.5e-4),
        (40, 3.5e-5),
        (41, 3.5e-5),
        (70, 3.5e-6),
        (71, 3.5e-6),
        (120, 3.5e-6),
    ],
)
def test_the_bag_of_tricks_rate_of_each_epoch(epoch: int, rate: float) -> None:
    schedule = Schedule("multistep", 120, 10, 0.01, (40, 70), 0.1)
    optimizer = build_optimizer("adam", parameter_groups(nn.Linear(2, 2), 3.5e-4, 5e-4))
    assert schedule.apply(optimizer, epoch) == pytest.approx(rate, rel=1e-12)
    assert {group["lr"] for group in optimizer.param_groups} == {optimizer.param_groups[0]["lr"]}


def test_a_rate_does_not_depend_on_the_epochs_before_it() -> None:
    schedule = Schedule("multistep", 120, 10, 0.01, (40, 70), 0.1)
    optimizer = build_optimizer("adam", parameter_groups(nn.Linear(2, 2), 1.0, 0.0))
    assert schedule.apply(optimizer, 70) == schedule.factor(70)
    schedule.apply(optimizer, 3)
    assert schedule.apply(optimizer, 70) == schedule.factor(70)


def test_cosine_falls_from_the_end_of_warm_up_to_the_last_epoch() -> None:
    schedule = Schedule("cosine", max_epochs=21, warmup_epochs=1, min_factor=0.1)
    assert schedule.factor(1) == pytest.approx(1.0)
    assert schedule.factor(11) == pytest.approx(0.55)  # half way: (1 + 0.1) / 2
    assert schedule.factor(21) == pytest.approx(0.1)
    factors = [schedule.factor(epoch) for epoch in range(1, 22)]
    assert factors == sorted(factors, reverse=True)


def test_one_step_at_epoch_40() -> None:
    # The schedule of LFM's released code: 60 epochs, the rate times 0.1 from epoch 40 on.
    schedule = Schedule("multistep", 60, steps=(40,), gamma=0.1)
    assert [schedule.factor(e) for e in (1, 39, 40, 60)] == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_a_delayed_cosine_is_flat_and_then_falls() -> None:
    schedule = Schedule("cosine", 60, 10, 0.1, min_factor=0.02, delay_epochs=30)
    assert schedule.factor(5) == pytest.approx(0.55)  # half way from 0.1 to 1
    assert {schedule.factor(epoch) for epoch in range(10, 31)} == {1.0}
    assert schedule.factor(45) == pytest.approx(0.51)  # half way: (1 + 0.02) / 2
    assert schedule.factor(60) == pytest.approx(0.02)
    falling = [schedule.factor(epoch) for epoch in range(30, 61)]
    assert falling == sorted(falling, reverse=True) and len(set(falling)) == 31
    plain, within = (Schedule("cosine", 60, 10, delay_epochs=delay) for delay in (0, 10))
    assert [plain.factor(e) for e in range(1, 61)] == [within.factor(e) for e in range(1, 61)]


@pytest.mark.parametrize("name", ["multistep", "cosine"])
def test_one_epoch_has_a_rate(name: str) -> None:
    assert Schedule(name, max_epochs=1).factor(1) == 1.0


def test_biases_can_have_their_own_rate_and_decay_and_frozen_ones_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[1].bias.requires_grad_(False)
    weights, biases = parameter_groups(model, 0.1, 5e-4, bias_lr_factor=2, weight_decay_bias=0.0)
    assert [tuple(p.shape) for p in weights["params"]] == [(2, 3), (2,)]
    assert [tuple(p.shape) for p in biases["params"]] == [(2,)]
    assert (weights["lr"], weights["weight_decay"]) == (0.1, 5e-4)
    assert (biases["lr"], biases["weight_decay"]) == (0.2, 0.0)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_moves_the_parameters_against_the_gradient(name: str) -> None:
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(name, parameter_groups(model, 0.01, 0.0))
    model(torch.ones(1, 2)).sum().backward()  # gradient 1 for each weight
    optimizer.step()
    assert torch.allclose(model.weight, before - 0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (
            lambda: build_optimizer("adm", []),
            "name has the unknown value 'adm'; did you mean 'adam'",
        ),
        (
            lambda: build_optimizer("sgd", [], 1.0),
            "momentum must be at least 0 and less than 1, got",
        ),
        (lambda: Schedule("cosin", 1), "name has the unknown value 'cosin'; did you mean 'cosine'"),
        (lambda: Schedule("cosine", 0), "max_epochs must be a whole number of at least 1, got 0"),
        (lambda: Schedule("cosine", 1, -1), "warmup_epochs must be a whole number of at least 0"),
        (lambda: Schedule("cosine", 1, 0, 2.0), "warmup_factor must be at least 0 and at most 1"),
        (lambda: Schedule("multistep", 9, steps=(3, 3)), "steps must rise, got (3, 3)"),
        (lambda: Schedule("multistep", 9, gamma=-1.0), "gamma must be more than 0 and at most 1"),
        (
            lambda: Schedule("cosine", 9, delay_epochs=-1),
            "delay_epochs must be a whole number of at least 0",
        ),
        (
            lambda: build_optimizer("sgd", [], 0.0, nesterov=True),
            "momentum must be more than 0 and less than 1 with nesterov, got 0.0",
        ),
        (lambda: Factors(backbone=-1.0), "backbone must be at least 0, got -1.0"),
        (lambda: Factors(layer_decay=0.0), "layer_decay must be more than 0 and at most 1"),
        (lambda: Factors(layer_decay=1.5), "layer_decay must be more than 0 and at most 1"),
        (
            lambda: Schedule("cosine", 9, min_factor=1.5),
            "min_factor must be at least 0 and at most",
        ),
        (lambda: choose_precision("fp8", torch.device("cpu")), "name has the unknown value 'fp8'"),
    ],
)
def test_bad_arguments_are_named(work: Callable[[], object], says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        work()
    assert str(caught.value).startswith(says)


def test_the_parameters_of_losses_are_a_group_with_a_rate_of_its_own() -> None:
    model, criterion = nn.Linear(2, 3), nn.Linear(4, 5, bias=False)
    groups = parameter_groups(model, 0.1, 1e-3, 2.0, 1e-4, criterion, 5.0)
    assert [group["params"] for group in groups] == [
        [model.weight],
        [model.bias],
        [criterion.weight],
    ]
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 1e-3), (0.2, 1e-4), (0.5, 1e-3)]
    criterion.weight.requires_grad_(False)
    assert len(parameter_groups(model, 0.1, 1e-3, criterion=criterion)) == 2
    assert len(parameter_groups(model, 0.1, 1e-3, criterion=nn.Identity())) == 2


def steps_of(nesterov: bool) -> list[float]:
    """The weight after each of three steps, with gradients 1, 2, -1."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    optimizer = build_optimizer("sgd", parameter_groups(model, 0.1, 0.0), 0.5, nesterov)
    found = []
    for gradient in (1.0, 2.0, -1.0):
        model.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        found.append(model.weight.item())
    return found


def test_momentum_and_nesterovs_by_hand() -> None:
    # v = 1, 2.5, 0.25. Plain: w - 0.1 v. Nesterov: w - 0.1 (g + 0.5 v).
    assert steps_of(False) == pytest.approx([-0.1, -0.35, -0.375])
    assert steps_of(True) == pytest.approx([-0.15, -0.475, -0.3875])


class Parts(nn.Module):
    """A backbone of three blocks, a pooling and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.stem = nn.Linear(1, 1)
        self.backbone.blocks = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
        self.backbone.norm = nn.LayerNorm(1)
        self.pooling = nn.Module()
        self.pooling.p = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(1, 1)


def settings_of(model: nn.Module, groups: list) -> dict[str, tuple[float, float]]:
    """(rate, decay) of each parameter by name."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_the_factors_of_layers_listed_by_hand() -> None:
    model = Parts()
    groups = parameter_groups(model, 1.0, 0.1, factors=Factors(layer_decay=0.5))
    rates = {name: rate for name, (rate, _) in settings_of(model, groups).items()}
    by_part = {"stem": 1 / 16, "blocks.0": 1 / 8, "blocks.1": 1 / 4, "blocks.2": 1 / 2, "norm": 1}
    expected = {f"backbone.{k}.{w}": v for k, v in by_part.items() for w in ("weight", "bias")}
    assert rates == {**expected, "pooling.p": 1, "head.weight": 1, "head.bias": 1}


def test_the_factors_of_parts_multiply() -> None:
    model = Parts()
    factors = Factors(backbone=0.1, head=10.0, layer_decay=0.5, norm_decay=0.0)
    found = settings_of(model, parameter_groups(model, 2.0, 0.25, 3.0, 0.125, factors=factors))
    assert found["backbone.blocks.2.weight"] == pytest.approx((2 * 0.1 / 2, 0.25))
    assert found["backbone.blocks.2.bias"] == pytest.approx((2 * 0.1 / 2 * 3, 0.125))
    assert found["backbone.norm.weight"] == pytest.approx((2 * 0.1, 0.0))
    assert found["pooling.p"] == (20.0, 0.0)
    assert found["head.weight"] == (20.0, 0.25)
    assert found["head.bias"] == (60.0, 0.125)


def test_at_the_defaults_the_groups_are_those_of_earlier_checkpoints() -> None:
    for model in (Parts(), BACKBONES["resnet18"]()):
        trained = list(model.named_parameters())
        groups = parameter_groups(model, 0.1, 5e-4, 1.0, 5e-4, nn.Linear(1, 1))
        weights = [id(p) for name, p in trained if not name.endswith("bias")]
        biases = [id(p) for name, p in trained if name.endswith("bias")]
        found = [[id(p) for p in group["params"]] for group in groups]
        assert found[:2] == [weights, biases] and len(groups) == 3
        # A state that knows nothing of younger options is loaded.
        state = build_optimizer("adam", groups).state_dict()
        for group in state["param_groups"]:
            del group["base_lr"]
        build_optimizer("adam", groups).load_state_dict(state)


def test_the_rate_that_is_logged_has_no_factors() -> None:
    groups = parameter_groups(Parts(), 0.5, 0.0, factors=Factors(backbone=0.1, head=3.0))
    optimizer = build_optimizer("adamw", groups)
    schedule = Schedule("multistep", 9, steps=(5,), gamma=0.5)
    assert schedule.apply(optimizer, 5) == 0.25
    assert sorted({g["lr"] for g in optimizer.param_groups}) == pytest.approx([0.025, 0.75])
