"""Dropout of whole channels."""

from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.dropout import keep_scale
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import DropRate, check_probability


@REGULARIZERS.register("spatial_dropout")
class SpatialDropout(Regularizer):
    """Zeroes whole channels of a sample with probability ``p`` and divides the others by 1 - p.

    Source: Tompson et al., "Efficient Object Localization Using Convolutional Networks",
    arXiv:1411.4280, section 3.2.

    Args:
        p: Probability of dropping a channel.

    Raises:
        ArgumentError: The probability is outside [0, 1].
    """

    # It is also defined on the pooled feature, where it equals dropout of single elements.
    spatial = False

    def __init__(self, p: DropRate = 0.5) -> None:
        super().__init__()
        check_probability("p", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drops out channels of x, (B, C, H, W), in training."""
        if not self.training or self.p == 0:
            return x
        scale: Tensor = keep_scale(x.new_empty(*x.shape[:2], 1, 1), self.p, self.rng)
        return x * scale
