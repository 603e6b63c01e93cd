"""Augmentation in pixel space: PIL image in, uint8 tensor out, every draw from the generator given.

Normalization is the model's first layer, so that an attack's eps and an erased pixel mean the same
for every model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.utils.errors import InputError

UInt8Image = np.ndarray  # (H, W, 3) uint8


def _to_tensor(image: UInt8Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def resize(image: Image.Image, size: tuple[int, int]) -> UInt8Image:
    """Resizes to (height, width), bilinear with antialiasing, as PIL does; RGB."""
    height, width = size
    image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def pad_and_crop(image: UInt8Image, padding: int, top: int, left: int) -> UInt8Image:
    """Pads with black on all sides and cuts a window of the old size at (top, left)."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return padded[top : top + height, left : left + width]


def draw_rectangle(
    rng: np.random.Generator,
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[int, int, int, int] | None:
    """Draws (top, left, height, width) of a rectangle inside ``size``, or None after 100 misfits.

    Share of the area ~ U(area), height / width ~ U(aspect): the ratio itself is uniform.
    Source: Zhong et al., "Random Erasing Data Augmentation", arXiv:1708.04896, algorithm 1.
    """
    rows, columns = size
    for _ in range(100):
        target = rng.uniform(*area) * rows * columns
        ratio = rng.uniform(*aspect)
        height, width = round((target * ratio) ** 0.5), round((target / ratio) ** 0.5)
        if height < rows and width < columns:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    return None


class TrainTransform:
    """Resize, flip, pad and crop, random erasing, in this order.

    Args:
        size: (height, width) in pixels.
        flip_prob: Probability of a horizontal flip.
        padding: Pixels of black added on each side before the crop back to ``size``.
        erasing_prob: Probability that one rectangle is overwritten.
        erasing_area: Share of the image, (least, most).
        erasing_aspect: Height / width, (least, most).
        erasing_fill: RGB in [0, 1].

    Raises:
        InputError: If a probability, area or fill is out of range.
    """

    def __init__(
        self,
        size: tuple[int, int],
        flip_prob: float = 0.5,
        padding: int = 10,
        erasing_prob: float = 0.5,
        erasing_area: tuple[float, float] = (0.02, 0.4),
        erasing_aspect: tuple[float, float] = (0.3, 1 / 0.3),
        erasing_fill: Sequence[float] = (0.485, 0.456, 0.406),
    ) -> None:
        _check_size(size)
        for name, prob in (("flip_prob", flip_prob), ("erasing_prob", erasing_prob)):
            if not 0 <= prob <= 1:
                raise InputError(f"{name} must be in [0, 1], got {prob}")
        if padding < 0:
            raise InputError(f"padding must not be negative, got {padding}")
        if not 0 < erasing_area[0] <= erasing_area[1] <= 1:
            raise InputError(f"erasing_area must be 0 < least <= most <= 1, got {erasing_area}")
        if not 0 < erasing_aspect[0] <= erasing_aspect[1]:
            raise InputError(f"erasing_aspect must be 0 < least <= most, got {erasing_aspect}")
        if len(erasing_fill) != 3 or not all(0 <= value <= 1 for value in erasing_fill):
            raise InputError(f"erasing_fill must be three values in [0, 1], got {erasing_fill}")
        self.size, self.flip_prob, self.padding = size, flip_prob, padding
        self.erasing_prob, self.area, self.aspect = erasing_prob, erasing_area, erasing_aspect
        self.fill = np.round(np.asarray(erasing_fill) * 255).astype(np.uint8)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8."""
        pixels = resize(image, self.size)
        if rng.random() < self.flip_prob:
            pixels = pixels[:, ::-1]
        if self.padding:
            top, left = rng.integers(2 * self.padding + 1, size=2).tolist()
            pixels = pad_and_crop(pixels, self.padding, top, left)
        if rng.random() < self.erasing_prob:
            box = draw_rectangle(rng, self.size, self.area, self.aspect)
            if box is not None:
                top, left, height, width = box
                pixels = pixels.copy()
                pixels[top : top + height, left : left + width] = self.fill
        return _to_tensor(pixels)


class TestTransform:
    """Resize only.

    Args:
        size: (height, width) in pixels.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    def __init__(self, size: tuple[int, int]) -> None:
        _check_size(size)
        self.size = size

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8; draws nothing."""
        return _to_tensor(resize(image, self.size))


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"an image size is (height, width) in pixels, got {tuple(size)}")
