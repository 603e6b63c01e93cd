"""A margin on the cosine to the own class."""

from typing import Annotated

from torch import Tensor

from reid.losses.margin_softmax import MarginSoftmax
from reid.losses.registry import LOSSES
from reid.utils.checks import DropRate, Range, Scale, check_range


@LOSSES.register("cosface")
class CosFace(MarginSoftmax):
    """CosFace: the cosine to the own class is taken as smaller by a margin.

    Source: Wang et al., "CosFace", CVPR 2018, equation 4, with its scale 64 and margin 0.35.
    What the loss reads, and its statistics: :class:`reid.losses.margin_softmax.MarginSoftmax`.

    Args:
        num_classes: Number C of classes.
        feat_dim: Length D of the feature.
        scale: Factor of the cosines before the softmax.
        margin: What is subtracted from the cosine.
        label_smoothing: Fraction of the target that is spread over all classes, in [0, 1).

    Raises:
        ArgumentError: A number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        feat_dim: int,
        scale: Scale = 64.0,
        margin: Annotated[float, Range(0, 2)] = 0.35,
        label_smoothing: DropRate = 0.0,
    ) -> None:
        super().__init__(num_classes, feat_dim, scale, label_smoothing)
        check_range("margin", margin, 0, 2)
        self.margin = margin

    def harden(self, cos: Tensor, own: Tensor) -> Tensor:
        """Returns cosines (B, C), that of the own class with its margin.

        Args:
            cos: (B, C).
            own: (B, C) bool.
        """
        return cos - self.margin * own
