"""Strong JPEG compression."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.robustness.corruptions.checks import begin, finish
from reid.robustness.corruptions.registry import CORRUPTIONS

QUALITY = (25, 18, 15, 10, 7)  # in the scale of the JPEG library, 1 to 95


@CORRUPTIONS.register("jpeg")
def jpeg(images: Tensor, severity: int, rngs: Sequence[np.random.Generator]) -> Tensor:
    """Encodes 8-bit images as JPEG and decodes them, on the CPU; returns (B, 3, H, W).

    Colours are stored at half the resolution (4:2:0), as Pillow does by default.

    Source: "jpeg_compression" of ImageNet-C: Hendrycks & Dietterich, ICLR 2019; the same qualities
    and the same library.
    Differs: applied at the network's input size, not at 224 x 224; JPEG's blocks are always
    8 x 8 or 16 x 16 pixels.

    Args:
        images: (B, 3, H, W) in [0, 1].
        severity: 1 to 5.
        rngs: B generators; not used.
    """
    work, quality = begin(images, severity, rngs, QUALITY)
    pixels = (work * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    decoded = np.stack([_round_trip(image, int(quality)) for image in pixels])
    return finish(torch.from_numpy(decoded).permute(0, 3, 1, 2).to(work).contiguous() / 255, images)


def _round_trip(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Maps (H, W, 3) uint8 to the decoded image of the same shape."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file, formats=("JPEG",)) as image:
        return np.asarray(image)
