"""What the evaluation accepts: finite features and integer ids, as numpy arrays or tensors."""

from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from reid.utils.errors import InputError

ArrayLike: TypeAlias = np.ndarray | Tensor
Array = TypeVar("Array", np.ndarray, Tensor)  # a result of the kind that went in


def as_tensor(values: ArrayLike) -> Tensor:
    """Returns (N, D), or any other shape, as a tensor that shares the memory where it can."""
    if isinstance(values, np.ndarray):
        # torch takes neither foreign byte orders nor negative strides, and warns about memory that
        # it may not write to (np.load with mmap_mode, broadcast views).
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        values = torch.from_numpy(values if values.flags.writeable else values.copy())
    values = values.detach()
    return values if values.dtype == torch.float64 else values.float()


def as_features(values: ArrayLike, name: str) -> Tensor:
    """Returns (N, D) finite float features, N and D at least 1; raises InputError that names them.

    Args:
        values: Array or tensor; it is never written to.
        name: "query" or "gallery", for the message.
    """
    if not isinstance(values, np.ndarray | Tensor):
        raise InputError(
            f"{name} features must be a numpy array or a tensor, got {type(values).__name__}"
        )
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "f"
    if kind not in "fiub" or (isinstance(values, Tensor) and values.is_complex()):
        raise InputError(f"{name} features must be real numbers, got {values.dtype}")
    if values.ndim != 2:
        raise InputError(f"{name} features must be (N, D), got shape {tuple(values.shape)}")
    if 0 in values.shape:
        raise InputError(f"{name} features are empty: shape {tuple(values.shape)}")
    features = as_tensor(values)
    if not bool(torch.isfinite(torch.stack(torch.aminmax(features))).all()):  # NaN propagates
        bad = int((~torch.isfinite(features)).any(dim=1).nonzero()[0])
        raise InputError(f"{name} features hold NaN or infinite values, first in row {bad}")
    return features


def feature_pair(query: ArrayLike, gallery: ArrayLike) -> tuple[Tensor, Tensor]:
    """Checks both sides, (Q, D) and (G, D): the same width and device; float64 if either is.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features.
    """
    q_feats, g_feats = as_features(query, "query"), as_features(gallery, "gallery")
    if q_feats.shape[1] != g_feats.shape[1]:
        raise InputError(
            f"query features have {q_feats.shape[1]} columns, "
            f"gallery features {g_feats.shape[1]}: they must come from the same model"
        )
    if q_feats.device != g_feats.device:
        raise InputError(
            f"query features are on {q_feats.device}, gallery features on {g_feats.device}"
        )
    dtype = torch.promote_types(q_feats.dtype, g_feats.dtype)
    return q_feats.to(dtype), g_feats.to(dtype)


def as_ids(values: ArrayLike, name: str, length: int) -> np.ndarray:
    """Returns (length,) int64 ids; raises InputError for another length or a non-integer type.

    Args:
        values: (N,) integers, numpy or torch.
        name: What the error calls them.
        length: N.
    """
    ids = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if ids.shape != (length,):
        raise InputError(f"{name} must have shape ({length},), got {ids.shape}")
    if not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"{name} must be integers, got {ids.dtype}")
    return ids.astype(np.int64, copy=False)


def like(values: Tensor, model: Array) -> Array:
    """Returns ``values``, (N, D), as the kind that ``model`` is: numpy in, numpy out.

    Args:
        values: (N, D) result.
        model: What the caller handed in.
    """
    return values.cpu().numpy() if isinstance(model, np.ndarray) else values
