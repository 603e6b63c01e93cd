"""Checks of the evaluation's input: finite features and integer ids, numpy arrays or tensors."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from reid.utils.errors import ArgumentError, InputError

ArrayLike: TypeAlias = np.ndarray | Tensor | Sequence[Any]
# The result has the type of the argument; lists, which are taken as well, become arrays.
Array = TypeVar("Array", np.ndarray, Tensor)


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """Returns (N, D), or any other shape, as a tensor that shares the memory where it can."""
    if isinstance(values, np.ndarray):
        # torch takes neither foreign byte orders nor negative strides nor long doubles, and warns
        # about memory that it may not write to (np.load with mmap_mode, broadcast views).
        dtype = values.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):  # becomes inf, which the caller finds
            values = np.ascontiguousarray(values, np.float64 if dtype == np.longdouble else dtype)
        values = torch.from_numpy(values if values.flags.writeable else values.copy())
    values = values.detach()
    return values if values.dtype == torch.float64 else values.float()


def unlisted(values: Any, name: str) -> np.ndarray | Tensor:
    """Returns lists of numbers, arrays or tensors as one array or tensor, of any shape (...).

    Args:
        values: Array or tensor, which is returned itself, or lists of them or of numbers.
        name: What the error calls them.

    Raises:
        InputError: The parts do not have one length.
    """
    if isinstance(values, np.ndarray | Tensor) or not isinstance(values, list | tuple):
        return cast("np.ndarray | Tensor", values)  # what is neither is refused by the caller
    try:
        if values and all(isinstance(part, Tensor) for part in values):
            return torch.stack(list(values))
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} must be rows of one length") from error


def as_features(values: ArrayLike, name: str, what: str = "features") -> Tensor:
    """Returns features as a tensor, (N, D) float32 or float64, finite, N and D at least 1.

    Args:
        values: (N, D) real numbers, array or tensor; it is never written to.
        name: "query" or "gallery", for the message.
        what: What the rows are, for the message.

    Raises:
        InputError: The values are not such features; the message begins with ``name``.
    """
    name = f"{name} {what}"
    values = unlisted(values, name)
    if not isinstance(values, np.ndarray | Tensor):
        raise InputError(
            f"{name} must be a numpy array, a tensor or a list, got {type(values).__name__}"
        )
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "f"
    if kind not in "fiub" or (isinstance(values, Tensor) and values.is_complex()):
        raise InputError(f"{name} must be real numbers, got {values.dtype}")
    if values.ndim != 2:
        raise InputError(f"{name} must be (N, D), got shape {tuple(values.shape)}")
    if 0 in values.shape:
        raise InputError(f"{name} are empty: shape {tuple(values.shape)}")
    features = as_tensor(values)
    if not bool(torch.isfinite(torch.stack(torch.aminmax(features))).all()):  # NaN propagates
        bad = int((~torch.isfinite(features)).any(dim=1).nonzero()[0])
        raise InputError(f"{name} hold NaN or infinite values, first in row {bad}")
    return features


def feature_pair(query: ArrayLike, gallery: ArrayLike) -> tuple[Tensor, Tensor]:
    """Returns both sides as tensors, (Q, D) and (G, D), of one dtype: float64 if either has it.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features, of the same width and on the same device.

    Raises:
        InputError: A side is empty or not finite, or the two sides do not fit together.
    """
    q_feats = as_features(query, "query")
    g_feats = as_features(gallery, "gallery")
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
    """Returns identities or cameras as an array, (N,) int64.

    Args:
        values: (N,) integers, numpy or torch.
        name: What the error calls them.
        length: The N that the features have.

    Raises:
        ArgumentError: The length is not N, or the values are no integers of 64 bits.
    """
    ids = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if ids.shape != (length,):
        raise ArgumentError(name, f"must have shape ({length},), got {ids.shape}")
    if not np.issubdtype(ids.dtype, np.integer):
        raise ArgumentError(name, f"must be integers, got {ids.dtype}")
    if ids.dtype.kind == "u" and ids.size and int(ids.max()) > np.iinfo(np.int64).max:
        raise ArgumentError(name, f"must be at most 2**63 - 1, got {ids.max()}")
    return ids.astype(np.int64, copy=False)


def like(values: Tensor, original: Array) -> Array:
    """Returns ``values``, (N, D), as a tensor if ``original`` is one, else as an array.

    Args:
        values: (N, D) result.
        original: (N, D) features that the caller passed in; only their type matters.
    """
    return values if isinstance(original, Tensor) else values.cpu().numpy()
