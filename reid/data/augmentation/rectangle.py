"""Random rectangles in an image."""

from typing import TypeAlias

import numpy as np

Box: TypeAlias = tuple[int, int, int, int]  # top, left, height, width
NO_BOX: Box = (0, 0, 0, 0)
# The same rule as in reid/modeling/regularizers/boxes.py, for one image and numpy's generator.
ATTEMPTS = 100
AREA = (0.02, 0.4)
ASPECT = (0.3, 1 / 0.3)


def draw_rectangle(
    rng: np.random.Generator,
    size: tuple[int, int],
    area: tuple[float, float] = AREA,
    aspect: tuple[float, float] = ASPECT,
) -> Box | None:
    """Draws (top, left, height, width) of a rectangle in an image; None if 100 draws do not fit.

    Source: Zhong et al., "Random Erasing Data Augmentation", arXiv:1708.04896, algorithm 1.

    Args:
        rng: Generator of the numbers.
        size: (height, width) of the image in pixels.
        area: Area / area of the image, uniform in (low, high).
        aspect: Height / width, uniform in (low, high): the ratio itself, not its logarithm.
    """
    rows, columns = size
    for _ in range(ATTEMPTS):
        target = rng.uniform(*area) * rows * columns
        ratio = rng.uniform(*aspect)
        height, width = round((target * ratio) ** 0.5), round((target / ratio) ** 0.5)
        if height < rows and width < columns:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    return None
