"""RandAugment: some operations at random, all of one strength."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.base import Row
from reid.data.augmentation.operations import COMMON, NAMES, PolicyAugmentation, Space, signed
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.utils.checks import Probability, Range, check_count, check_range

MOST_OPERATIONS = 8


@AUGMENTATIONS.register("randaugment")
class RandAugment(PolicyAugmentation):
    """Does ``num_ops`` of 14 operations (one of them: nothing), each drawn anew.

    It works on the host, see :attr:`Augmentation.on_host_only`. The pixels are those of
    torchvision's RandAugment with 31 levels, on PIL images.

    Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search
    space", arXiv:1909.13719.

    Args:
        prob: Probability that an image is changed.
        num_ops: Number N of operations, from 1 to 8.
        magnitude: Strength M of all operations, from 0 to 30.
        fill: Colour of pixels from outside the image, RGB in [0, 1].

    Raises:
        ArgumentError: A value is outside its range: ``prob`` and ``fill`` have [0, 1].
    """

    pairs = MOST_OPERATIONS

    def __init__(
        self,
        prob: Probability = 0.5,
        num_ops: Annotated[int, Range(1, MOST_OPERATIONS)] = 2,
        magnitude: Annotated[int, Range(0, 30)] = 9,
        fill: Annotated[tuple[float, float, float], Range(0, 1)] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(prob, fill, Space(levels=31))
        for name, value in (("num_ops", num_ops), ("magnitude", magnitude)):
            check_count(name, value, least=0)
        check_range("num_ops", num_ops, 1, MOST_OPERATIONS)
        check_range("magnitude", magnitude, 0, 30)
        self.num_ops = num_ops
        self.magnitude = magnitude

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws the operations, and the direction of each that has two."""
        if rng.random() >= self.prob:
            return None
        names = [COMMON[rng.integers(len(COMMON))] for _ in range(self.num_ops)]
        return self.padded([(NAMES.index(n), signed(rng, n, self.magnitude)) for n in names])
