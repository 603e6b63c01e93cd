"""Parameter groups, optimizers, and learning rates as plain functions of the epoch."""

import bisect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from reid.engine.depth import block_depths
from reid.utils.checks import Range, check_choice, check_count, check_range
from reid.utils.errors import ArgumentError

Groups = list[dict[str, Any]]

# name -> (parameter groups, momentum, nesterov) -> optimizer. Fused: one kernel reads each weight.
OPTIMIZERS: dict[str, Callable[[Groups, float, bool], Optimizer]] = {
    "adam": lambda groups, momentum, nesterov: torch.optim.Adam(groups, fused=True),
    "adamw": lambda groups, momentum, nesterov: torch.optim.AdamW(groups, fused=True),
    "sgd": lambda groups, momentum, nesterov: torch.optim.SGD(
        groups, lr=0.0, momentum=momentum, nesterov=nesterov, fused=True
    ),
}
_BACKBONE = "backbone."  # begin of the names of a backbone's parameters


@dataclass(frozen=True)
class Factors:
    """Factors of learning rate and weight decay for parts of a model; they multiply.

    Attributes:
        backbone: Learning rate of the backbone / ``base_lr``.
        head: Learning rate of all else of the model (pooling, head) / ``base_lr``.
        layer_decay: Learning rate of a block of the backbone / that of the next block, in (0, 1].
            Block i of N gets ``layer_decay`` to the power of N + 1 - i, what comes before the first
            block (i = 0) still less, and what is behind the last one the whole rate. A network
            without blocks has the whole rate everywhere. Source: Bao et al., "BEiT",
            arXiv:2106.08254, whose code has the same powers; the depths are those of
            :func:`reid.engine.depth.block_depths`.
        norm_decay: Weight decay of the weights with one dimension or none, such as those of
            normalization, layer scale and GeM's p, / ``weight_decay``. timm has the same rule.

    Raises:
        ArgumentError: A factor is outside its range.
    """

    backbone: float = 1.0
    head: float = 1.0
    layer_decay: float = 1.0
    norm_decay: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            check_range(item.name, getattr(self, item.name), 0)
        check_range("layer_decay", self.layer_decay, 0, 1, above=True)

    def of_rate(self, model: nn.Module) -> dict[str, float]:
        """Returns the factor of the learning rate of each parameter of ``model``, by name."""
        backbone = getattr(model, _BACKBONE[:-1], None)
        depths, count = block_depths(backbone) if backbone is not None else ({}, 0)
        found = {}
        for name, _ in model.named_parameters():
            if not name.startswith(_BACKBONE):
                found[name] = self.head
                continue
            depth = depths.get(name.removeprefix(_BACKBONE), count + 1)
            found[name] = self.backbone * self.layer_decay ** (count + 1 - depth)
        return found


PLAIN = Factors()


def parameter_groups(
    model: nn.Module,
    base_lr: float,
    weight_decay: float,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float | None = None,
    criterion: nn.Module | None = None,
    loss_lr_factor: float = 1.0,
    factors: Factors = PLAIN,
) -> Groups:
    """Sorts the trainable parameters into weights, biases, and those of the losses.

    Weights whose rate or decay differ are groups of their own, in the order of the modules, and so
    are biases.

    Args:
        model: The model; its parameters with ``requires_grad`` False are left out.
        base_lr: Learning rate of the weights.
        weight_decay: Weight decay of the weights.
        bias_lr_factor: Learning rate of the biases, divided by that of the weights.
        weight_decay_bias: Weight decay of the biases; None is ``weight_decay``.
        criterion: The losses, where some have parameters of their own.
        loss_lr_factor: Learning rate of these parameters, divided by ``base_lr``; their decay is
            ``weight_decay``.
        factors: Factors for parts of the model.

    Returns:
        Groups with the keys params, lr, weight_decay and base_lr; if all factors are 1, at most one
        for weights, one for biases, and one for the losses.
    """
    rate = factors.of_rate(model)
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    of_losses = [p for p in criterion.parameters() if p.requires_grad] if criterion else []
    bias_decay = weight_decay if weight_decay_bias is None else weight_decay_bias

    def weights() -> Iterator[tuple[nn.Parameter, float, float]]:
        for name, p in trainable:
            if not name.endswith("bias"):
                decay = weight_decay * (factors.norm_decay if p.dim() < 2 else 1.0)
                yield p, base_lr * rate[name], decay

    def biases() -> Iterator[tuple[nn.Parameter, float, float]]:
        for name, p in trainable:
            if name.endswith("bias"):
                yield p, base_lr * bias_lr_factor * rate[name], bias_decay

    groups = [
        *_grouped(weights()),
        *_grouped(biases()),
        *_grouped((p, base_lr * loss_lr_factor, weight_decay) for p in of_losses),
    ]
    return [{**group, "base_lr": base_lr} for group in groups]


def _grouped(parameters: Iterable[tuple[nn.Parameter, float, float]]) -> Groups:
    """Puts parameters of the same rate and decay together, in the order of the first of each.

    Args:
        parameters: (parameter, learning rate, weight decay).
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter, lr, decay in parameters:
        found.setdefault((lr, decay), []).append(parameter)
    return [
        {"params": members, "lr": lr, "weight_decay": decay}
        for (lr, decay), members in found.items()
    ]


def build_optimizer(
    name: str, groups: Groups, momentum: float = 0.9, nesterov: bool = False
) -> Optimizer:
    """Builds ``adam``, ``adamw`` or ``sgd``; each group's rate is kept as its ``initial_lr``.

    Args:
        name: ``adam``, ``adamw`` or ``sgd``.
        groups: Groups of parameters, from :func:`parameter_groups`.
        momentum: Momentum of sgd, in [0, 1); the others do not use it.
        nesterov: Whether sgd takes Nesterov's momentum: v <- momentum v + g, and the step is
            lr (g + momentum v). The others do not use it.

    Raises:
        ArgumentError: The name is unknown, or the momentum is outside its range, which is (0, 1)
            with ``nesterov``.
    """
    check_choice("name", name, OPTIMIZERS)
    allowed = Range(0, 1, above=name == "sgd" and nesterov, below=True)
    if momentum not in allowed:
        where = " with nesterov" if allowed.above else ""
        raise ArgumentError("momentum", f"must be {allowed}{where}, got {momentum}")
    optimizer = OPTIMIZERS[name](groups, momentum, nesterov)
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
        delay_epochs: Last epoch of the whole rate, for "cosine"; one within the warm-up changes
            nothing. fast-reid's flat-then-cosine has the same name.

    Raises:
        ArgumentError: The name is unknown, or a value is outside its range.

    Examples:
        >>> schedule = Schedule("multistep", max_epochs=120, warmup_epochs=10, steps=(40, 70))
        >>> [round(schedule.factor(epoch), 3) for epoch in (1, 10, 40, 70)]
        [0.109, 1.0, 0.1, 0.01]
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
        delay_epochs: int = 0,
    ) -> None:
        check_choice("name", name, SCHEDULES)
        check_count("max_epochs", max_epochs)
        check_count("warmup_epochs", warmup_epochs, least=0)
        check_range("warmup_factor", warmup_factor, 0, 1)
        check_range("gamma", gamma, 0, 1, above=True)
        check_range("min_factor", min_factor, 0, 1)
        check_count("delay_epochs", delay_epochs, least=0)
        if list(steps) != sorted(set(steps)):
            raise ArgumentError("steps", f"must rise, got {tuple(steps)}")
        self.main = SCHEDULES[name]
        self.max_epochs = max_epochs
        self.warmup_epochs = warmup_epochs
        self.warmup_factor = warmup_factor
        self.steps = tuple(steps)
        self.gamma = gamma
        self.min_factor = min_factor
        self.delay_epochs = delay_epochs

    def factor(self, epoch: int) -> float:
        """Returns the factor of a 1-based epoch."""
        warmth = min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0
        return (self.warmup_factor * (1 - warmth) + warmth) * self.main(self, epoch)

    def apply(self, optimizer: Optimizer, epoch: int) -> float:
        """Sets every group's rate for ``epoch``; returns the base rate, without factors of groups.

        Args:
            optimizer: Optimizer whose groups have ``initial_lr``; their ``lr`` is set.
            epoch: Number of the epoch, 1-based.
        """
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.factor(epoch)
        first = optimizer.param_groups[0]
        return float(first.get("base_lr", first["initial_lr"]) * self.factor(epoch))


def _multistep(schedule: Schedule, epoch: int) -> float:
    return float(schedule.gamma ** bisect.bisect_right(schedule.steps, epoch))


def _cosine(schedule: Schedule, epoch: int) -> float:
    """Falls from 1 at the end of warm-up and delay to ``min_factor`` in the last epoch."""
    start = max(schedule.warmup_epochs, schedule.delay_epochs, 1)
    progress = max(0.0, (epoch - start) / max(schedule.max_epochs - start, 1))
    half = 0.5 * (1 + math.cos(math.pi * progress))
    return schedule.min_factor + (1 - schedule.min_factor) * half


SCHEDULES: dict[str, Callable[[Schedule, int], float]] = {
    "multistep": _multistep,
    "cosine": _cosine,
}
