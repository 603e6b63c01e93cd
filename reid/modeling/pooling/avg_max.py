"""The mean and the maximum."""

import torch
from torch import Tensor, nn

from reid.modeling.pooling.registry import POOLINGS


@POOLINGS.register("avg_max")
class AvgMaxPool(nn.Module):
    """Adds the mean and the largest value of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) of any floating type to (B, C, 1, 1) float32."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        most = nn.functional.adaptive_max_pool2d(x, 1).to(dtype)
        return x.mean((2, 3), keepdim=True, dtype=dtype) + most
