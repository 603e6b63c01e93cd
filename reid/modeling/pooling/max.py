"""The maximum."""

from torch import Tensor, nn

from reid.modeling.pooling.registry import POOLINGS


@POOLINGS.register("max")
class MaxPool(nn.Module):
    """Takes the largest value of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) of any floating type to (B, C, 1, 1) float32."""
        return nn.functional.adaptive_max_pool2d(x, 1).float()
