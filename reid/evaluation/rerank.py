"""Exact k-reciprocal re-ranking; its memory grows linearly with the number of images.

Source: Zhong, Zheng, Cao & Li, "Re-ranking Person Re-identification with k-reciprocal Encoding",
CVPR 2017 (arXiv:1701.08398). N is the number of query and gallery images together:

1. d(i, j) = |x_i - x_j|^2 / max_j |x_i - x_j|^2: squared distances, scaled per row.
2. R(i) = rows j such that i and j are among each other's k1 + 1 nearest (a row is its own
   nearest); H(i) = the same with round(k1 / 2) + 1.
3. R*(i) = R(i) and every H(c), c in R(i), of which more than 2/3 lies in R(i)
   (strictly more, as in the authors' code).
4. V(i, j) = exp(-d(i, j)) for j in R*(i), else 0; each row divided by its sum.
5. V(i) = mean of V over the k2 nearest of i.
6. Jaccard distance 1 - sum_j min(V(q, j), V(g, j)) / sum_j max(V(q, j), V(g, j)).
7. (1 - lambda) * Jaccard + lambda * d.

Differs: only in how it is computed. V is sparse (tens of entries in a row), each step is a product
of sparse matrices, and the Jaccard distance is computed for the query rows only. The rows of V sum
to 1, so the sum of maxima is 2 minus the sum of minima.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from reid.evaluation.checks import Array, ArrayLike, feature_pair, like
from reid.evaluation.counting import Matches
from reid.evaluation.distance import distance_to
from reid.evaluation.neighbors import nearest
from reid.evaluation.partial import PartialSearch
from reid.evaluation.protocol import CROSS_CAMERA, Pictures
from reid.evaluation.ranking import CHUNK, Ranking, chunk_starts, rank_chunks
from reid.utils.errors import ArgumentError


def re_ranking(
    query_feats: Array,
    gallery_feats: Array,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> Array:
    """Returns the (Q, G) float32 re-ranked distances, smaller = more alike.

    They lie in [0, 1], up to rounding.

    Args:
        query_feats: (Q, D) features, numpy or torch; the result is of the same kind and device.
        gallery_feats: (G, D) features.
        k1: Size of the k-reciprocal neighbourhoods. They are taken among query and gallery
            together, so a small gallery is fine as long as k1 < Q + G.
        k2: Neighbours of the local query expansion, itself included; 1 is none. At most Q + G.
        lambda_value: Weight of the original distance, in [0, 1].

    Raises:
        InputError: For empty, non-finite or ill-fitting features or values out of range.

    Examples:
        Neighbours that are shared decide: the query is one of the first two.

        >>> import numpy as np
        >>> gallery = np.array([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> dist = re_ranking(np.array([[1.0, 0.0]]), gallery, k1=2, k2=1)
        >>> dist.shape
        (1, 4)
        >>> sorted(dist[0].argsort()[:2].tolist())
        [0, 1]
    """
    query, gallery = feature_pair(query_feats, gallery_feats)
    out = torch.empty((len(query), len(gallery)), device=query.device)
    for start, dist in _reranked(query, gallery, k1, k2, lambda_value, CHUNK):
        out[start : start + len(dist)] = dist
    return like(out, query_feats)


def evaluate_reranked(  # noqa: PLR0913 - the six arrays of the protocol
    q_feats: ArrayLike,
    g_feats: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike | None,
    g_camids: ArrayLike | None,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    chunk: int = CHUNK,
    max_rank: int = 50,
    protocol: str = CROSS_CAMERA,
    pictures: Pictures | None = None,
    keep: int = 0,
    partial: Path | None = None,
) -> Ranking:
    """Returns the metrics after re-ranking, ``chunk`` queries at a time: no (Q, G) matrix exists.

    Args:
        q_feats: (Q, D) features; see :func:`re_ranking`, also for k1, k2 and lambda_value.
        g_feats: (G, D) features.
        q_pids: (Q,) integer identities; see :func:`reid.evaluation.ranking.evaluate_rank`.
        g_pids: (G,) integer identities.
        q_camids: (Q,) integer cameras.
        g_camids: (G,) integer cameras.
        k1: Size of the k-reciprocal neighbourhoods.
        k2: Neighbours of the local query expansion.
        lambda_value: Weight of the original distance, in [0, 1].
        chunk: Queries at a time, at least 1; memory is chunk * G distances.
        max_rank: Length of the CMC curve.
        protocol: ``cross_camera`` or ``any_camera``: which ranks count. The neighbourhoods are
            taken among all images in both.
        pictures: (Q,) and (G,) numbers of the pictures, or None.
        keep: Number of first places of each query that are kept.
        partial: File that gets what the search for neighbours has found, every three minutes: a run
            that was killed goes on from it, with the same bits. It is removed at the end. None
            keeps nothing.
    """
    query, gallery = feature_pair(q_feats, g_feats)
    ids = (q_pids, g_pids, q_camids, g_camids)
    matches = Matches(*ids, len(query), len(gallery), protocol, pictures)
    kept = PartialSearch(partial)
    chunks = _reranked(query, gallery, k1, k2, lambda_value, chunk, kept)
    ranking = rank_chunks(chunks, matches, max_rank, keep)
    kept.remove()
    return ranking


def _reranked(
    query: Tensor,
    gallery: Tensor,
    k1: int,
    k2: int,
    lambda_value: float,
    chunk: int,
    partial: PartialSearch | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Yields (first query, (B, G) float32 distances) for all queries in order."""
    # Imported here because it loads scipy: all commands load this module, and few re-rank.
    from reid.evaluation.encoding import JaccardOverlaps, encode, expand_queries

    check_re_ranking(k1, k2, lambda_value, len(query) + len(gallery))
    starts = chunk_starts(len(query), chunk, "re-ranking")
    features = _joined(query, gallery).float()
    near = nearest(features, max(k1 + 1, k2), partial=partial)
    # If all images are equal, all distances are 0 and stay 0.
    scale = torch.where(near.farthest > 0, near.farthest, 1)
    encoding = expand_queries(encode(features, near, scale, k1), near.index, k2)
    overlaps = JaccardOverlaps(encoding, len(query), features.device)
    distance = distance_to(features[len(query) :], "sqeuclidean")
    for start in starts:
        rows = slice(start, min(start + chunk, len(query)))
        jaccard = overlaps.distances(rows)
        original = distance(features[rows]).div_(scale[rows, None])
        yield start, jaccard.lerp_(original, lambda_value)


def _joined(query: Tensor, gallery: Tensor) -> Tensor:
    """Returns both sides, (Q + G, D); without a copy where the gallery lies behind the queries."""
    side_by_side = (
        query.is_contiguous()
        and gallery.is_contiguous()
        and query.untyped_storage().data_ptr() == gallery.untyped_storage().data_ptr()
        and query.data_ptr() + query.nbytes == gallery.data_ptr()
    )
    if not side_by_side:
        return torch.cat([query, gallery])
    return query.as_strided((len(query) + len(gallery), query.shape[1]), query.stride())


def check_re_ranking(k1: int, k2: int, lambda_value: float, size: int) -> None:
    """Raises ArgumentError unless ``size`` images can be re-ranked with these settings.

    Args:
        k1: Size of the neighbourhoods.
        k2: Neighbours of the expansion.
        lambda_value: Weight of the original distance.
        size: Number of queries and gallery images together.

    Raises:
        ArgumentError: A setting is out of range.
    """
    if not 1 <= k1 < size:
        mend = "lower" if k1 > 0 else "raise"
        raise ArgumentError(
            "k1",
            f"is {k1}, but re-ranking {size} query and gallery images allows 1..{size - 1}: "
            f"{mend} k1",
        )
    if not 1 <= k2 <= size:
        raise ArgumentError("k2", f"must be in 1..{size} for {size} images, got {k2}")
    if not 0 <= lambda_value <= 1:
        raise ArgumentError("lambda_value", f"must be in [0, 1], got {lambda_value}")
