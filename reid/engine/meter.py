"""Sums of an epoch's losses, statistics and hits, kept on the device.

A sum that is not finite never becomes finite again. So the number of steps after which a sum was
still finite says at which step it stopped being so, and nobody has to look at each step.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reid.utils import distributed
from reid.utils.errors import InputError

GRADIENT = "the gradient"


class Fault(NamedTuple):
    """The first value of an epoch that was not finite.

    Attributes:
        part: What it was: ``loss_ce``, or ``the gradient``.
        value: What its sum became, "nan" or "inf".
        first: First step of the batches that it came from, 1-based.
        step: Last of these steps.
        rank: Process whose batches they were.
    """

    part: str
    value: str
    first: int
    step: int
    rank: int


class DivergedError(InputError):
    """A loss, a gradient or a weight is not finite any more.

    Args:
        message: One line.
        fault: Where it began; None where that is not known.
    """

    def __init__(self, message: str, fault: Fault | None = None) -> None:
        super().__init__(message)
        self.fault = fault


class Step(NamedTuple):
    """What one batch gives to sum up.

    Attributes:
        losses: Losses by name, each a scalar () tensor on the device.
        statistics: Further numbers by name, each a scalar () tensor on the device; the names are
            the same in every step and process.
        right: () int64, number of images whose label was predicted.
        images: Number of images in the batch.
    """

    losses: Mapping[str, Tensor]
    statistics: Mapping[str, Tensor]
    right: Tensor
    images: int


class Meter:
    """Sums on the device; only reading them waits for the device.

    A reading is the mean over all processes, which therefore have to read at the same steps.

    Args:
        device: Device of the sums.
        accumulate: Number of batches of an update; the last update of an epoch may have fewer.
    """

    def __init__(self, device: torch.device, accumulate: int = 1) -> None:
        self.device = device
        self.accumulate = accumulate
        self.sums: dict[str, Tensor] = {}
        self.statistics: dict[str, Tensor] = {}
        self.gradient = torch.zeros((), device=device)
        self.right = self._zero()
        self.steps = self.images = 0
        # Number of steps after which the sum was finite: (number of losses,), and of the gradient.
        self.finite = self._zero()
        self.finite_gradient = self._zero()

    def _zero(self) -> Tensor:
        return torch.zeros((), dtype=torch.int64, device=self.device)

    def add(self, step: Step) -> None:
        """Adds one batch.

        Raises:
            InputError: The statistics have other names than those of the batch before.
        """
        if self.steps and step.statistics.keys() != self.statistics.keys():
            raise InputError(
                f"a loss reported the statistics {', '.join(step.statistics) or 'none'} after"
                f" {', '.join(self.statistics) or 'none'}: it has to report the same in each step"
            )
        _add(self.sums, step.losses)
        _add(self.statistics, step.statistics)
        self.finite = self.finite + torch.stack(list(self.sums.values())).isfinite()
        self.right += step.right
        self.steps += 1
        self.images += step.images

    def add_gradient(self, value: Tensor) -> None:
        """Adds the gradient of an update, after the batches that it came from.

        Args:
            value: () on the device; it is finite if the gradient is.
        """
        self.gradient = self.gradient + value
        self.finite_gradient += self.gradient.isfinite() * (self.steps - self.finite_gradient)

    def read(self, epoch: int) -> dict[str, float]:
        """Returns the means since the epoch began.

        A statistic whose mean is not finite is left out.

        Args:
            epoch: Number of the epoch, 1-based.

        Raises:
            DivergedError: A loss or a gradient is not finite; the message names the first one and
                is the same in all processes.
        """
        kept = (*self.sums.values(), self.gradient, *self.statistics.values(), self.right)
        sums = distributed.total(torch.stack([value.double() for value in kept]))
        means = (sums / distributed.world_size()).tolist()
        losses, gradient = means[: len(self.sums)], means[len(self.sums)]
        if not all(map(math.isfinite, (*losses, gradient))):
            raise _diverged(self._first_fault(), epoch)
        named = {f"loss_{k}": loss / self.steps for k, loss in zip(self.sums, losses, strict=True)}
        statistics = zip(self.statistics, means[len(self.sums) + 1 : -1], strict=True)
        finite = {k: value / self.steps for k, value in statistics if math.isfinite(value)}
        return {**named, "accuracy": means[-1] / self.images, **finite}

    def _first_fault(self) -> Fault:
        """Finds what was not finite first in any process; of one step, the loss named first."""
        names = [*(f"loss_{name}" for name in self.sums), GRADIENT]
        sums = torch.stack([value.double() for value in (*self.sums.values(), self.gradient)])
        good = torch.cat([self.finite, self.finite_gradient.unsqueeze(0)])
        rows = distributed.gather_rows(torch.stack([sums, good.double()]).cpu().unsqueeze(0))
        faults = []
        for rank, (values, until) in enumerate(rows.tolist()):
            for name, value, step in zip(names, values, map(int, until), strict=True):
                if not math.isfinite(value):
                    batches = self.accumulate if name == GRADIENT else 1
                    last = min(step + batches, self.steps)
                    faults.append(Fault(name, str(value), step + 1, last, rank))
        return min(faults, key=lambda fault: fault.step)

    def state(self) -> dict[str, Any]:
        """Returns what :meth:`restore` needs, as tensors and plain values."""
        return {name: getattr(self, name) for name in (*_TENSORS, *_BY_NAME, *_NUMBERS)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a :meth:`state`."""
        for name in _TENSORS:
            setattr(self, name, state[name].to(self.device))
        for name in _BY_NAME:
            setattr(self, name, {k: value.to(self.device) for k, value in state[name].items()})
        for name in _NUMBERS:
            setattr(self, name, state[name])


# What a meter holds, by kind.
_TENSORS = ("right", "gradient", "finite", "finite_gradient")
_BY_NAME = ("sums", "statistics")
_NUMBERS = ("steps", "images")


def _add(sums: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        sums[name] = sums[name] + value if name in sums else value


def _diverged(fault: Fault, epoch: int) -> DivergedError:
    steps = f"step {fault.step}"
    if fault.first < fault.step:
        steps = f"steps {fault.first} to {fault.step}"
    process = f" of process {fault.rank}" if distributed.active() else ""
    return DivergedError(
        f"{fault.part} became {fault.value} in epoch {epoch}, at {steps}{process}: the training"
        " diverged",
        fault,
    )
