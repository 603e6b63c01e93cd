"""A pooling: the root of the mean square."""

from torch import Tensor, nn

from reid.modeling import POOLINGS


@POOLINGS.register("rms")
class RMSPool(nn.Module):
    """Takes the root mean square of each channel.

    Args:
        eps: Added below the root, for its gradient at 0.
    """

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) to (B, C, 1, 1) float32."""
        return (x.float().square().mean((2, 3), keepdim=True) + self.eps).sqrt()
