"""Learning rates stated epoch by epoch; parameter groups."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from reid.engine.optim import OPTIMIZERS, Schedule, build_optimizer, parameter_groups
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
