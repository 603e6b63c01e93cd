"""An exponential moving average of the weights, beside the weights that are trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reid.engine import checkpoint as ckpt
from reid.utils.checks import Range
from reid.utils.errors import ArgumentError, InputError

Decay = Range(0, 1, above=True, below=True)
Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]
KEY = "ema"  # of the checkpoint's part that is here


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """Returns a copy of a model that follows it: a <- decay a + (1 - decay) w after each update.

    The first update copies the weights w. Running statistics of batch normalization are averaged
    in the same way, and counters are copied. The copy is in eval mode, and gets no gradient.

    Source: torch's ``AveragedModel`` with ``get_ema_multi_avg_fn``; statistics are averaged as
    torchvision's reference training does (``use_buffers=True``).
    Differs: torch averages counters of whole numbers, too, and cuts the result.

    Args:
        model: The model on its device, with its starting weights, before it is compiled.
        decay: Weight of the old average, in (0, 1). It spans about 1 / (1 - decay) updates.

    Raises:
        ArgumentError: The decay is outside its range.
    """
    if decay not in Decay:
        raise ArgumentError("ema_decay", f"must be {Decay}, got {decay}")
    blend = get_ema_multi_avg_fn(decay)

    def average(old: Tensors, new: Tensors, count: Tensor | int) -> None:
        if old[0].is_floating_point():
            blend(old, new, count)
        else:
            torch._foreach_copy_(list(old), list(new))  # one kernel for all counters

    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    averaged.requires_grad_(False)
    return averaged.eval()


def state_of(averaged: AveragedModel, model: nn.Module) -> dict[str, Any]:
    """Returns what a checkpoint holds besides the average, which is its "model".

    Args:
        averaged: The average.
        model: The model that is trained.
    """
    return {"trained": model.state_dict(), "updates": int(averaged.n_averaged)}


def load_weights(
    model: nn.Module, averaged: AveragedModel | None, state: Mapping[str, Any], path: Path
) -> None:
    """Fills the model that is trained, and its average, from a checkpoint.

    A run may go on knowingly with or without an average that it did not have: the weights that were
    trained go on, and a new average begins at them.

    Args:
        model: The model that is trained.
        averaged: Its average; None if the run has none.
        state: Content of the checkpoint.
        path: The file, for messages.

    Raises:
        InputError: The weights do not fit, or the part of the average is damaged.
    """
    stored = state.get(KEY)
    if stored is not None:
        _check(stored, path)
    trained = {"model": state["model"] if stored is None else stored["trained"]}
    ckpt.load_model(model, trained, path)
    if averaged is not None:
        ckpt.load_model(averaged.module, dict(state), path)
        averaged.n_averaged.fill_(0 if stored is None else stored["updates"])


def _check(stored: Any, path: Path) -> None:
    """Raises InputError unless a part of a checkpoint is what :func:`state_of` returns."""
    trained = stored.get("trained") if isinstance(stored, Mapping) else None
    whole = isinstance(trained, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in trained.items()
    )
    if not whole or type(stored.get("updates")) is not int or not 0 <= stored["updates"] < 2**62:
        raise InputError(
            f"checkpoint {path} is damaged: '{KEY}' must hold the trained weights and their number"
            " of updates"
        )
