"""What an index holds: a feature for each image, with its path and what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reid.utils.errors import InputError


@dataclass
class Rows:
    """Images of an index.

    Attributes:
        feats: (N, D) float32, finite.
        paths: Path, or any name, of each image; no two are equal.
        identities: Name of the person on each, "" where it is unknown.
        cameras: Name of the camera of each, "" where it is unknown.
        times: (N,) float64 seconds since 1970, NaN where they are unknown.
    """

    feats: np.ndarray
    paths: Sequence[str]
    identities: Sequence[str]
    cameras: Sequence[str]
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, places: np.ndarray) -> "Rows":
        """Returns some of the rows, in the order of ``places``, (n,) integers."""
        chosen = places.tolist()
        return Rows(
            self.feats[places],
            [self.paths[place] for place in chosen],
            [self.identities[place] for place in chosen],
            [self.cameras[place] for place in chosen],
            self.times[places],
        )


def make_rows(
    feats: np.ndarray,
    paths: Sequence[str],
    identities: Sequence[str] | None = None,
    cameras: Sequence[str] | None = None,
    times: Sequence[float] | np.ndarray | None = None,
) -> Rows:
    """Returns checked rows; what is not given is unknown.

    Args:
        feats: (N, D) numbers.
        paths: Path, or any name, of each image.
        identities: Name of the person on each.
        cameras: Name of the camera of each.
        times: (N,) seconds since 1970.

    Raises:
        InputError: Lengths differ, a feature is not finite, or a path is there twice.
    """
    values = np.ascontiguousarray(feats, np.float32)
    count = len(paths)
    if values.ndim != 2 or len(values) != count or 0 in values.shape[1:]:
        raise InputError(f"features must be ({count}, D) for {count} paths, got {values.shape}")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise InputError(f"the feature of {paths[row]} is not finite")
    if "" in paths:
        raise InputError("a path is empty; each image has a path, or another name")
    if len(set(paths)) != count:
        raise InputError("a path is there twice; each image is one row")
    unknown = [""] * count
    moments = np.full(count, np.nan) if times is None else np.asarray(times, np.float64)
    rows = Rows(
        values,
        list(paths),
        unknown if identities is None else list(identities),
        unknown if cameras is None else list(cameras),
        moments,
    )
    for name in ("identities", "cameras", "times"):
        if len(getattr(rows, name)) != count:
            raise InputError(f"{name} must be {count}, one for each path")
    return rows


def joined(parts: Sequence[Rows]) -> Rows:
    """Puts rows below each other.

    Args:
        parts: At least one.
    """
    return Rows(
        np.concatenate([part.feats for part in parts]),
        [path for part in parts for path in part.paths],
        [name for part in parts for name in part.identities],
        [name for part in parts for name in part.cameras],
        np.concatenate([part.times for part in parts]),
    )
