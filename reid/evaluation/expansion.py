"""Query expansion: a query becomes the mean of itself and what it finds first."""

import torch
from torch.nn import functional as F

from reid.evaluation.checks import Array, ArrayLike, feature_pair, like
from reid.utils.errors import InputError


def average_query_expansion(
    q_feats: Array, g_feats: ArrayLike, k: int = 5, alpha: float = 3.0
) -> Array:
    """Returns (Q, D) expanded queries of unit length, to be used in place of ``q_feats``.

    q' = normalize(q + sum_i max(q . g_i, 0)^alpha g_i) over the k gallery features g_i nearest to
    q, all of unit length. alpha 0 weighs all k alike.
    Source: Chum et al., "Total Recall", ICCV 2007 (alpha 0); Radenovic, Tolias & Chum,
    arXiv:1711.02512 (the weights).

    Args:
        q_feats: (Q, D) features, numpy or torch; the result is of the same kind and device.
        g_feats: (G, D) features.
        k: Neighbours to add; 0 only normalizes. At most G.
        alpha: Exponent of the cosine similarity, >= 0.

    Raises:
        InputError: For features as in pairwise_distance, a row of zeros, k or alpha out of range.
    """
    query, gallery = feature_pair(q_feats, g_feats)
    if not 0 <= k <= len(gallery):
        raise InputError(f"k must be in 0..{len(gallery)} (the gallery's size), got {k}")
    if alpha < 0:
        raise InputError(f"alpha must be at least 0, got {alpha}")
    query, gallery = F.normalize(query), F.normalize(gallery)
    parts = []
    for rows in torch.split(query, 256):
        cos, index = (rows @ gallery.T).topk(k)
        weight = cos.clamp(min=0).pow(alpha)
        added = torch.einsum("qk,qkd->qd", weight, gallery[index])
        parts.append(F.normalize(rows + added))
    return like(torch.cat(parts), q_feats)
