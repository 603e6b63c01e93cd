"""What is exported: the embedding that a test evaluates, with the pixels as bytes in front."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding
from reid.utils.batch import to_unit

INPUT = "pixels"
OUTPUT = "feats"


class PixelModel(nn.Module):
    """Maps (N, H, W, 3) uint8 RGB pixels to the features that retrieval compares, (N, D) float32.

    Height and width are fixed; who uses the file resizes, as Pillow does with BILINEAR.

    Args:
        embedding: What a test evaluates.
        size: (height, width) in pixels.
    """

    def __init__(self, embedding: Embedding, size: tuple[int, int]) -> None:
        super().__init__()
        self.embedding = embedding
        self.size = size
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, D)."""
        feats: Tensor = self.embedding(to_unit(pixels.permute(0, 3, 1, 2)))
        return feats

    def random(self, count: int, seed: int = 0) -> Tensor:
        """Returns so many images of noise, (N, H, W, 3) uint8.

        Args:
            count: N.
            seed: Of the noise.
        """
        dice = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, *self.size, 3), dtype=torch.uint8, generator=dice)


class FromUnit(nn.Module):
    """Lets a model of bytes stand where one of pixels in [0, 1] is evaluated.

    Args:
        features: Maps (N, H, W, 3) uint8 to (N, D).
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, H, W) multiples of 1/255 to (N, D)."""
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        feats: Tensor = self.features(pixels)
        return feats


def largest_difference(one: nn.Module, other: nn.Module, batches: Iterable[Tensor]) -> float:
    """Returns the largest difference of two models' features; infinite if one is not finite.

    Args:
        one: Maps (N, H, W, 3) uint8 to (N, D).
        other: The same.
        batches: The images.
    """
    largest = 0.0
    with torch.inference_mode():
        for pixels in batches:
            difference = (one(pixels).double() - other(pixels).double()).abs().max()
            largest = max(largest, float(difference) if np.isfinite(float(difference)) else np.inf)
    return largest
