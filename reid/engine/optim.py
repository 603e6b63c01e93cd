"""Parameter groups, optimizers, and learning rates as plain functions of the epoch."""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from reid.utils.checks import Range, check_choice, check_count, check_range
from reid.utils.errors import ArgumentError

Groups = list[dict[str, Any]]

# name -> (parameter groups, momentum) -> optimizer. Fused: one kernel reads each parameter once.
OPTIMIZERS: dict[str, Callable[[Groups, float], Optimizer]] = {
    "adam": lambda groups, momentum: torch.optim.Adam(groups, fused=True),
    "adamw": lambda groups, momentum: torch.optim.AdamW(groups, fused=True),
    "sgd": lambda groups, momentum: torch.optim.SGD(groups, lr=0.0, momentum=momentum, fused=True),
}


def parameter_groups(
    model: nn.Module,
    base_lr: float,
    weight_decay: float,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float | None = None,
    criterion: nn.Module | None = None,
    loss_lr_factor: float = 1.0,
) -> Groups:
    """Sorts the trainable parameters into weights, biases, and those of the losses.

    Args:
        model: The model; its parameters with ``requires_grad`` False are left out.
        base_lr: Learning rate of the weights.
        weight_decay: Weight decay of the weights.
        bias_lr_factor: Learning rate of the biases, divided by ``base_lr``.
        weight_decay_bias: Weight decay of the biases; None is ``weight_decay``.
        criterion: The losses, where some have parameters of their own.
        loss_lr_factor: Learning rate of these parameters, divided by ``base_lr``; their decay is
            ``weight_decay``.

    Returns:
        At most three groups, each with the keys params, lr, weight_decay.
    """
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    weights = [p for name, p in trainable if not name.endswith("bias")]
    biases = [p for name, p in trainable if name.endswith("bias")]
    of_losses = [p for p in criterion.parameters() if p.requires_grad] if criterion else []
    bias_decay = weight_decay if weight_decay_bias is None else weight_decay_bias
    groups = [
        {"params": weights, "lr": base_lr, "weight_decay": weight_decay},
        {"params": biases, "lr": base_lr * bias_lr_factor, "weight_decay": bias_decay},
        {"params": of_losses, "lr": base_lr * loss_lr_factor, "weight_decay": weight_decay},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(name: str, groups: Groups, momentum: float = 0.9) -> Optimizer:
    """Builds ``adam``, ``adamw`` or ``sgd``; each group's rate is kept as its ``initial_lr``.

    Args:
        name: ``adam``, ``adamw`` or ``sgd``.
        groups: Groups of parameters, from :func:`parameter_groups`.
        momentum: Momentum of sgd, in [0, 1); the others do not use it.

    Raises:
        ArgumentError: The name is unknown, or the momentum is outside its range.
    """
    check_choice("name", name, OPTIMIZERS)
    if momentum not in Range(0, 1, below=True):
        raise ArgumentError("momentum", f"must be {Range(0, 1, below=True)}, got {momentum}")
    optimizer = OPTIMIZERS[name](groups, momentum)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


class Schedule:
    """Learning rate / base rate as a function of the 1-based epoch; it has no state to save.

    Warm-up: epoch e < ``warmup_epochs`` W gets f + (1 - f) e / W of its scheduled rate.
    Source: the warm-up of Luo et al., "Bag of Tricks", arXiv:1903.07071, section 3.1; with W = 10,
    f = 0.01 and steps (40, 70), epochs 1, 10, 40, 70 train at 0.109, 1, 0.1, 0.01 of the base rate,
    as strong-baseline's code does.

    Args:
        name: "multistep" or "cosine".
        max_epochs: Length of the run in epochs.
        warmup_epochs: Length W of the warm-up in epochs; 0 is none.
        warmup_factor: Factor f from which the warm-up rises.
        steps: First epochs of each lowered rate, rising, for "multistep".
        gamma: Factor at each of these steps, in (0, 1], for "multistep".
        min_factor: Factor of the last epoch, in [0, 1], for "cosine".

    Raises:
        ArgumentError: The name is unknown, or a value is outside its range.
    """

    def __init__(
        self,
        name: str,
        max_epochs: int,
        warmup_epochs: int = 0,
        warmup_factor: float = 0.01,
        steps: Sequence[int] = (),
        gamma: float = 0.1,
        min_factor: float = 0.0,
    ) -> None:
        check_choice("name", name, SCHEDULES)
        check_count("max_epochs", max_epochs)
        check_count("warmup_epochs", warmup_epochs, least=0)
        check_range("warmup_factor", warmup_factor, 0, 1)
        check_range("gamma", gamma, 0, 1, above=True)
        check_range("min_factor", min_factor, 0, 1)
        if list(steps) != sorted(set(steps)):
            raise ArgumentError("steps", f"must rise, got {tuple(steps)}")
        self.main = SCHEDULES[name]
        self.max_epochs = max_epochs
        self.warmup_epochs = warmup_epochs
        self.warmup_factor = warmup_factor
        self.steps = tuple(steps)
        self.gamma = gamma
        self.min_factor = min_factor

    def factor(self, epoch: int) -> float:
        """Returns the factor of a 1-based epoch."""
        warmth = min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0
        return (self.warmup_factor * (1 - warmth) + warmth) * self.main(self, epoch)

    def apply(self, optimizer: Optimizer, epoch: int) -> float:
        """Sets every group's rate for ``epoch``; returns that of the first group.

        Args:
            optimizer: Optimizer whose groups have ``initial_lr``; their ``lr`` is set.
            epoch: Number of the epoch, 1-based.
        """
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(epoch)
        return float(optimizer.param_groups[0]["lr"])


def _multistep(schedule: Schedule, epoch: int) -> float:
    return float(schedule.gamma ** bisect.bisect_right(schedule.steps, epoch))


def _cosine(schedule: Schedule, epoch: int) -> float:
    """Falls from 1 at the end of warm-up to ``min_factor`` in the last epoch."""
    start = max(schedule.warmup_epochs, 1)
    progress = max(0.0, (epoch - start) / max(schedule.max_epochs - start, 1))
    half = 0.5 * (1 + math.cos(math.pi * progress))
    return schedule.min_factor + (1 - schedule.min_factor) * half


SCHEDULES: dict[str, Callable[[Schedule, int], float]] = {
    "multistep": _multistep,
    "cosine": _cosine,
}
