"""Boxes in a frame become crops."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from reid.data.images import as_rgb, read_rgb
from reid.utils.errors import ArgumentError


def crops(frame: Any, boxes: np.ndarray | Tensor | Sequence[Sequence[float]]) -> list[Any]:
    """Cuts boxes out of a frame, each as an image of its own.

    A box begins at the pixel that holds its left upper corner and ends with the one that holds its
    right lower corner; what lies outside of the frame is cut off.

    Args:
        frame: A path, a PIL image, an array (H, W, 3) or a tensor (3, H, W).
        boxes: (N, 4) left, top, right, bottom in pixels, as detectors give them (xyxy); N may be 0.

    Raises:
        ArgumentError: The boxes are not (N, 4) finite numbers, or one holds no pixel of the frame.
        InputError: The frame is no image.
    """
    corners = _corners(boxes)
    whole = _opened(frame)
    first = isinstance(whole, Tensor)
    height, width = whole.shape[1:] if first else whole.shape[:2]
    found = []
    for number, (left, top, right, bottom) in enumerate(corners):
        x = slice(max(math.floor(left), 0), min(math.ceil(right), width))
        y = slice(max(math.floor(top), 0), min(math.ceil(bottom), height))
        if x.start >= x.stop or y.start >= y.stop:
            raise ArgumentError(
                "boxes",
                f"has no pixel of the frame ({width} x {height}) in box {number},"
                f" ({left:g}, {top:g}, {right:g}, {bottom:g}); a box is left, top, right, bottom",
            )
        found.append(whole[:, y, x] if first else whole[y, x])
    return found


def _corners(boxes: np.ndarray | Tensor | Sequence[Sequence[float]]) -> list[list[float]]:
    values = boxes.detach().cpu().numpy() if isinstance(boxes, Tensor) else boxes
    try:
        corners = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError("boxes", "must be (N, 4) numbers") from error
    if corners.size == 0:
        return []
    if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
        raise ArgumentError("boxes", f"must be (N, 4) finite numbers, got {corners.shape}")
    return [list(map(float, row)) for row in corners]


def _opened(frame: Any) -> Any:
    """Returns the frame as an array (H, W, 3) or a tensor (3, H, W)."""
    if isinstance(frame, str | os.PathLike):
        return np.asarray(read_rgb(Path(frame)))
    if isinstance(frame, Image.Image):
        return np.asarray(as_rgb(frame))
    if isinstance(frame, np.ndarray | Tensor) and frame.ndim == 3:
        return frame
    raise ArgumentError("boxes", "goes with one frame: a path, a PIL image, an array or a tensor")
