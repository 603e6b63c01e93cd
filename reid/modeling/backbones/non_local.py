"""Attention between all places of a map."""

import torch
from torch import Tensor, nn


class NonLocal(nn.Module):
    """Adds to each place of a map a sum over all places, weighted by how well the two agree.

    With the 1x1 convolutions theta, phi and g, the sum at place i of N places is
    ``1 / N * sum_j (theta(x_i) . phi(x_j)) g(x_j)``; a 1x1 convolution W and a batch normalization
    map it back, and x is added. The normalization begins at weight and shift 0, so a fresh block
    changes nothing.

    Source: Wang et al., "Non-local Neural Networks", CVPR 2018, arXiv:1711.07971, section 3.2, dot
    product. The names are those of fast-reid and of AGW.

    Args:
        channels: Channels C of the map.
        inner: Channels of theta, phi and g. The codes of fast-reid and AGW have 1; the paper says
            C / 2.
    """

    def __init__(self, channels: int, inner: int = 1) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, inner, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), norm)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with the sums added.

        Args:
            x: (B, C, H, W) floating point.
        """
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
        # The sum over places first: inner x inner numbers in place of N x N, and the same result.
        summed = torch.matmul(g, phi.transpose(1, 2)) / phi.shape[2]
        attended = torch.matmul(summed, theta).unflatten(2, x.shape[2:])
        return x + self.W(attended)
