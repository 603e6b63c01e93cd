"""Augmentation of a whole batch by tensor operations, for a batch that is on the GPU."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.data.augment import NEUTRAL, Augmentation
from reid.data.pixels import jitter, luma


class DeviceAugmenter:
    """Takes raw images to a device and augments them there, beside the work of other streams.

    Args:
        device: Where to; the CPU does it too, slower than :func:`reid.data.host.fill_batch`.
        padding: Pixels of black on each side before the crop.
        fill: (3,) uint8 of the erased rectangle.
    """

    def __init__(self, device: torch.device, padding: int, fill: np.ndarray) -> None:
        self.device, self.padding = device, padding
        self.fill = torch.from_numpy(fill).to(device)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, images: Tensor, todo: Sequence[Augmentation]) -> Tensor:
        """Returns (B, H, W, 3) uint8 on the device, finished.

        Args:
            images: (B, H, W, 3) uint8; pinned, if the device is CUDA.
            todo: What to do to each.
        """
        table = to_table(todo)
        if self._stream is None:
            return augment_batch(images, table, self.padding, self.fill, is_recolored(todo))
        with torch.cuda.stream(self._stream):
            raw = images.to(self.device, non_blocking=True)
            there = table.pin_memory().to(self.device, non_blocking=True)
            out = augment_batch(raw, there, self.padding, self.fill, is_recolored(todo))
        self._stream.synchronize()  # only the thread that works ahead waits
        return out


def to_table(todo: Sequence[Augmentation]) -> Tensor:
    """Packs B augmentations into (B, 14) int32, so that one copy takes them to the device."""
    rows = [(t.flip, t.top, t.left, *t.erase, *t.factors, *t.patch) for t in todo]
    return torch.tensor(rows, dtype=torch.int32)


def augment_batch(
    images: Tensor, table: Tensor, padding: int, fill: Tensor, recolored: bool
) -> Tensor:
    """Does what :func:`reid.data.pixels.apply` says, to the bit, to all images at once.

    Args:
        images: (B, H, W, 3) uint8.
        table: (B, 14) int32 from :func:`to_table`, on the same device.
        padding: Pixels of black on each side before the crop.
        fill: (3,) uint8 on the same device.
        recolored: Whether any image has a jitter or a patch; False saves the passes.

    Returns:
        (B, H, W, 3) uint8.
    """
    flip, top, left = table[:, 0], table[:, 1], table[:, 2]
    out = _windows(images, flip, top - padding, left - padding)
    if recolored:
        factors = (table[:, i, None, None, None] for i in (7, 8, 9))
        wide = jitter(out.int(), *factors)
        gray = _inside(out, table[:, 10:14])
        out = torch.where(gray, luma(wide)[..., None], wide).to(torch.uint8)
    return torch.where(_inside(out, table[:, 3:7]), fill, out)


def is_recolored(todo: Sequence[Augmentation]) -> bool:
    """Says whether any image has a jitter or a patch."""
    return any(t.factors != NEUTRAL or any(t.patch) for t in todo)


def _windows(images: Tensor, flip: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Flips, then cuts each image's window; black where it leaves the image."""
    count, height, width = images.shape[:3]
    rows = torch.arange(height, device=images.device) + down[:, None]
    columns = torch.arange(width, device=images.device) + right[:, None]
    in_rows = (rows >= 0) & (rows < height)
    in_columns = (columns >= 0) & (columns < width)
    columns = torch.where(flip[:, None] > 0, width - 1 - columns, columns)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    each = torch.arange(count, device=images.device)[:, None, None]
    out = images[each, rows[:, :, None], columns[:, None, :]]
    out *= (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
    return out


def _inside(images: Tensor, box: Tensor) -> Tensor:
    """Returns (B, H, W, 1) bool: which pixels lie in the image's (top, left, height, width)."""
    top, left, height, width = (box[:, i, None] for i in range(4))
    rows = torch.arange(images.shape[1], device=images.device)
    columns = torch.arange(images.shape[2], device=images.device)
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    return (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
