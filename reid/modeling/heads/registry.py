"""The table of heads, and what one is."""

from typing import Protocol

from torch import Tensor, nn

from reid.modeling.output import ReIDOutput
from reid.utils.registry import Registry, Section


class Head(Protocol):
    """What a head offers besides being an ``nn.Module``.

    Arguments of ``__init__`` with a default are config keys: ``MODEL.HEAD.<NAME>.<ARGUMENT>``.
    ``feat_dim`` (D) and ``num_classes`` (C) without a default are filled in.

    Attributes:
        num_classes: C.
    """

    num_classes: int

    def __call__(self, feat: Tensor) -> ReIDOutput:
        """Returns feature, feature after the neck and logits.

        Args:
            feat: (B, D) pooled feature, float32.
        """


HEADS: Registry[type[nn.Module]] = Registry(
    "head",
    Section("MODEL.HEAD", ("NAME",)),
    base=nn.Module,
    facts=("feat_dim", "num_classes"),
    built={"num_classes": "the number of train identities"},
)
