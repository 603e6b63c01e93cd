"""Augmentations as tests need them: the shipped list, with settings by name."""

from typing import Any

import numpy as np

from reid.data.augmentation import AUGMENTATIONS, TrainTransform

SHIPPED = ("flip", "padding", "jitter", "grayscale_patch", "erasing")


def build(
    size: tuple[int, int], names: tuple[str, ...] = SHIPPED, **settings: Any
) -> TrainTransform:
    """A transform with ``settings`` such as ``erasing_prob`` or ``padding``."""
    made = []
    for name in names:
        table = AUGMENTATIONS.settings(name)
        keys = {arg: (name if arg == name else f"{name}_{arg}") for arg in table}
        own = {arg: settings.pop(key) for arg, key in keys.items() if key in settings}
        facts = {"size": size} if name in ("grayscale_patch", "erasing") else {}
        made.append(AUGMENTATIONS[name](**own, **facts))
    assert not settings, settings
    return TrainTransform(size, made)


def one_by_one(transform: TrainTransform, images: list[np.ndarray], rows: list) -> np.ndarray:
    """The reference: each step of each image by itself, by the formula for batches."""
    out = []
    for image, drawn in zip(images, rows, strict=True):
        batch = image[None]
        for augmentation, row in zip(transform.augmentations, drawn, strict=True):
            if row is not None:
                batch = augmentation.apply(batch, np.array([row], np.int32))
        out.append(batch[0])
    return np.stack(out)
