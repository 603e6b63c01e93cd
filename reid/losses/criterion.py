"""The weighted sum of losses, each fed with what it consumes."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from reid.losses.registry import SOURCES
from reid.utils.errors import InputError, unknown


class Output(Protocol):
    """The part of a model's output that losses read."""

    @property
    def feat(self) -> Tensor:
        """(B, D), before the neck."""

    @property
    def logits(self) -> Tensor:
        """(B, C), before the softmax."""


class Criterion(nn.Module):
    """Adds up losses.

    Args:
        losses: By name; a loss has ``consumes``, "logits" or "feat", and maps (x, labels) to a
            scalar.
        weights: One factor per loss, in the same order.

    Raises:
        InputError: No loss, another number of weights, a weight that is negative or not finite.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if not losses or len(losses) != len(weights):
            raise InputError(
                f"every loss needs one weight: {len(losses)} losses ({', '.join(losses)}), "
                f"{len(weights)} weights"
            )
        for name, weight in zip(losses, weights, strict=True):
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"the weight of loss '{name}' is finite and >= 0, not {weight}")
        self.weights = tuple(weights)
        self.consumes = {name: _source(name, loss) for name, loss in losses.items()}
        self.losses = nn.ModuleDict(losses)

    def forward(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """Returns every loss unweighted and detached, and ``total``, the weighted sum.

        Args:
            output: The model's, with ``feat`` (B, D) and ``logits`` (B, C).
            labels: (B,) int64.
        """
        values = {
            name: loss(getattr(output, self.consumes[name]), labels)
            for name, loss in self.losses.items()
        }
        terms = [w * value for w, value in zip(self.weights, values.values(), strict=True)]
        detached = {name: value.detach() for name, value in values.items()}
        return {**detached, "total": sum(terms[1:], terms[0])}


def _source(name: str, loss: nn.Module) -> str:
    source = getattr(loss, "consumes", None)
    if source not in SOURCES:
        raise unknown(f"input ('consumes') of loss '{name}'", str(source), SOURCES)
    if name == "total":
        raise InputError("a loss cannot be named 'total'; that is the name of the sum")
    return str(source)
