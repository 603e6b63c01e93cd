"""The table of heads, and what one is."""

from typing import Protocol

from torch import Tensor, nn

from reid.modeling.output import ReIDOutput
from reid.utils.registry import Registry, Section


class Head(Protocol):
    """What a head offers besides being an ``nn.Module``.

    Arguments of ``__init__`` with a default are config keys: ``MODEL.HEAD.<NAME>.<ARGUMENT>``.
    ``feat_dim`` (P, the length of the pooled feature) and ``num_classes`` (C) without a default are
    filled in.

    Dropout in a head is a :class:`reid.modeling.regularizers.Regularizer`, so that the model seeds
    it.

    Attributes:
        num_classes: C.
        feat_dim: D, the length of the features that it returns; a head without this attribute
            returns features of length P.
    """

    num_classes: int

    def __call__(self, feat: Tensor) -> ReIDOutput:
        """Returns feature (B, D), feature after the neck (B, D) and logits (B, C).

        Args:
            feat: (B, P) pooled feature, float32.
        """


HEADS: Registry[type[nn.Module]] = Registry(
    "head",
    Section("MODEL.HEAD", ("NAME",)),
    base=nn.Module,
    facts=("feat_dim", "num_classes"),
    built={"num_classes": "the number of train identities"},
)
