"""A margin on the angle to the own class."""

import math
from typing import Annotated

import torch
from torch import Tensor

from reid.losses.margin_softmax import MarginSoftmax
from reid.losses.registry import LOSSES
from reid.utils.checks import DropRate, Range, Scale, check_range

# Smallest squared sine. The cosine is rounded to about this; at 0 the root has no gradient.
_LEAST = 1e-7


@LOSSES.register("arcface")
class ArcFace(MarginSoftmax):
    """ArcFace: the angle to the own class is taken as larger by a margin.

    Source: Deng et al., "ArcFace", CVPR 2019, equation 3, with its scale 64 and margin 0.5. Where
    the angle would pass pi, cos(angle) - margin sin(margin) is taken, so that the loss stays
    monotonic: as in the authors' code and pytorch-metric-learning, and not in fast-reid.
    What the loss reads, and its statistics: :class:`reid.losses.margin_softmax.MarginSoftmax`.

    Args:
        num_classes: Number C of classes.
        feat_dim: Length D of the feature.
        scale: Factor of the cosines before the softmax.
        margin: What is added to the angle, in radians.
        label_smoothing: Fraction of the target that is spread over all classes, in [0, 1).

    Raises:
        ArgumentError: A number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        feat_dim: int,
        scale: Scale = 64.0,
        margin: Annotated[float, Range(0, 1.5)] = 0.5,
        label_smoothing: DropRate = 0.0,
    ) -> None:
        super().__init__(num_classes, feat_dim, scale, label_smoothing)
        check_range("margin", margin, 0, 1.5)
        self.margin = margin

    def harden(self, cos: Tensor, own: Tensor) -> Tensor:
        """Returns cosines (B, C), that of the own class with its margin.

        Args:
            cos: (B, C).
            own: (B, C) bool.
        """
        sin = (1 - cos.square()).clamp(min=_LEAST).sqrt()
        farther = cos * math.cos(self.margin) - sin * math.sin(self.margin)
        passed = cos < -math.cos(self.margin)  # the angle is larger than pi - margin
        beyond = cos - self.margin * math.sin(self.margin)
        return torch.where(own, torch.where(passed, beyond, farther), cos)
