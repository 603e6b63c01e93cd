"""Saves adversarial images losslessly; a lossy format would destroy the perturbation."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.data.images import read_rgb
from reid.utils.errors import ArgumentError, InputError
from reid.utils.logs import make_dir, write_whole

ARRAYS = "images.npz"


def lossless_name(source: str) -> str:
    """Returns the name of the source file, with the suffix .png.

    Names of Market-1501 hold identity and camera, so the folder loads like the source folder.
    """
    return Path(source).with_suffix(".png").name


def save_images(
    folder: Path, names: Sequence[str], images: Tensor, as_arrays: bool = False
) -> None:
    """Writes images losslessly.

    Args:
        folder: Folder of the files; it is created if it does not exist.
        names: N file names, each ending in .png.
        images: (N, 3, H, W) uint8.
        as_arrays: Whether to write one ``images.npz`` with ``names`` and ``images`` instead of N
            files.

    Raises:
        ArgumentError: A name does not end in .png, or the images do not fit the names.
    """
    for name in names:
        if Path(name).suffix.lower() != ".png":
            raise ArgumentError(
                "names",
                "must end in .png, because a JPEG file keeps little of a perturbation of a few"
                f" levels, got {name}",
            )
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(names):
        raise ArgumentError(
            "images",
            f"must be (N, 3, H, W) uint8 with N = {len(names)} names, got {tuple(images.shape)}"
            f" {images.dtype}",
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
    """Reads what :func:`save_images` wrote: N names, and (N, 3, H, W) uint8 images.

    Names of PNG files are sorted.

    Raises:
        InputError: The folder holds no such files.
    """
    if (folder / ARRAYS).exists():
        with np.load(folder / ARRAYS) as file:
            return file["names"].tolist(), torch.from_numpy(file["images"])
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise InputError(f"{folder} holds neither .png files nor {ARRAYS}")
    rows = [torch.from_numpy(np.array(read_rgb(folder / name))) for name in names]
    return names, torch.stack(rows).permute(0, 3, 1, 2).contiguous()
