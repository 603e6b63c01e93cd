"""A model as a program of torch.export, for Python without this package, and for C++."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reid.export.pixels import INPUT, PixelModel
from reid.utils.errors import InputError

ENDING = ".pt2"


def trace(model: PixelModel) -> Any:
    """Returns the program of a model, for any number of images.

    Raises:
        InputError: torch.export cannot follow the network; the message says why in one line.
    """
    shapes = {INPUT: {0: torch.export.Dim("batch")}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about its own parts
            return torch.export.export(
                model, (model.random(2),), dynamic_shapes=shapes, strict=False
            )
    except Exception as error:  # a network may do anything, and each has an error of its own
        raise InputError(cannot_export(error)) from error


def cannot_export(error: Exception) -> str:
    """Returns one line about an error of an exporter."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    return f"this network cannot be exported: {type(error).__name__}: {first[:300]}"


def save_program(program: Any, path: Path) -> None:
    """Writes a program.

    Args:
        program: From :func:`trace`.
        path: The file.
    """
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, file)


class ProgramFeatures(nn.Module):
    """Runs a program that was written a moment ago; torch reads it with pickle in places.

    Args:
        path: The file, one of our own.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(file).module()
        # Not a submodule: a program knows no train() and eval(). It was traced in eval mode.
        self.run: Callable[[Tensor], Tensor] = program.__call__

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, D)."""
        return self.run(pixels)
