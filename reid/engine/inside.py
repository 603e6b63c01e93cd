"""Where a run stands inside an epoch: what a step depends on besides weights and optimizer.

Each process has a part of its own: its random numbers, its sums, and the running statistics of
batch normalization, which are averaged over the processes at the end of an epoch only.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reid.engine.meter import Meter
from reid.engine.parallel import statistics
from reid.utils import distributed
from reid.utils.seeding import DeviceRNG


def generators(model: nn.Module) -> list[DeviceRNG]:
    """Returns the random numbers of the model's modules, in the order of the modules."""
    found = (getattr(module, "rng", None) for module in model.modules())
    return [rng for rng in found if isinstance(rng, DeviceRNG)]


def capture(
    model: nn.Module, meter: Meter, seconds: float, averaged: nn.Module | None = None
) -> dict[str, Any]:
    """Returns where all processes stand; every process has to call it.

    Args:
        model: The model.
        meter: Sums since the epoch began.
        seconds: Seconds of training since the epoch began.
        averaged: The average of its weights, which has running statistics of its own; None is none.
    """
    mine: dict[str, Any] = {
        "generators": [rng.state() for rng in generators(model)],
        "meter": meter.state(),
        "statistics": statistics(model),
    }
    if averaged is not None:
        mine["averaged"] = statistics(averaged)
    buffer = io.BytesIO()
    torch.save(mine, buffer)
    parts = distributed.gather_each(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8).clone())
    return {"steps": meter.steps, "seconds": seconds, "processes": parts}


def restore(
    inside: Mapping[str, Any],
    model: nn.Module,
    meter: Meter,
    device: torch.device,
    averaged: nn.Module | None = None,
) -> None:
    """Puts this process where it stood.

    Args:
        inside: From :func:`capture`.
        model: The model; its random numbers and running statistics are set.
        meter: Sums, which are set.
        device: Device of the model.
        averaged: The average of its weights; None is none.
    """
    part: Tensor = inside["processes"][distributed.rank()]
    mine = torch.load(io.BytesIO(part.numpy().tobytes()), map_location="cpu", weights_only=True)
    for rng, state in zip(generators(model), mine["generators"], strict=True):
        rng.restore(state, device)
    meter.restore(mine["meter"])
    for now, then in zip(statistics(model), mine["statistics"], strict=True):
        now.copy_(then)
    if averaged is not None and "averaged" in mine:
        for now, then in zip(statistics(averaged), mine["averaged"], strict=True):
            now.copy_(then)
