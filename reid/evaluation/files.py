"""Features in a file: plain numpy arrays, from this framework or from any other."""

from pathlib import Path

import numpy as np
import torch

from reid.evaluation.checks import as_features, as_ids, feature_pair
from reid.evaluation.distance import check_lengths
from reid.evaluation.expansion import average_views
from reid.evaluation.features import Features, pictures_of
from reid.utils.arrays import read_arrays
from reid.utils.errors import ArgumentError, InputError
from reid.utils.logs import write_whole

FIELDS = ("feats", "pids", "camids")
SPLITS = ("query", "gallery")
KEYS = [f"{split}_{field}" for split in SPLITS for field in FIELDS]
ROWS = 4096  # features that are divided at a time
PICTURES = [f"{split}_pictures" for split in SPLITS]  # these two may be missing


def save_features(path: Path, query: Features, gallery: Features) -> None:
    """Writes an npz with the arrays :data:`KEYS`, without pickle; a crash leaves no half file.

    The numbers of the pictures are written, too, where they are known.

    Args:
        path: The file.
        query: Features of the queries.
        gallery: Features of the gallery.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, side in zip(SPLITS, (query, gallery), strict=True):
        values = (side.feats.cpu().numpy(), side.pids, side.camids)
        arrays |= {f"{name}_{field}": v for field, v in zip(FIELDS, values, strict=True)}
    arrays |= dict(zip(PICTURES, pictures_of(query, gallery) or (), strict=False))
    write_whole(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def load_features(
    path: Path, device: torch.device, normalize: bool = True, cameras: bool = True
) -> tuple[Features, Features]:
    """Reads query and gallery from an npz; nothing in it is unpickled.

    Args:
        path: The npz, or a folder with a file ``NAME.npy`` for each array, whose features are
            mapped into memory and not read at once. It holds ``query_feats`` (Q, D) or, with V
            views of each image, (Q, V, D); ``query_pids`` (Q,) and ``query_camids`` (Q,) integers;
            the same for ``gallery_``.
            ``query_pictures`` (Q,) and ``gallery_pictures`` (G,) may be there: integers or texts
            (paths), the same for the same picture.
        device: Device of the returned features.
        normalize: Divide features by their L2 norm. Several views of an image are averaged by
            :func:`reid.evaluation.average_views`.
        cameras: Whether the file needs cameras; without it those that are missing are -1.

    Raises:
        InputError: If the file cannot be read, lacks an array, or holds features or ids that do
            not fit.
    """
    needed = [key for key in KEYS if cameras or not key.endswith("_camids")]
    read = _mapped if path.is_dir() else read_arrays
    arrays = read(path, needed, [*KEYS, *PICTURES])
    try:
        query, gallery = (_split(arrays, name, device, normalize) for name in SPLITS)
        feature_pair(query.feats, gallery.feats)
        if normalize:
            query, gallery = _of_unit_length(query, gallery)
        pictures = _pictures(arrays, len(query.pids), len(gallery.pids))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return query._replace(pictures=pictures[0]), gallery._replace(pictures=pictures[1])


def _mapped(folder: Path, needed: list[str], optional: list[str]) -> dict[str, np.ndarray]:
    """Maps arrays of a folder; what is written to them stays in memory."""
    arrays = {}
    for key in dict.fromkeys([*needed, *optional]):
        file = folder / f"{key}.npy"
        if not file.is_file():
            if key in needed:
                raise InputError(f"{folder} has no file {file.name}; write it with numpy.save")
            continue
        try:
            arrays[key] = np.load(file, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{file} is no array of numpy.save, or is cut off: {error}") from error
    return arrays


def _split(
    arrays: dict[str, np.ndarray], name: str, device: torch.device, normalize: bool
) -> Features:
    values = arrays[f"{name}_feats"]
    if values.ndim == 3:
        values = average_views(values, normalize, name)
    feats = as_features(values, name).to(device)
    lengths = torch.linalg.vector_norm(feats, dim=1)
    if not bool(torch.isfinite(lengths).all()):
        row = int((~torch.isfinite(lengths)).nonzero()[0])
        raise InputError(f"{name} feature {row} is too long: its length is beyond {feats.dtype}")
    unknown = np.full(len(feats), -1)
    pids, camids = (
        as_ids(arrays.get(f"{name}_{field}", unknown), f"{name}_{field}", len(feats))
        for field in FIELDS[1:]
    )
    return Features(feats, pids, camids)


def _of_unit_length(query: Features, gallery: Features) -> tuple[Features, Features]:
    """Divides features by their lengths, into one tensor: re-ranking both needs no copy then."""
    width, both = query.feats.shape[1], len(query.feats) + len(gallery.feats)
    dtype = torch.promote_types(query.feats.dtype, gallery.feats.dtype)
    unit = torch.empty((both, width), dtype=dtype, device=query.feats.device)
    sides = unit.split([len(query.feats), len(gallery.feats)])
    for name, side, out in zip(SPLITS, (query, gallery), sides, strict=True):
        check_lengths(side.feats, name)
        for rows, lines in zip(side.feats.split(ROWS), out.split(ROWS), strict=True):
            lines.copy_(rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True))
    return query._replace(feats=sides[0]), gallery._replace(feats=sides[1])


def _pictures(
    arrays: dict[str, np.ndarray], num_query: int, num_gallery: int
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Returns the numbers of the pictures of both sides, which texts get here, or two None."""
    given = [key for key in PICTURES if key in arrays]
    if not given:
        return None, None
    if len(given) == 1:
        raise InputError(f"it has {given[0]}, but only one of {' and '.join(PICTURES)}")
    sides = [arrays[key] for key in PICTURES]
    for key, side, length in zip(PICTURES, sides, (num_query, num_gallery), strict=True):
        if side.shape != (length,) or side.dtype.kind not in "iuSU":
            raise ArgumentError(
                key, f"must be ({length},) integers or texts, got {side.dtype} of {side.shape}"
            )
    if len({side.dtype.kind in "iu" for side in sides}) == 2:
        raise InputError(f"{' and '.join(PICTURES)} must both be integers, or both be texts")
    _, number = np.unique(np.concatenate(sides), return_inverse=True)
    return number[:num_query], number[num_query:]
