"""Sums of an epoch's losses and hits, kept on the device."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from reid.utils import distributed
from reid.utils.errors import InputError


class DivergedError(InputError):
    """A loss, or a weight, is not finite any more."""


class Meter:
    """Sums losses and hits on the device; only reading them waits for the device.

    A reading is the mean over all processes, which therefore have to read at the same steps.

    Args:
        device: Device of the sums.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.sums: dict[str, Tensor] = {}
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.steps = self.images = 0

    def add(self, losses: Mapping[str, Tensor], right: Tensor, images: int) -> None:
        """Adds one step.

        Args:
            losses: Losses by name, each a scalar () tensor on the device.
            right: () int64, number of images whose label was predicted.
            images: Number of images in the batch.
        """
        for name, loss in losses.items():
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss
        self.right += right
        self.steps += 1
        self.images += images

    def read(self, epoch: int) -> dict[str, float]:
        """Returns the means since the epoch began.

        Raises:
            DivergedError: A mean is not finite; the message names the first one.
        """
        sums = torch.stack([value.double() for value in (*self.sums.values(), self.right)])
        *losses, right = (distributed.total(sums) / distributed.world_size()).tolist()
        means = {f"loss_{k}": loss / self.steps for k, loss in zip(self.sums, losses, strict=True)}
        for name, value in means.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} became {value} in epoch {epoch}, by step {self.steps}: the training"
                    " diverged"
                )
        return {**means, "accuracy": right / self.images}

    def state(self) -> dict[str, Any]:
        """Returns what :meth:`restore` needs, as tensors and plain values."""
        return {
            "sums": self.sums,
            "right": self.right,
            "steps": self.steps,
            "images": self.images,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a :meth:`state`."""
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.right = state["right"].to(self.device)
        self.steps, self.images = state["steps"], state["images"]
