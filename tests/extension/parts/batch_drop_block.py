"""Batch DropBlock (Dai et al., arXiv:1811.07130): one stripe of the whole batch is zeroed."""

import torch
from torch import Tensor

from reid.modeling.regularizers import REGULARIZERS, Regularizer
from reid.utils.checks import check_range


@REGULARIZERS.register("batch_drop_block")
class BatchDropBlock(Regularizer):
    """Zeroes one stripe of full width in all samples and channels.

    Args:
        height: Of the stripe / height of the map.
    """

    spatial = True

    def __init__(self, height: float = 0.33) -> None:
        super().__init__()
        check_range("height", height, 0, 1, above=True)
        self.height = height

    def forward(self, x: Tensor) -> Tensor:
        """Masks x, (B, C, H, W), in training."""
        if not self.training:
            return x
        rows = max(1, round(self.height * x.shape[2]))
        generator = self.rng.on(torch.device("cpu"))
        top = int(torch.randint(x.shape[2] - rows + 1, (), generator=generator))
        index = torch.arange(x.shape[2], device=x.device)
        kept = (index < top) | (index >= top + rows)
        return x * kept[:, None].to(x.dtype)
