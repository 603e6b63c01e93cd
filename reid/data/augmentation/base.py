"""What an augmentation is: what is drawn for an image, and what is done to it."""

from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias

import numpy as np

from reid.data.augmentation.arrays import Pixels
from reid.data.images import UInt8Image

Row: TypeAlias = tuple[int, ...]  # what is done to one image, in whole numbers


class Augmentation(ABC):
    """Draws what is done to one image, and does it to a batch, on the CPU and on the GPU.

    Drawing and doing are two methods, so that an image alone, a batch on the CPU and a batch on the
    GPU get the same numbers and become the same pixels, to the bit. Whole numbers ensure this:
    their sums and products are the same in numpy, in torch and on every device.

    Arguments of ``__init__`` with a default are config keys: ``INPUT.<NAME>_<ARGUMENT>``. An
    argument ``size`` without a default gets (height, width) of the images in pixels.

    Attributes:
        width: Number of whole numbers in a row.
        neutral: The row that leaves an image as it is.
        moves: Whether :meth:`on_cpu` reads pixels elsewhere than it writes them, so that image and
            result must be two arrays.
        on_host_only: Whether the pixels are made on the host, an image at a time, by a library that
            knows no batches and no GPU. :meth:`apply` then gets arrays and tensors of the CPU only.
            Where a batch is augmented on a GPU, the augmentations of the list up to the last such
            one are done on the host, before the batch is copied.
        draw_order: Augmentations draw from an image's generator in this order, and by their
            position in the list where it is equal. So an augmentation that is added, or moved in
            the list, does not change the numbers that those of a lower order draw.
    """

    width: ClassVar[int]
    neutral: Row
    moves: ClassVar[bool] = False
    on_host_only: ClassVar[bool] = False
    draw_order: ClassVar[int] = 100

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws what is done to one image; None leaves it as it is.

        Args:
            rng: Generator of this image.
        """

    @abstractmethod
    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Returns the augmented images; the images that come in are not changed.

        It uses operators that numpy arrays and tensors have in common;
        :mod:`reid.data.augmentation.arrays` has those that differ in spelling.

        Args:
            images: (B, H, W, 3) uint8, numpy or torch, on any device.
            rows: (B, width) int32 of the same kind and device: a row for each image, ``neutral``
                for one that stays as it is.

        Returns:
            (B, H, W, 3) uint8.
        """

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Does the same to one image; may be overridden by something faster with the same result.

        Args:
            image: (H, W, 3) uint8; changed only where it is ``out``.
            row: Row of the image, from :meth:`draw`.
            out: (H, W, 3) uint8, overwritten. It is ``image`` itself unless the class ``moves``.
        """
        out[...] = self.apply(image[None], np.array([row], np.int32))[0]
