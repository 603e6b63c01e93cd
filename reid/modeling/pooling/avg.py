"""The mean."""

import torch
from torch import Tensor, nn

from reid.modeling.pooling.registry import POOLINGS


@POOLINGS.register("avg")
class AvgPool(nn.Module):
    """Takes the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) of any floating type to (B, C, 1, 1) float32."""
        return x.mean((2, 3), keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
