"""The weighted sum of losses, each fed with what it consumes."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from reid.losses.registry import SOURCES
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError, InputError, suggest


class Output(Protocol):
    """The part of a model's output that losses read."""

    @property
    def feat(self) -> Tensor:
        """(B, D), before the neck."""

    @property
    def feat_bn(self) -> Tensor:
        """(B, D), after the neck."""

    @property
    def logits(self) -> Tensor:
        """(B, C), before the softmax."""


class Criterion(nn.Module):
    """Adds up losses.

    Args:
        losses: Losses by name. Each has ``consumes``, "feat", "feat_bn" or "logits", and maps
            (x, labels) to a scalar.
        weights: Factor of each loss, finite and not negative, in the same order.
        neck_feat: What losses that consume "feat" are given: the feature "before" the neck, or the
            one "after" it, ``feat_bn``.

    Raises:
        ArgumentError: There is no loss, a loss is named "total" or consumes something else; the
            number of weights differs, or a weight is negative or not finite, or all are 0;
            ``neck_feat`` is another word.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        weights: Sequence[float],
        neck_feat: str = "before",
    ) -> None:
        super().__init__()
        if not losses:
            raise ArgumentError("losses", "must have at least one loss, got none")
        if len(losses) != len(weights):
            raise ArgumentError(
                "weights",
                f"must have one number for each of the {len(losses)} losses"
                f" ({', '.join(losses)}), got {len(weights)}",
            )
        for name, weight in zip(losses, weights, strict=True):
            if not (math.isfinite(weight) and weight >= 0):
                raise ArgumentError(
                    "weights", f"must be finite and at least 0, got {weight} for loss '{name}'"
                )
        if not any(weights):
            raise ArgumentError("weights", f"must not all be 0, got {tuple(weights)}")
        self.weights = tuple(weights)
        check_choice("neck_feat", neck_feat, ("before", "after"))
        self.consumes = {name: _source(name, loss) for name, loss in losses.items()}
        if neck_feat == "after":
            behind = {"feat": "feat_bn"}
            self.consumes = {name: behind.get(s, s) for name, s in self.consumes.items()}
        self.losses = nn.ModuleDict(losses)

    def forward(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """Returns every loss unweighted and detached, and ``total``, the weighted sum.

        Args:
            output: The model's, with ``feat`` and ``feat_bn`` (B, D) and ``logits`` (B, C).
            labels: (B,) int64.
        """
        values = {
            name: loss(getattr(output, self.consumes[name]), labels)
            for name, loss in self.losses.items()
        }
        terms = [w * value for w, value in zip(self.weights, values.values(), strict=True)]
        detached = {name: value.detach() for name, value in values.items()}
        return {**detached, "total": sum(terms[1:], terms[0])}

    def statistics(self) -> dict[str, Tensor]:
        """Returns what the losses reported beside their values in the last forward pass.

        Returns:
            Scalar () tensors without gradient, as ``<loss>_<name>``.

        Raises:
            InputError: A loss reported something else than scalar tensors.
        """
        found: dict[str, Tensor] = {}
        for name, loss in self.losses.items():
            for key, value in getattr(loss, "statistics", {}).items():
                if not isinstance(value, Tensor) or value.dim():
                    raise InputError(
                        f"statistics of loss '{name}' must be scalar tensors, with shape ();"
                        f" '{key}' is none"
                    )
                found[f"{name}_{key}"] = value.detach()
        return found


def _source(name: str, loss: nn.Module) -> str:
    source = getattr(loss, "consumes", None)
    if source not in SOURCES:
        mend = suggest(str(source), SOURCES) or "."
        raise ArgumentError(
            "losses",
            f"must consume a known part of the output, got '{source}' of loss '{name}'{mend}"
            f" Known: {', '.join(SOURCES)}",
        )
    if name == "total":
        raise ArgumentError("losses", "must not be named 'total', which is the name of the sum")
    return str(source)
