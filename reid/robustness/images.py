"""Saves adversarial images losslessly; a lossy format would destroy the perturbation."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.data.images import read_rgb
from reid.utils.arrays import read_arrays
from reid.utils.errors import ArgumentError, InputError
from reid.utils.logs import make_dir, write_whole

ARRAYS = "images.npz"


def lossless_name(source: str) -> str:
    """Returns the name of the source file, with the suffix .png.

    Names of Market-1501 hold identity and camera, so the folder loads like the source folder.
    """
    return Path(source).with_suffix(".png").name


def lossless_names(sources: Sequence[Path]) -> list[str]:
    """Returns a name for each source, as :func:`lossless_name`, and no name twice.

    Where two would be equal (also if only letter case differs: some disks take them for one), the
    names keep the old suffix (a.jpg.png), and get a number if that is not enough (a.jpg_1.png).
    They still begin with identity and camera.

    Args:
        sources: Paths of the source files.
    """
    plain = [lossless_name(path.name) for path in sources]
    often = Counter(name.casefold() for name in plain)
    pairs = zip(sources, plain, strict=True)
    return distinct(
        [name if often[name.casefold()] == 1 else f"{path.name}.png" for path, name in pairs],
        ".png",
    )


def distinct(names: Sequence[str], ending: str = "") -> list[str]:
    """Returns the names, with a number behind each one that is there more than once.

    Args:
        names: Names of files or folders; letter case does not tell two of them apart.
        ending: Ending of all names, which stays behind the number.
    """
    often = Counter(name.casefold() for name in names)
    taken = set(often)
    last: Counter[str] = Counter()
    found = []
    for name in names:
        key = new = name.casefold()
        while often[key] > 1 and new in taken:
            last[key] += 1
            new = f"{key.removesuffix(ending)}_{last[key]}{ending}"
        taken.add(new)
        number = f"_{last[key]}" if often[key] > 1 else ""
        found.append(f"{name.removesuffix(ending)}{number}{ending}")
    return found


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
        InputError: The folder holds no such files, or they are damaged or of different sizes.
    """
    if (folder / ARRAYS).exists():
        return _from_arrays(folder / ARRAYS)
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise InputError(f"{folder} holds neither .png files nor {ARRAYS}")
    rows = []
    for name in names:
        rows.append(torch.from_numpy(np.array(read_rgb(folder / name))))
        if rows[-1].shape != rows[0].shape:
            raise InputError(f"{folder}: {name} and {names[0]} have different sizes")
    return names, torch.stack(rows).permute(0, 3, 1, 2).contiguous()


def _from_arrays(path: Path) -> tuple[list[str], Tensor]:
    names, images = read_arrays(path, ("names", "images")).values()
    fits = images.ndim == 4 and images.shape[1] == 3 and names.shape == images.shape[:1]
    if not fits or names.dtype.kind != "U" or images.dtype != np.uint8:
        raise InputError(
            f"{path} holds names {names.shape} {names.dtype} and images {images.shape}"
            f" {images.dtype}; it must hold N names and (N, 3, H, W) uint8 images"
        )
    return names.tolist(), torch.from_numpy(images)
