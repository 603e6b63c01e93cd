"""Circle loss on class weights."""

import torch
from torch import Tensor

from reid.losses.circle import circle_logits
from reid.losses.margin_softmax import MarginSoftmax
from reid.losses.registry import LOSSES
from reid.utils.checks import DropRate, Probability, Scale, check_probability


@LOSSES.register("circle_softmax")
class CircleSoftmax(MarginSoftmax):
    """Circle loss with class labels: each cosine to a class is pulled at a pace of its own.

    Source: Sun et al., "Circle Loss", CVPR 2020, equation 6 with the one positive of class-level
    labels, which is a cross entropy. Scale 64 and margin 0.35 are those of fast-reid's SBS, which
    smooths the labels by 0.1; the paper has scale 256 and margin 0.25 for faces.
    What the loss reads, and its statistics: :class:`reid.losses.margin_softmax.MarginSoftmax`.

    Args:
        num_classes: Number C of classes.
        feat_dim: Length D of the feature.
        scale: Factor gamma of the logits.
        margin: Relaxation m, in units of cosine similarity.
        label_smoothing: Fraction of the target that is spread over all classes, in [0, 1).

    Raises:
        ArgumentError: A number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        feat_dim: int,
        scale: Scale = 64.0,
        margin: Probability = 0.35,
        label_smoothing: DropRate = 0.0,
    ) -> None:
        super().__init__(num_classes, feat_dim, scale, label_smoothing)
        check_probability("margin", margin)
        self.margin = margin

    def harden(self, cos: Tensor, own: Tensor) -> Tensor:
        """Returns the weighted distances (B, C) of the cosines from what they should be.

        Args:
            cos: (B, C).
            own: (B, C) bool.
        """
        of_own, of_others = circle_logits(cos, self.margin)
        return torch.where(own, of_own, of_others)
