"""Baselines that a trained model must beat: matching by colour alone, and chance."""

import torch
from torch import Tensor, nn


class ColorHistogram(nn.Module):
    """Describes a person by the colours of six horizontal stripes.

    The joint RGB histogram of each stripe, of ``bins``^3 cells, is divided by its sum, and its
    square root is taken, so that the Euclidean distance of two descriptors is the Hellinger
    distance of the colours. The stripes follow Gray & Tao, "Viewpoint Invariant Pedestrian
    Recognition", ECCV 2008.

    Args:
        stripes: Number of horizontal stripes.
        bins: Cells per colour channel.
    """

    def __init__(self, stripes: int = 6, bins: int = 8) -> None:
        super().__init__()
        self.stripes = stripes
        self.bins = bins

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) in [0, 1] to (B, stripes * bins^3) of unit length."""
        batch, _, height, width = images.shape
        levels = (images * self.bins).long().clamp_(max=self.bins - 1)
        cell = (levels[:, 0] * self.bins + levels[:, 1]) * self.bins + levels[:, 2]  # (B, H, W)
        rows = torch.arange(height, device=images.device) * self.stripes // height
        cell = cell + (rows * self.bins**3)[None, :, None]
        counts = images.new_zeros(batch, self.stripes * self.bins**3)
        counts.scatter_add_(1, cell.flatten(1), images.new_ones(batch, height * width))
        return nn.functional.normalize(counts.sqrt())


class Chance(nn.Module):
    """Random vectors of length 1 from a seeded generator, so that the ranking is random.

    Args:
        seed: Seed of the generator.
        dim: Number of dimensions, D.
    """

    def __init__(self, seed: int, dim: int = 16) -> None:
        super().__init__()
        self.dim = dim
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) to (B, D) of length 1; only B is used."""
        noise = torch.randn(len(images), self.dim, generator=self.generator)
        return nn.functional.normalize(noise).to(images.device)
