"""k-reciprocal re-ranking of distances that others computed."""

import torch
from torch import Tensor

from reid.evaluation.checks import Array, ArrayLike, as_features, like
from reid.evaluation.neighbors import Neighbors
from reid.evaluation.rerank import check_re_ranking
from reid.utils.errors import InputError


def re_ranking_from_distances(
    q_g_dist: Array,
    q_q_dist: ArrayLike,
    g_g_dist: ArrayLike,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    squared: bool = False,
) -> Array:
    """Returns the (Q, G) float32 re-ranked distances; see :func:`reid.evaluation.re_ranking`.

    The arguments stand in the order of other frameworks. With Euclidean distances the result is
    that of ``re_ranking`` on the features. Memory is (Q + G)^2 distances.

    Args:
        q_g_dist: (Q, G) distances from queries to gallery images; numpy, torch or lists.
        q_q_dist: (Q, Q) distances between queries.
        g_g_dist: (G, G) distances between gallery images.
        k1: Size of the k-reciprocal neighbourhoods.
        k2: Neighbours of the local query expansion, itself included; 1 is none.
        lambda_value: Weight of the original distance, in [0, 1].
        squared: The distances are squared already. Zhong et al. square them.

    Raises:
        InputError: Shapes do not fit together, a distance is negative or not finite, or a setting
            is out of range.
    """
    # Imported here because it loads scipy: all commands load this package, and few re-rank.
    from reid.evaluation.encoding import JaccardOverlaps, encode_by, expand_queries

    dist = _whole(q_g_dist, q_q_dist, g_g_dist)
    num_query = len(q_q_dist)
    check_re_ranking(k1, k2, lambda_value, len(dist))
    dist = dist if squared else dist.square()
    scale = dist.amax(dim=1)
    scale = torch.where(scale > 0, scale, 1)
    near = _nearest(dist, max(k1 + 1, k2))
    table = dist.cpu().numpy()
    encoding = encode_by(lambda row, col: table[row, col], near.index, scale, k1)
    encoding = expand_queries(encoding, near.index, k2)
    overlaps = JaccardOverlaps(encoding, num_query, dist.device)
    jaccard = overlaps.distances(slice(0, num_query))
    original = dist[:num_query, num_query:] / scale[:num_query, None]
    return like(jaccard.lerp_(original, lambda_value), q_g_dist)


def _whole(q_g_dist: ArrayLike, q_q_dist: ArrayLike, g_g_dist: ArrayLike) -> Tensor:
    """Puts the three parts into one (Q + G, Q + G) float32 matrix."""
    names = ("q_g", "q_q", "g_g")
    parts = [
        as_features(part, name, "distances").float()
        for part, name in zip((q_g_dist, q_q_dist, g_g_dist), names, strict=True)
    ]
    q_g, q_q, g_g = parts
    num_query, num_gallery = q_g.shape
    wanted = ((num_query, num_gallery), (num_query, num_query), (num_gallery, num_gallery))
    for part, name, shape in zip(parts, names, wanted, strict=True):
        if tuple(part.shape) != shape:
            raise InputError(
                f"{name} distances must be {shape} for {num_query} queries and {num_gallery}"
                f" gallery images, got {tuple(part.shape)}; the order is query to gallery, query to"
                " query, gallery to gallery"
            )
        if bool((part < 0).any()):
            raise InputError(f"{name} distances must be at least 0, got {float(part.min()):g}")
    return torch.cat([torch.cat([q_q, q_g], 1), torch.cat([q_g.T, g_g], 1)])


def _nearest(dist: Tensor, k: int) -> Neighbors:
    """Returns the ``k`` nearest rows of each row, the row itself first."""
    own = dist.clone().fill_diagonal_(-1)
    sqdist, index = own.sort(dim=1, stable=True)
    return Neighbors(index[:, :k], sqdist[:, :k].clamp(min=0), dist.amax(dim=1))
