"""Re-ranking of distances that others computed, and lists in place of arrays."""

from functools import partial

import numpy as np
import pytest
import torch

from reid.evaluation import (
    average_query_expansion,
    average_views,
    evaluate_features,
    evaluate_rank,
    pairwise_distance,
    re_ranking,
    re_ranking_from_distances,
)
from reid.utils.errors import InputError


def sides(seed: int, num_query: int = 9, num_gallery: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((6, 8))
    feats = centers[rng.integers(0, 6, num_query + num_gallery)]
    feats = (feats + 0.5 * rng.standard_normal(feats.shape)).astype(np.float32)
    return feats[:num_query], feats[num_query:]


@pytest.mark.parametrize(("k1", "k2", "lambda_value"), [(20, 6, 0.3), (5, 1, 0.0), (7, 9, 1.0)])
@pytest.mark.parametrize("squared", [False, True])
def test_it_is_the_re_ranking_of_the_features(
    k1: int, k2: int, lambda_value: float, squared: bool
) -> None:
    query, gallery = sides(k1)
    metric = "sqeuclidean" if squared else "euclidean"
    pairs = ((query, gallery), (query, query), (gallery, gallery))
    parts = [pairwise_distance(*pair, metric) for pair in pairs]
    found = re_ranking_from_distances(*parts, k1, k2, lambda_value, squared)
    expected = re_ranking(query, gallery, k1, k2, lambda_value)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    tensors = [torch.from_numpy(part) for part in parts]
    as_tensor = re_ranking_from_distances(*tensors, k1, k2, lambda_value, squared)
    assert isinstance(as_tensor, torch.Tensor)
    np.testing.assert_array_equal(as_tensor, found)
    lists = [part.tolist() for part in parts]
    np.testing.assert_allclose(
        re_ranking_from_distances(*lists, k1, k2, lambda_value, squared), found, atol=1e-5
    )


def test_the_arguments_are_not_changed() -> None:
    query, gallery = sides(1)
    parts = [pairwise_distance(*p) for p in ((query, gallery), (query, query), (gallery, gallery))]
    before = [part.copy() for part in parts]
    re_ranking_from_distances(*parts, 5, 3)
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, old)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ((1, 0, 2), "q_q distances must be .9, 9. for 9 queries"),
        ((0, 2, 1), "q_q distances must be"),
        ((0, 1, 0), "g_g distances must be .40, 40."),
    ],
)
def test_another_order_of_the_arguments_is_noticed(order: tuple[int, ...], says: str) -> None:
    query, gallery = sides(2)
    parts = [pairwise_distance(*p) for p in ((query, gallery), (query, query), (gallery, gallery))]
    with pytest.raises(InputError, match=says):
        re_ranking_from_distances(*(parts[i] for i in order), 5, 3)
    with pytest.raises(InputError, match="at least 0, got -1"):
        re_ranking_from_distances(parts[0] * 0 - 1, parts[1], parts[2], 5, 3)


def test_lists_are_taken_where_arrays_are() -> None:
    query, gallery = sides(3, 4, 7)
    same = partial(np.testing.assert_allclose, atol=1e-5)  # lists hold float64
    q, g = query.tolist(), gallery.tolist()
    dist = pairwise_distance(query, gallery)
    same(pairwise_distance(q, g), dist)
    same(pairwise_distance(list(torch.from_numpy(query)), g), dist)
    same(re_ranking(q, g, 3, 2), re_ranking(query, gallery, 3, 2))
    same(average_query_expansion(q, g, 2), average_query_expansion(query, gallery, 2))
    views = [[row, row] for row in q]
    same(average_views(views), average_views(np.array(views)))
    ids = ([0, 1, 2, 0], [0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1])
    arrays = [np.array(values) for values in ids]
    assert evaluate_rank(dist.tolist(), *ids).mAP == evaluate_rank(dist, *arrays).mAP
    assert evaluate_features(q, g, *ids).mAP == evaluate_features(query, gallery, *arrays).mAP
    with pytest.raises(InputError, match="rows of one length"):
        pairwise_distance([[1.0, 2.0], [3.0]], g)
