"""What a head hands to the losses and to the evaluator."""

from typing import NamedTuple

from torch import Tensor


class ReIDOutput(NamedTuple):
    """One forward pass; the same fields in training and in evaluation.

    Attributes:
        feat: (B, D) feature before the neck, the pooled one or the embedding that the head makes of
            it; losses on pairs and the center loss read it. Retrieval compares it with
            TEST.NECK_FEAT before.
        feat_bn: (B, D) feature after the neck; losses with class weights of their own read it.
            Retrieval compares it with TEST.NECK_FEAT after.
        logits: (B, C) class scores before the softmax.
    """

    feat: Tensor
    feat_bn: Tensor
    logits: Tensor
