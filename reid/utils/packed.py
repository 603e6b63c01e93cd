"""Arrays of numbers as a short text, for JSON that is kept in a repository.

Fractions are rounded to 16 bits (1 / 65535), integers are kept. The first bytes of all values of an
array come first, then the second ones, which packs better; all of it is deflated, and written as
base64.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from reid.utils.errors import ArgumentError

STEPS = 65535  # of a fraction
MOST_VALUES = 1 << 24  # in one text; a study's cell has some thousands
_KINDS: dict[str, Any] = {"fraction": np.dtype("<u2"), "whole": np.dtype("<i4")}


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns plain values that JSON takes.

    Args:
        arrays: (V,) each, of one length: fractions in [0, 1], or whole numbers below 2^31.

    Raises:
        ArgumentError: Arrays have several lengths, or a value is neither.
    """
    lengths = {array.shape for array in arrays.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ArgumentError("arrays", f"must be (V,) of one length, got {sorted(lengths)}")
    kinds = {key: _kind(key, array) for key, array in arrays.items()}
    planes = [_planes(array, kinds[key]) for key, array in arrays.items()]
    text = base64.b64encode(zlib.compress(b"".join(planes), 9)).decode()
    return {"length": next(iter(lengths))[0], "arrays": kinds, "packed": text}


def unpack(found: Any) -> dict[str, np.ndarray]:
    """Returns the arrays: (V,) float64 fractions and (V,) int64 whole numbers.

    Args:
        found: What :func:`pack` returned, after its way through a file.

    Raises:
        ArgumentError: It is something else, or is damaged.
    """
    try:
        length, kinds, text = found["length"], found["arrays"], found["packed"]
        types = [_KINDS[kind] for kind in kinds.values()]
        size = length * sum(dtype.itemsize for dtype in types)
        if not 0 < length * len(types) <= MOST_VALUES:
            raise ValueError(f"{length} x {len(types)} values")
        inflate = zlib.decompressobj()
        content = inflate.decompress(base64.b64decode(text, validate=True), size + 1)
        if len(content) != size or not inflate.eof:
            raise ValueError(f"the values do not fill {size} bytes exactly")
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error, zlib.error) as error:
        raise ArgumentError("found", f"holds no packed arrays: {error}") from error
    arrays, start = {}, 0
    for key, dtype in zip(kinds, types, strict=True):
        end = start + length * dtype.itemsize
        arrays[str(key)] = _values(content[start:end], dtype)
        start = end
    return arrays


def _kind(key: str, array: np.ndarray) -> str:
    if array.dtype.kind in "iu":
        limits = np.iinfo(_KINDS["whole"])
        if len(array) and not limits.min <= array.min() <= array.max() <= limits.max:
            raise ArgumentError("arrays", f"'{key}' has a whole number of more than 32 bits")
        return "whole"
    most = 1 + 1 / STEPS  # a mean of ones may be a little above
    if array.dtype.kind != "f" or not bool(((array >= 0) & (array <= most)).all()):
        raise ArgumentError("arrays", f"'{key}' must hold whole numbers, or fractions in [0, 1]")
    return "fraction"


def _planes(array: np.ndarray, kind: str) -> bytes:
    values = np.rint(np.minimum(array, 1) * STEPS) if kind == "fraction" else array
    typed: np.ndarray = np.ascontiguousarray(values.astype(_KINDS[kind]))
    return typed.view(np.uint8).reshape(len(typed), -1).T.tobytes()


def _values(content: bytes, dtype: Any) -> np.ndarray:
    planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
    values: np.ndarray = np.ascontiguousarray(planes.T).view(dtype)[:, 0]
    if dtype.kind == "u":
        fractions: np.ndarray = values.astype(np.float64) / STEPS
        return fractions
    return values.astype(np.int64)
