import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid.evaluation import average_query_expansion, average_views
from reid.utils.errors import InputError


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def by_loop(query, gallery, k, alpha):
    expanded = []
    for q in unit(query):
        cosines = [float(q @ g) for g in unit(gallery)]
        best = sorted(range(len(gallery)), key=lambda i: -cosines[i])[:k]
        expanded.append(q + sum(max(cosines[i], 0) ** alpha * unit(gallery)[i] for i in best))
    return unit(np.array(expanded))


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.0), (5, 0.0), (5, 3.0), (40, 2.0)])
def test_equals_the_formula_in_a_loop(k, alpha):
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((300, 8)), rng.standard_normal((40, 8))
    expanded = average_query_expansion(query, gallery, k, alpha)
    np.testing.assert_allclose(expanded, by_loop(query, gallery, k, alpha), atol=1e-12)


def test_no_neighbor_only_normalizes():
    query = np.array([[3.0, 4.0]])
    expanded = average_query_expansion(query, np.array([[1.0, 0.0]]), k=0)
    np.testing.assert_allclose(expanded, [[0.6, 0.8]])


def test_torch_stays_torch():
    query = torch.eye(3)
    expanded = average_query_expansion(query, query, k=1)
    assert isinstance(expanded, torch.Tensor)
    assert torch.equal(expanded, query)


@pytest.mark.parametrize(
    ("k", "alpha", "name"), [(-1, 1.0, "k"), (4, 1.0, "k"), (1, -1.0, "alpha")]
)
def test_setting_out_of_range_is_named(k, alpha, name):
    with pytest.raises(InputError, match=f"{name} must be"):
        average_query_expansion(np.eye(3), np.eye(3), k, alpha)


def test_a_row_of_zeros_is_named():
    with pytest.raises(InputError, match="gallery feature 2 is all zeros"):
        average_query_expansion(np.eye(3), np.diag([1.0, 1.0, 0.0]), k=1)


def test_views_are_averaged_as_unit_vectors_by_hand():
    views = np.array([[[0.0, 5.0], [2.0, 0.0]], [[1.0, 0.0], [3.0, 0.0]]])
    np.testing.assert_allclose(average_views(views), [[0.5**0.5, 0.5**0.5], [1, 0]])
    np.testing.assert_allclose(average_views(views, normalize=False), [[1, 2.5], [2, 0]])


def test_the_inner_product_of_mean_views_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    a, b = unit(rng.standard_normal((4, 3, 6))), unit(rng.standard_normal((5, 2, 6)))
    pairs = np.mean([[a[:, v] @ b[:, w].T for v in range(3)] for w in range(2)], axis=(0, 1))
    product = average_views(a, normalize=False) @ average_views(b, normalize=False).T
    np.testing.assert_allclose(product, pairs, atol=1e-12)


def test_views_of_image_and_mirror_image_are_what_flip_averaging_does():
    views = torch.randn(5, 2, 7)
    expected = F.normalize((F.normalize(views[:, 0]) + F.normalize(views[:, 1])) / 2)
    torch.testing.assert_close(average_views(views), expected)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (np.ones((2, 3)), r"must be \(N, V, D\), got shape \(2, 3\)"),
        (np.array([[[1.0, 0], [0, 0]]]), "query view feature 1 is all zeros"),
        (np.array([[[1.0, 0], [-1.0, 0]]]), "query feature 0 is all zeros"),
    ],
)
def test_views_that_have_no_mean_direction_are_named(views, message):
    with pytest.raises(InputError, match=message):
        average_views(views)
