"""Adversarial images as files: without loss, or not at all."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.utils.errors import InputError
from reid.utils.logs import make_dir, write_whole

ARRAYS = "images.npz"


def lossless_name(source: str) -> str:
    """Returns the name of an image's file here: that of its source, ending in .png.

    Market's names carry identity and camera, so that the folder loads like the one it came from.
    """
    return Path(source).with_suffix(".png").name


def save_images(
    folder: Path, names: Sequence[str], images: Tensor, as_arrays: bool = False
) -> None:
    """Writes images so that they read back bit by bit.

    Args:
        folder: Made if it is not there.
        names: (N,) file names, each ending in .png.
        images: (N, 3, H, W) uint8.
        as_arrays: One ``images.npz`` with ``names`` and ``images`` instead of N files.

    Raises:
        InputError: A name that asks for a format with loss.
    """
    for name in names:
        if Path(name).suffix.lower() != ".png":
            raise InputError(
                f"{name}: adversarial images are written as .png or as arrays; a JPEG file keeps"
                " little of a perturbation of a few levels"
            )
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(names):
        raise InputError(
            f"{len(names)} names need as many (3, H, W) uint8 images, got {tuple(images.shape)}"
            f" {images.dtype}"
        )
    make_dir(folder)
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    if as_arrays:
        arrays = {"names": np.asarray(names, dtype=np.str_), "images": images.cpu().numpy()}
        write_whole(folder / ARRAYS, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
        return
    for name, image in zip(names, pixels, strict=True):
        write_whole(folder / name, partial(_picture(image).save, format="PNG"))


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))


def load_images(folder: Path) -> tuple[list[str], Tensor]:
    """Reads back what :func:`save_images` wrote: names, sorted if files, and (N, 3, H, W) uint8."""
    if (folder / ARRAYS).exists():
        with np.load(folder / ARRAYS) as file:
            return file["names"].tolist(), torch.from_numpy(file["images"])
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise InputError(f"{folder} holds neither .png files nor {ARRAYS}")
    rows = []
    for name in names:
        with Image.open(folder / name) as image:
            rows.append(torch.from_numpy(np.array(image.convert("RGB"))))
    return names, torch.stack(rows).permute(0, 3, 1, 2).contiguous()
