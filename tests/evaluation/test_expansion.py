import numpy as np
import pytest
import torch

from reid.evaluation import average_query_expansion
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
