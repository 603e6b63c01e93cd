"""Baselines that a trained model must beat: matching by colour alone, and chance."""

import torch
from torch import Tensor, nn

MEAN = 0.45  # of an evened image; with SPREAD it uses most of [0, 1]
SPREAD = 0.2


class ColorHistogram(nn.Module):
    """Describes a person by the colours of six horizontal stripes, as hand-made descriptors do.

    The joint RGB histogram of each stripe, of ``bins``^3 cells, is divided by its sum, and its
    square root is taken, so that the Euclidean distance of two descriptors is the Hellinger
    distance of the colours. The stripes follow Gray & Tao, "Viewpoint Invariant Pedestrian
    Recognition", ECCV 2008. Pixels count by a Gaussian of their distance to the vertical axis, as
    in Farenzena et al., "Person Re-Identification by Symmetry-Driven Accumulation of Local
    Features", CVPR 2010; without it the background decides. Before, the channels of an image are
    brought to one mean (the gray world of Buchsbaum, 1980), and all its values to one spread,
    under the same weights: cameras differ in light and colour cast.

    Args:
        stripes: Number of horizontal stripes.
        bins: Cells per colour channel.
        width: Standard deviation of the Gaussian as a fraction of the image's width; 0 counts all
            pixels alike.
        gray_world: Whether mean and spread are evened out.
    """

    def __init__(
        self, stripes: int = 6, bins: int = 8, width: float = 0.17, gray_world: bool = True
    ) -> None:
        super().__init__()
        self.stripes = stripes
        self.bins = bins
        self.width = width
        self.gray_world = gray_world

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) in [0, 1] to (B, stripes * bins^3) of unit length."""
        batch, _, height, width = images.shape
        weights = self._weights(images)
        if self.gray_world:
            images = _evened(images, weights)
        levels = (images * self.bins).long().clamp_(0, self.bins - 1)
        cell = (levels[:, 0] * self.bins + levels[:, 1]) * self.bins + levels[:, 2]  # (B, H, W)
        rows = torch.arange(height, device=images.device) * self.stripes // height
        cell = cell + (rows * self.bins**3)[None, :, None]
        counts = images.new_zeros(batch, self.stripes * self.bins**3)
        each = weights.expand(batch, height, width).flatten(1)
        counts.scatter_add_(1, cell.flatten(1), each)
        return nn.functional.normalize(counts.sqrt())

    def _weights(self, images: Tensor) -> Tensor:
        """Returns how much a pixel of each column counts, (W,)."""
        columns = images.shape[3]
        if not self.width:
            return images.new_ones(columns)
        away = (torch.arange(columns, device=images.device) + 0.5) / columns - 0.5
        return torch.exp(-0.5 * (away / self.width) ** 2).to(images.dtype)


def _evened(images: Tensor, weights: Tensor) -> Tensor:
    """Returns images (B, 3, H, W) whose channels have one mean, and whose values have one spread.

    Args:
        images: (B, 3, H, W) in [0, 1].
        weights: (W,) how much each column counts.
    """
    share = weights / weights.sum()
    mean = (images * share).sum(3, keepdim=True).mean(2, keepdim=True)
    from_mean = images - mean
    variance = (from_mean**2 * share).sum(3, keepdim=True).mean((1, 2), keepdim=True)
    return MEAN + SPREAD * from_mean / variance.sqrt().clamp_min(1e-3)


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
