"""What every index can do, a folder of ours or a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reid.search.filters import Filter
from reid.search.rows import Rows
from reid.utils.errors import ArgumentError

METRICS = ("euclidean", "cosine")


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes:
        path: Its path.
        distance: To the query, in the index's metric: Euclidean, or 1 - cos; re-ranked ones are
            Jaccard distances with a share of it.
        identity: Name of the person, "" where it is unknown.
        camera: Name of the camera, "" where it is unknown.
        time: Seconds since 1970, NaN where they are unknown.
    """

    path: str
    distance: float
    identity: str = ""
    camera: str = ""
    time: float = float("nan")


class SearchIndex(Protocol):
    """An index of images."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is known.

        ``dim``, ``metric``, ``fingerprint``, ``weight``, ``overrides`` and ``rows``, of which
        there are so many images.
        """

    def add(self, rows: Rows) -> int:
        """Adds images whose paths are new; they are kept when it returns. Returns their number."""

    def known(self, paths: Sequence[str]) -> np.ndarray:
        """Returns which paths are in the index, (N,) bool."""

    def remove(self, paths: Sequence[str]) -> int:
        """Removes images by path; returns how many there were."""

    def paths(self) -> list[str]:
        """Returns the paths of all images."""

    def named(self, identities: Sequence[str], cameras: Sequence[str]) -> list[str]:
        """Returns the paths of images of these people, or of these cameras.

        Args:
            identities: Names of people.
            cameras: Names of cameras.
        """

    def search(
        self,
        feats: np.ndarray,
        k: int,
        only: Filter | None = None,
        without: Sequence[str | None] | None = None,
        without_cameras: Sequence[str] | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """Returns the ``k`` nearest images of each query, nearest first.

        Args:
            feats: (Q, D) features of the queries.
            k: Hits of a query; fewer are returned where there are no more.
            only: What a hit has to fulfil.
            without: Of each query a path that is left out, None for none.
            without_cameras: Of each query a camera whose images are left out, "" for none.
            exact: Do not search approximately, even where that was prepared.
        """

    def feats_of(self, paths: Sequence[str]) -> np.ndarray:
        """Returns the features of images that are in the index, (n, D)."""

    def close(self) -> None:
        """Gives back what it holds."""


def check_query(feats: np.ndarray, dim: int, k: int) -> np.ndarray:
    """Returns the features of queries as (Q, D) float32.

    Args:
        feats: What was handed in; one query may be (D,).
        dim: The D of the index.
        k: Number of hits that are asked for.

    Raises:
        ArgumentError: The shape is another one, a feature is not finite, or k is below 1.
    """
    values = np.atleast_2d(np.ascontiguousarray(feats, np.float32))
    if values.ndim != 2 or values.shape[1] != dim:
        raise ArgumentError("feats", f"must be (Q, {dim}) as in the index, got {values.shape}")
    if not np.isfinite(values).all():
        raise ArgumentError("feats", "must be finite")
    if k < 1:
        raise ArgumentError("k", f"must be at least 1, got {k}")
    return values


def unit(feats: np.ndarray, metric: str) -> np.ndarray:
    """Returns (N, D) features of unit length for ``cosine``, and as they are otherwise.

    Args:
        feats: The features.
        metric: ``euclidean`` or ``cosine``.

    Raises:
        ArgumentError: A feature is all zeros, and has no direction.
    """
    if metric != "cosine":
        return feats
    length = np.linalg.norm(feats.astype(np.float64), axis=1, keepdims=True)
    if not length.all():
        raise ArgumentError("feats", f"is all zeros in row {int(np.argmin(length))}")
    return (feats / length).astype(np.float32)


def in_metric(distance: float, metric: str) -> float:
    """Returns a Euclidean distance of stored features in the index's metric: 1 - cos = d^2 / 2.

    Args:
        distance: Between features as they are stored.
        metric: ``euclidean`` or ``cosine``.
    """
    return distance * distance / 2 if metric == "cosine" else distance
