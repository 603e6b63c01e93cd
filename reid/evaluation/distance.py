"""Distances between two sets of features; smaller always means more alike."""

from collections.abc import Callable

import torch
from torch import Tensor

from reid.evaluation.checks import Array, ArrayLike, feature_pair, like
from reid.utils.errors import InputError, unknown

Distance = Callable[[Tensor], Tensor]


def pairwise_distance(x: Array, y: ArrayLike, metric: str = "euclidean") -> Array:
    """Returns the (N, M) distances between the rows of two feature sets.

    Args:
        x: (N, D) features, numpy or torch. float64 is kept if either side has it; all other types
            are computed in float32.
        y: (M, D) features of the same width, on the same device.
        metric: ``euclidean``; ``sqeuclidean``, its square; ``cosine``, 1 - cos in [0, 2].

    Returns:
        Distances >= 0 of the kind ``x`` is. For the two euclidean metrics, identical rows are at
        distance 0 and near-identical ones keep their order: where the expanded form
        ``|x|^2 + |y|^2 - 2xy`` has cancelled to rounding noise, the difference itself is squared.

    Raises:
        InputError: For an unknown metric, empty, non-finite or ill-fitting features, or a row of
            zeros under ``cosine``.

    Examples:
        >>> import numpy as np
        >>> pairwise_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
        array([[5., 1.]])
    """
    first, second = feature_pair(x, y)
    check_metric(metric, first, second)
    return like(distance_to(second, metric)(first), x)


def check_metric(metric: str, query: Tensor, gallery: Tensor) -> None:
    """Raises InputError unless ``metric`` is known and defined for all features.

    Args:
        metric: Name of the distance.
        query: (Q, D) features.
        gallery: (G, D) features.

    Raises:
        InputError: The metric is unknown, or it is ``cosine`` and a row is all zeros.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    if metric == "cosine":
        check_lengths(query, "query")
        check_lengths(gallery, "gallery")


def check_lengths(features: Tensor, name: str) -> None:
    """Raises InputError if a row of (N, D) ``features`` is all zeros; it names the first one.

    Args:
        features: (N, D).
        name: What the error calls them.
    """
    zero = torch.linalg.vector_norm(features, dim=1) == 0
    if bool(zero.any()):
        row = int(zero.nonzero()[0])
        raise InputError(f"{name} feature {row} is all zeros: it has no direction to compare")


def distance_to(gallery: Tensor, metric: str) -> Distance:
    """Returns a function from (B, D) rows to their (B, G) distances to ``gallery``.

    What depends on the gallery alone is computed once and reused for each chunk of queries.

    Args:
        gallery: (G, D) finite features.
        metric: One of :data:`METRICS`; what :func:`check_metric` accepts.
    """
    return METRICS[metric](gallery)


def _sqeuclidean(gallery: Tensor) -> Distance:
    g_norm = squared_norms(gallery)
    longest = g_norm.max()

    def distance(rows: Tensor) -> Tensor:
        norm = squared_norms(rows)
        dist = torch.addmm(g_norm, rows, gallery.T, alpha=-2).add_(norm[:, None])
        noise = 64 * torch.finfo(dist.dtype).eps
        for i in (dist.amin(dim=1) <= noise * (norm + longest)).nonzero()[:, 0].tolist():
            near = (dist[i] <= noise * (norm[i] + g_norm)).nonzero()[:, 0]
            dist[i, near] = squared_norms(gallery[near] - rows[i])
        return dist.clamp_(min=0)

    return distance


def _euclidean(gallery: Tensor) -> Distance:
    squared = _sqeuclidean(gallery)
    return lambda rows: squared(rows).sqrt_()


def _cosine(gallery: Tensor) -> Distance:
    g_scale = _inverse_norms(gallery)

    def distance(rows: Tensor) -> Tensor:
        cos = (rows * _inverse_norms(rows)[:, None]) @ gallery.T
        return cos.mul_(g_scale).neg_().add_(1).clamp_(min=0)

    return distance


def squared_norms(features: Tensor) -> Tensor:
    """Returns the squared lengths of the rows, (N,)."""
    # In chunks, because a squared copy of all features could be large.
    return torch.cat([rows.square().sum(dim=1) for rows in torch.split(features, 1024)])


def _inverse_norms(features: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(features, dim=1)
    return norm.reciprocal_()


METRICS: dict[str, Callable[[Tensor], Distance]] = {
    "euclidean": _euclidean,
    "sqeuclidean": _sqeuclidean,
    "cosine": _cosine,
}
