"""What classification losses with class weights of their own share."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.losses.registry import Loss
from reid.utils.checks import Range, check_range
from reid.utils.errors import ArgumentError


class MarginSoftmax(Loss):
    """Cross entropy over scaled cosines to one weight vector a class, harder for the own class.

    It reads the feature after the neck and has the weights that a classifier would have, so it
    takes the place of ``ce``: the classifier of the head then learns nothing. A subclass says how
    the cosines become harder (:meth:`harden`).

    Statistics: ``accuracy``, the share of images whose highest cosine, without margin, is that of
    their class; ``positive``, the mean cosine to the own class; ``negative``, the mean of the
    highest cosine to another class.

    Args:
        num_classes: Number C of classes.
        feat_dim: Length D of the feature.
        scale: Factor of the cosines before the softmax.
        label_smoothing: Fraction of the target that is spread over all classes, in [0, 1).

    Raises:
        ArgumentError: The scale is not positive, or the fraction outside its range.
    """

    consumes = "feat_bn"

    def __init__(
        self, num_classes: int, feat_dim: int, scale: float, label_smoothing: float
    ) -> None:
        super().__init__()
        check_range("scale", scale, 0, above=True)
        allowed = Range(0, 1, below=True)
        if label_smoothing not in allowed:
            raise ArgumentError("label_smoothing", f"must be {allowed}, got {label_smoothing}")
        self.scale = scale
        self.label_smoothing = label_smoothing
        self.weight = nn.Parameter(torch.empty(num_classes, feat_dim))
        nn.init.normal_(self.weight, std=0.01)  # as fast-reid's; only its direction counts at first

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch, a float32 scalar.

        Args:
            feat: (B, D), after the neck, also half precision.
            labels: (B,) int64, 0..C - 1.
        """
        with torch.autocast(feat.device.type, enabled=False):
            cos = F.normalize(feat.float()) @ F.normalize(self.weight).T
            own = F.one_hot(labels, len(self.weight)).bool()
            logits = self.scale * self.harden(cos, own)
        self.statistics = _describe(cos.detach(), own, labels)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    @abstractmethod
    def harden(self, cos: Tensor, own: Tensor) -> Tensor:
        """Returns the logits (B, C), not yet scaled.

        Args:
            cos: (B, C) cosines to the class weights.
            own: (B, C) bool, True at the class of each image.
        """


def _describe(cos: Tensor, own: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Returns the statistics of cosines (B, C)."""
    others = torch.where(own, -1.0, cos)  # -1 where there is no other class
    return {
        "accuracy": (cos.argmax(1) == labels).float().mean(),
        "positive": torch.where(own, cos, 0).sum(1).mean(),
        "negative": others.amax(1).mean(),
    }
