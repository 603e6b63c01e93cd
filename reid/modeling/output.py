"""What a head hands to the losses and to the evaluator."""

from typing import NamedTuple

from torch import Tensor


class ReIDOutput(NamedTuple):
    """One forward pass; the same fields in training and in evaluation.

    Attributes:
        feat: (B, D) pooled feature before the neck; triplet and center loss read it.
        feat_bn: (B, D) feature after the neck; retrieval reads it.
        logits: (B, C) class scores before the softmax.
    """

    feat: Tensor
    feat_bn: Tensor
    logits: Tensor
