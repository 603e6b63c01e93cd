"""A mean that can learn to be nearly the maximum."""

from typing import Annotated

import torch
from torch import Tensor, nn

from reid.modeling.pooling.registry import POOLINGS
from reid.utils.checks import Range, check_range


@POOLINGS.register("gem")
class GeMPool(nn.Module):
    """Generalized mean of each channel: (mean of x^p)^(1/p); p = 1 is the mean.

    Source: Radenovic, Tolias & Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
    arXiv:1711.02512, section 3.2.
    Differs: values below ``eps`` count as ``eps``, as in all implementations: a map before its ReLU
    may be negative.

    Args:
        p: Exponent at the start, more than 0.
        learn: Whether p is trained; all channels have the same p.
        eps: Smallest value that counts, more than 0.

    Raises:
        ArgumentError: p or eps is not more than 0.
    """

    def __init__(
        self,
        p: Annotated[float, Range(0, 100, above=True)] = 3.0,
        learn: bool = True,
        eps: Annotated[float, Range(0, 1, above=True)] = 1e-6,
    ) -> None:
        super().__init__()
        check_range("p", p, 0, above=True)
        check_range("eps", eps, 0, above=True)
        self.eps = eps
        self.p = nn.Parameter(torch.tensor([p]), requires_grad=learn)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) of any floating type to (B, C, 1, 1) float32."""
        with torch.autocast(x.device.type, enabled=False):
            powers = x.float().clamp(min=self.eps) ** self.p
            return powers.mean((2, 3), keepdim=True) ** (1 / self.p)
