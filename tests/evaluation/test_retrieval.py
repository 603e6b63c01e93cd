"""Every ranking of one set of features: each equals what its own function gives."""

import numpy as np
import pytest
import torch

from reid.evaluation import (
    average_query_expansion,
    evaluate_features,
    evaluate_rank,
    pairwise_distance,
    re_ranking,
)
from reid.evaluation.features import Features
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.utils.errors import InputError


def sides(seed=0, num_query=20, num_gallery=60, dim=8):
    rng = np.random.default_rng(seed)
    centers = 2 * rng.standard_normal((8, dim))

    def side(count):
        pids = rng.integers(0, 8, count)
        feats = (centers[pids] + rng.standard_normal((count, dim))).astype(np.float32)
        return Features(torch.from_numpy(feats), pids, rng.integers(0, 3, count))

    return side(num_query), side(num_gallery)


def ids(query, gallery):
    return query.pids, gallery.pids, query.camids, gallery.camids


def test_the_plain_ranking_alone_by_default():
    query, gallery = sides()
    found = dict(Retrieval("cosine").rankings(query, gallery))
    assert list(found) == ["plain"]
    expected = evaluate_features(query.feats, gallery.feats, *ids(query, gallery), "cosine")
    np.testing.assert_array_equal(found["plain"].ap, expected.ap)


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_each_ranking_is_that_of_its_own_distances(chunk):
    query, gallery = sides()
    protocol = Retrieval("euclidean", chunk, ReRanking(7, 3, 0.2), Expansion(4, 1.0))
    found = dict(protocol.rankings(query, gallery))
    assert list(found) == ["plain", "re-ranked", "AQE", "AQE, re-ranked"]
    q, g = query.feats.numpy(), gallery.feats.numpy()
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    expanded = average_query_expansion(q, g, 4, 1.0)
    matrices = {
        "plain": pairwise_distance(q, g),
        "re-ranked": re_ranking(q, g, 7, 3, 0.2),
        "AQE": 1 - expanded @ unit.T,
        "AQE, re-ranked": re_ranking(expanded, unit, 7, 3, 0.2),
    }
    for name, dist in matrices.items():
        expected = evaluate_rank(dist, *ids(query, gallery))
        np.testing.assert_allclose(found[name].ap, expected.ap, rtol=1e-9, err_msg=name)


def test_what_the_images_do_not_allow_is_an_error():
    query, gallery = sides(num_query=3, num_gallery=4)
    with pytest.raises(InputError, match="k1 is 20, but re-ranking 7 query and gallery images"):
        list(Retrieval(rerank=ReRanking()).rankings(query, gallery))
    with pytest.raises(InputError, match=r"k must be in 0\.\.4"):
        list(Retrieval(expansion=Expansion()).rankings(query, gallery))
