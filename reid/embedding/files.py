"""Features with the paths of their images in files, written and read without filling the memory."""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
from reid.utils.logs import whole_folder, write_text, write_whole

ENDING = ".npz"
FEATS = "feats.npy"
PATHS = "paths.txt"
FACTS = "features.json"


class SavedFeatures(NamedTuple):
    """Features of images.

    Attributes:
        feats: (N, D) float32; of a folder they are mapped, and read as they are used.
        paths: Path of each image, N of them.
        fingerprint: Of the model; "" if another program wrote the file.
    """

    feats: np.ndarray
    paths: list[str]
    fingerprint: str


def write_features(
    output: Path,
    parts: Iterable[np.ndarray],
    shape: tuple[int, int],
    paths: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """Writes features part by part: an npz, or a folder whose features can be mapped.

    An npz has the arrays ``feats`` (N, D), ``paths`` (N,) and ``fingerprint``. A folder has
    feats.npy (``np.load(..., mmap_mode="r")``), paths.txt, a path on each line, and features.json.
    Both are written whole or not at all.

    Args:
        output: The file, if its name ends in .npz, or the folder.
        parts: (n, D) float32 each, N rows in all.
        shape: N and D.
        paths: Of the images, N of them.
        facts: What features.json says; ``fingerprint`` is written to both.
    """
    if output.suffix == ENDING:
        write_whole(output, lambda file: _write_npz(file, parts, shape, paths, facts))
        return
    broken = next((path for path in paths if "\n" in path), None)
    if broken is not None:
        raise InputError(f"{broken!r}: a line break in a path; write to a file .npz, or rename it")
    with whole_folder(output) as folder:
        write_whole(folder / FEATS, lambda file: _write_npy(file, parts, shape))
        write_text(folder / PATHS, "".join(f"{path}\n" for path in paths))
        write_text(folder / FACTS, json.dumps(dict(facts), indent=2) + "\n")


def _write_npz(
    file: IO[bytes],
    parts: Iterable[np.ndarray],
    shape: tuple[int, int],
    paths: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open(FEATS, "w", force_zip64=True) as stream:
            _write_npy(stream, parts, shape)
        texts = {"paths": np.array(paths, np.str_), "fingerprint": np.array(facts["fingerprint"])}
        for name, array in texts.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _write_npy(file: IO[bytes], parts: Iterable[np.ndarray], shape: tuple[int, int]) -> None:
    """Writes (N, D) float32 row by row of its parts."""
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    rows = 0
    for part in parts:
        file.write(np.ascontiguousarray(part, "<f4").tobytes())
        rows += len(part)
    if rows != shape[0]:
        raise ValueError(f"{rows} rows were written, {shape[0]} were announced")


def read_features(path: Path) -> SavedFeatures:
    """Reads what :func:`write_features` wrote, or ``feats`` and ``paths`` of another program's npz.

    Args:
        path: The npz, or the folder.

    Raises:
        InputError: The file is missing, damaged, or holds something else.
    """
    if path.is_dir():
        return _read_folder(path)
    arrays = read_arrays(path, ["feats", "paths"], ["fingerprint"])
    feats, paths = arrays["feats"], arrays["paths"]
    if feats.ndim != 2 or feats.dtype.kind != "f" or paths.shape != feats.shape[:1]:
        raise InputError(
            f"{path}: feats must be (N, D) floats and paths (N,) texts, got {feats.dtype} of"
            f" {feats.shape} and {paths.shape}"
        )
    fingerprint = str(arrays["fingerprint"]) if "fingerprint" in arrays else ""
    return SavedFeatures(feats.astype(np.float32, copy=False), [str(p) for p in paths], fingerprint)


def _read_folder(folder: Path) -> SavedFeatures:
    facts = fields(
        read_json(folder / FACTS, "features of reid embed"),
        str(folder / FACTS),
        {"fingerprint": str},
    )
    try:
        feats = np.load(folder / FEATS, mmap_mode="r", allow_pickle=False)
        paths = (folder / PATHS).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder} is damaged: {error}") from error
    if feats.ndim != 2 or feats.dtype != np.float32 or len(paths) - 1 != len(feats):
        raise InputError(f"{folder} is damaged: {len(paths) - 1} paths, features {feats.shape}")
    return SavedFeatures(feats, paths[:-1], facts["fingerprint"])
