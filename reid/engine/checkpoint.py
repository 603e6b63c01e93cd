"""Checkpoints: they are written completely or not at all, and reading them runs no code."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

import reid
from reid.utils.code_state import code_state
from reid.utils.errors import InputError
from reid.utils.logs import write_whole

FORMAT = 1


def save(
    path: Path,
    model: nn.Module,
    epoch: int,
    config: str,
    pids: list[int],
    state: Mapping[str, Any],
    code: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint of tensors and plain values.

    Args:
        path: The file; it is replaced in one step.
        model: The model, whose state dict is stored under "model".
        epoch: Number of completed epochs.
        config: The resolved config as YAML text.
        pids: Sorted train pids; the pid of label i is pids[i].
        state: State dicts and plain values that resuming needs.
        code: State of the code, from :func:`reid.utils.code_state.code_state`; None determines it
            for this package alone.
    """
    code = dict(code_state() if code is None else code)
    checkpoint = {
        "format": FORMAT,
        "version": reid.__version__,
        "commit": code["commit"],
        "code": code,
        "epoch": epoch,
        "config": config,
        "pids": pids,
        "model": model.state_dict(),
        **state,
    }
    write_whole(path, lambda file: torch.save(checkpoint, file))


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        InputError: The file is missing, damaged, or no checkpoint of this format, or reading it
            would run code.
    """
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    try:
        with (
            warnings.catch_warnings()
        ):  # torch warns about pickle protocols; the errors below suffice
            warnings.simplefilter("ignore", UserWarning)
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {path} is refused: it is damaged or holds more than tensors and plain"
            " values, and loading it could run code"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"checkpoint {path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        raise InputError(
            f"checkpoint {path} was not written by this version of reid (format {FORMAT});"
            " weights of a backbone are loaded as pretrained weights"
        )
    return checkpoint


def load_model(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Fills ``model``; raises InputError that names the first key or shape that does not fit.

    Args:
        model: The model of the config; it is changed.
        checkpoint: Content of a file, from :func:`load`.
        path: The file, for the message.

    Raises:
        InputError: A key is missing on one side, or has another shape.
    """
    have = checkpoint["model"]
    want = model.state_dict()
    for key in sorted(have.keys() | want.keys()):
        if key not in want or key not in have:
            where = "checkpoint" if key not in have else "model of this config"
            raise InputError(f"checkpoint {path} does not fit: the {where} lacks {key}")
        if have[key].shape != want[key].shape:
            raise InputError(
                f"checkpoint {path} does not fit: {key} is {tuple(have[key].shape)},"
                f" the model of this config has {tuple(want[key].shape)}"
            )
    model.load_state_dict(have)
