"""A list of augmentations, done to one image, to a batch on the CPU, or to a batch on a GPU.

All three give the same pixels, to the bit. Normalization is not done here but in the model's
first layer, so that an attack's eps and an erased pixel mean the same for every model.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.data.augmentation.base import Augmentation, Row
from reid.data.images import UInt8Image, resize
from reid.utils.errors import ArgumentError

Rows: TypeAlias = list[Row | None]  # for one image: a row of each augmentation; None: not done


class TrainTransform:
    """Resizes an image, and does a list of augmentations to it.

    Args:
        size: (height, width) in pixels.
        augmentations: Augmentations in the order in which they are done.

    Raises:
        ArgumentError: ``size`` is no size.
    """

    def __init__(self, size: tuple[int, int], augmentations: Sequence[Augmentation]) -> None:
        _check_size(size)
        self.size = size
        self.augmentations = tuple(augmentations)
        order = sorted(range(len(augmentations)), key=lambda i: augmentations[i].draw_order)
        self._in_draw_order = [(i, augmentations[i]) for i in order]
        bound = [i for i, augmentation in enumerate(augmentations) if augmentation.on_host_only]
        # On a GPU, the augmentations before this place are done on the host.
        self.host_end = bound[-1] + 1 if bound else 0

    def draw(self, rng: np.random.Generator) -> Rows:
        """Draws what is done to one image: a row of whole numbers for each augmentation, or None.

        A row has the shape (width,), with the ``width`` of its augmentation.

        Args:
            rng: Generator of this image.
        """
        rows: Rows = [None] * len(self.augmentations)
        for index, augmentation in self._in_draw_order:
            rows[index] = augmentation.draw(rng)
        return rows

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8 of one image.

        Args:
            image: The decoded image, of any size.
            rng: Generator of this image.
        """
        out = np.empty((*self.size, 3), np.uint8)
        pixels = np.array(resize(image, self.size))  # PIL's own memory may not be written to
        self.on_cpu([pixels], [self.draw(rng)], out[None])
        return _to_tensor(out)

    def on_cpu(self, images: Iterable[UInt8Image], rows: Sequence[Rows], out: np.ndarray) -> None:
        """Writes augmented images into a batch, with as few copies as possible.

        Args:
            images: B images (H, W, 3) uint8; they are not changed.
            rows: Rows of each image, from :meth:`draw`.
            out: (B, H, W, 3) uint8, contiguous; overwritten.
        """
        scratch = np.empty(out.shape[1:], np.uint8)
        for image, drawn, target in zip(images, rows, out, strict=True):
            _do(_steps(self.augmentations, drawn), image, target, scratch)

    def on_host(self, images: np.ndarray, rows: Sequence[Rows]) -> None:
        """Does, in place, what cannot be done on a device: the augmentations before ``host_end``.

        Args:
            images: (B, H, W, 3) uint8; overwritten.
            rows: Rows of each image, from :meth:`draw`.
        """
        if not self.host_end:
            return
        scratch = np.empty(images.shape[1:], np.uint8)
        for image, drawn in zip(images, rows, strict=True):
            steps = _steps(self.augmentations[: self.host_end], drawn[: self.host_end])
            if steps:
                _do(steps, image.copy(), image, scratch)

    def on_device(self, images: Tensor, table: Tensor, used: Sequence[bool]) -> Tensor:
        """Returns augmented images by tensor operations, wherever the tensors are.

        Args:
            images: (B, H, W, 3) uint8, after :meth:`on_host`.
            table: (B, sum of widths) int32 from :meth:`table`, on the same device.
            used: For each augmentation from ``host_end`` on, whether it changes any image.

        Returns:
            (B, H, W, 3) uint8.
        """
        begin = 0
        for augmentation, needed in zip(self.augmentations[self.host_end :], used, strict=True):
            end = begin + augmentation.width
            if needed:
                images = augmentation.apply(images, table[:, begin:end])
            begin = end
        return images

    def table(self, rows: Sequence[Rows]) -> tuple[Tensor, list[bool]]:
        """Packs what is done to B images, so that one copy takes it to a device.

        Args:
            rows: Rows of each image, from :meth:`draw`.

        Returns:
            (B, sum of widths) int32, and for each augmentation whether any image needs it, both for
            those from ``host_end`` on.
        """
        on_device = self.augmentations[self.host_end :]
        rows = [drawn[self.host_end :] for drawn in rows]
        neutral = [augmentation.neutral for augmentation in on_device]
        packed = [
            [n for row, unused in zip(drawn, neutral, strict=True) for n in (row or unused)]
            for drawn in rows
        ]
        used = [any(drawn[i] is not None for drawn in rows) for i in range(len(neutral))]
        width = sum(augmentation.width for augmentation in on_device)
        return torch.tensor(packed, dtype=torch.int32).reshape(len(rows), width), used


def _steps(
    augmentations: Sequence[Augmentation], drawn: Sequence[Row | None]
) -> list[tuple[Augmentation, Row]]:
    """Returns what is done to one image, with the rows that say how."""
    pairs = zip(augmentations, drawn, strict=True)
    return [(augmentation, row) for augmentation, row in pairs if row is not None]


def _do(
    steps: Sequence[tuple[Augmentation, Row]],
    image: UInt8Image,
    target: UInt8Image,
    scratch: UInt8Image,
) -> None:
    """Does the steps to one image and writes the result to ``target``; the image stays as it is."""
    copies = sum(augmentation.moves for augmentation, _ in steps)
    if not steps or not steps[0][0].moves:
        copies += 1  # a step in place must not write into the image itself
    buffers = (target, scratch)
    current = image
    for augmentation, row in steps:
        if current is image and not augmentation.moves:
            copies -= 1
            buffers[copies % 2][...] = image
            current = buffers[copies % 2]
        if augmentation.moves:
            copies -= 1
            augmentation.on_cpu(current, row, buffers[copies % 2])
            current = buffers[copies % 2]
        else:
            augmentation.on_cpu(current, row, current)
    if current is image:
        target[...] = image


class GPUAugmenter:
    """Copies raw images to a device and augments them there on a stream of its own.

    Args:
        transform: Augmentations that are drawn and done.
        device: Device that augments; on the CPU :meth:`TrainTransform.on_cpu` is faster.
    """

    def __init__(self, transform: TrainTransform, device: torch.device) -> None:
        self.transform = transform
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, images: Tensor, rows: Sequence[Rows]) -> Tensor:
        """Returns (B, H, W, 3) uint8 on the device; the call waits until they are ready.

        Args:
            images: (B, H, W, 3) uint8 on the CPU; pinned, if the device is CUDA. They are changed
                where an augmentation is done on the host.
            rows: Rows of each image, from :meth:`TrainTransform.draw`.
        """
        self.transform.on_host(images.numpy(), rows)
        table, used = self.transform.table(rows)
        if self._stream is None:
            return self.transform.on_device(images, table, used)
        with torch.cuda.stream(self._stream):
            raw = images.to(self.device, non_blocking=True)
            there = table.pin_memory().to(self.device, non_blocking=True)
            out = self.transform.on_device(raw, there, used)
        self._stream.synchronize()  # only the prefetching thread waits
        return out


class TestTransform:
    """Resizes an image and nothing else.

    Args:
        size: (height, width) in pixels.

    Raises:
        ArgumentError: ``size`` is no size.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    def __init__(self, size: tuple[int, int]) -> None:
        _check_size(size)
        self.size = size

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8 of one image.

        Args:
            image: The decoded image, of any size.
            rng: Generator, which is not used.
        """
        return _to_tensor(resize(image, self.size))


def _to_tensor(image: UInt8Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ArgumentError("size", f"must be (height, width) in pixels, got {tuple(size)}")
