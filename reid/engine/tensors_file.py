"""Checkpoints as safetensors: the model's tensors, and in the header the config and what is known.

The package safetensors is an extra: ``pip install "reid-lfm[safetensors]"``.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.utils.errors import ArgumentError, InputError
from reid.utils.logs import sync_folder, temporary_of
from reid.weights.reading import HEADER, INSTALL, read_safetensors

ENDING = ".safetensors"
# What of a checkpoint is tensors for going on with a run, and is left out.
RUN_ONLY = ("model", "optimizer", "scaler", "criterion", "inside")


def save_tensors_file(path: Path, checkpoint: Mapping[str, Any]) -> list[str]:
    """Writes the model of a checkpoint, with all plain values of it in the header.

    Args:
        path: The file; it is replaced in one step.
        checkpoint: Content of a checkpoint.

    Returns:
        What of the checkpoint is left out: what only a run that goes on needs.

    Raises:
        InputError: The package safetensors is not installed.
    """
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise InputError(
            f"{path} cannot be written: the package safetensors is not installed: {INSTALL}"
        ) from error
    rest = {key: value for key, value in checkpoint.items() if key not in RUN_ONLY}
    header = {"format": "pt", HEADER: json.dumps(rest, sort_keys=True)}
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in checkpoint["model"].items()
    }
    with temporary_of(path) as temporary:
        save_file(tensors, temporary, metadata=header)
        os.replace(temporary, path)
    sync_folder(path.parent)
    return [key for key in checkpoint if key in RUN_ONLY and key != "model"]


def load_tensors_file(path: Path) -> Any:
    """Returns the content of a checkpoint; None if the file is not one of ours.

    Raises:
        InputError: The file is damaged, or the package safetensors is not installed.
    """
    try:
        tensors, header = read_safetensors(str(path))
    except ArgumentError as error:
        raise InputError(
            f"{path} cannot be read: {error.problem.partition(', but ')[2]}"
        ) from error
    if HEADER not in header:
        return None
    try:
        return {**json.loads(header[HEADER]), "model": tensors}
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged: its header '{HEADER}' is no JSON object") from error
