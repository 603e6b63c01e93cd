"""Query expansion, and the mean of several feature vectors of one image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.evaluation.checks import Array, ArrayLike, as_features, feature_pair, like, unlisted
from reid.evaluation.distance import check_lengths
from reid.utils.errors import ArgumentError, InputError


def l2_normalize(features: Array, name: str = "query") -> Array:
    """Returns (N, D) features divided by their L2 norms.

    Args:
        features: (N, D), numpy or torch; not written to.
        name: What the error calls them.

    Raises:
        InputError: For features that are empty or not finite, and for a row of zeros.
    """
    values = as_features(features, name)
    check_lengths(values, name)
    return like(values / torch.linalg.vector_norm(values, dim=1, keepdim=True), features)


def average_views(features: Array, normalize: bool = True, name: str = "query") -> Array:
    """Returns the mean of the V views of each image, (N, D); a view may be the mirror image.

    For unit vectors, the inner product of two such means is the mean over all pairs of views.

    Args:
        features: (N, V, D) features, numpy or torch.
        normalize: Divide each view, and then the mean, by its L2 norm; False is the plain mean.
        name: What the error calls them.

    Raises:
        InputError: For another number of axes, features that are empty or not finite, and with
            ``normalize`` for a view of zeros or views that cancel out.

    Examples:
        >>> import numpy as np
        >>> average_views(np.array([[[2.0, 0.0], [0.0, 2.0]]]), normalize=False)
        array([[1., 1.]])
    """
    features = unlisted(features, f"{name} features")  # type: ignore[assignment]
    if features.ndim != 3:
        raise InputError(
            f"{name} features with views must be (N, V, D), got shape {tuple(features.shape)}"
        )
    num_images, num_views, dim = features.shape
    views = as_features(features.reshape(num_images * num_views, dim), f"{name} view")
    if normalize:
        views = l2_normalize(views, f"{name} view")
    mean = views.view(num_images, num_views, dim).mean(dim=1)
    return like(l2_normalize(mean, name) if normalize else mean, features)


def average_query_expansion(
    q_feats: Array, g_feats: ArrayLike, k: int = 5, alpha: float = 3.0
) -> Array:
    """Returns the expanded queries, (Q, D), of unit length.

    Compare them with gallery features of unit length.
    q' = normalize(q + sum_i max(q . g_i, 0)^alpha g_i) over the k gallery features g_i nearest to
    q, all of unit length. With alpha 0 all k have the same weight.
    Source: Chum et al., "Total Recall", ICCV 2007 (alpha 0); Radenovic, Tolias & Chum,
    arXiv:1711.02512 (the weights).

    Args:
        q_feats: (Q, D) features, numpy or torch; the result is of the same kind and device.
        g_feats: (G, D) features.
        k: Neighbours to add; 0 only normalizes. At most G.
        alpha: Exponent of the cosine similarity, >= 0.

    Raises:
        InputError: For features as in pairwise_distance, a row of zeros, k or alpha out of range.

    Examples:
        Without weights (alpha 0) query and neighbour count alike: (1.6, 0.8) over its length.

        >>> import numpy as np
        >>> query, gallery = np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [-1.0, 0.0]])
        >>> average_query_expansion(query, gallery, k=1, alpha=0).round(4)
        array([[0.8944, 0.4472]])
    """
    query, gallery = feature_pair(q_feats, g_feats)
    check_expansion(k, alpha, len(gallery))
    query = l2_normalize(query, "query")
    gallery = l2_normalize(gallery, "gallery")
    return like(torch.cat([_expand(q, gallery, k, alpha) for q in query.split(256)]), q_feats)


def _expand(query: Tensor, gallery: Tensor, k: int, alpha: float) -> Tensor:
    cos, index = (query @ gallery.T).topk(k)
    weight = cos.clamp(min=0).pow(alpha)
    return F.normalize(query + torch.einsum("qk,qkd->qd", weight, gallery[index]))


def check_expansion(k: int, alpha: float, num_gallery: int) -> None:
    """Raises ArgumentError unless :func:`average_query_expansion` can run with these settings.

    Args:
        k: Neighbours to add.
        alpha: Exponent of the similarity.
        num_gallery: Number of gallery images.

    Raises:
        ArgumentError: ``k`` or ``alpha`` is out of range.
    """
    if not 0 <= k <= num_gallery:
        raise ArgumentError("k", f"must be in 0..{num_gallery} (the gallery's size), got {k}")
    if not alpha >= 0:
        raise ArgumentError("alpha", f"must be at least 0, got {alpha}")
