"""Features in a file: plain numpy arrays, from this framework or from any other."""

from pathlib import Path

import numpy as np
import torch

from reid.evaluation.checks import as_features, as_ids, feature_pair
from reid.evaluation.expansion import average_views, l2_normalize
from reid.evaluation.features import Features
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.logs import write_whole

FIELDS = ("feats", "pids", "camids")
KEYS = [f"{split}_{field}" for split in ("query", "gallery") for field in FIELDS]


def save_features(path: Path, query: Features, gallery: Features) -> None:
    """Writes an npz with the arrays :data:`KEYS`, without pickle; a crash leaves no half file.

    Args:
        path: The file.
        query: Features of the queries.
        gallery: Features of the gallery.
    """
    values = [query.feats.cpu().numpy(), *query[1:], gallery.feats.cpu().numpy(), *gallery[1:]]
    arrays = dict(zip(KEYS, values, strict=True))
    write_whole(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def load_features(
    path: Path, device: torch.device, normalize: bool = True
) -> tuple[Features, Features]:
    """Reads query and gallery from an npz; nothing in it is unpickled.

    Args:
        path: The npz. It holds ``query_feats`` (Q, D) or, with V views of each image, (Q, V, D);
            ``query_pids`` (Q,) and ``query_camids`` (Q,) integers; the same for ``gallery_``.
        device: Device of the returned features.
        normalize: Divide features by their L2 norm. Several views of an image are averaged by
            :func:`reid.evaluation.average_views`.

    Raises:
        InputError: If the file cannot be read, lacks an array, or holds features or ids that do
            not fit.
    """
    arrays = read_arrays(path, KEYS)
    try:
        query, gallery = (_split(arrays, name, device, normalize) for name in ("query", "gallery"))
        feature_pair(query.feats, gallery.feats)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return query, gallery


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
    if normalize:
        feats = l2_normalize(feats, name)
    pids, camids = (
        as_ids(arrays[f"{name}_{field}"], f"{name}_{field}", len(feats)) for field in FIELDS[1:]
    )
    return Features(feats, pids, camids)
