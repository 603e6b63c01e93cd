import numpy as np
import pytest
import torch

from reid.evaluation import loops
from reid.evaluation.neighbors import nearest
from reid.utils.errors import InputError


@pytest.fixture(params=["tensors", "compiled"], autouse=True)
def way(request, monkeypatch):
    """Every test of this file runs both ways: as on a GPU, and as on a CPU with many images."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if request.param == "compiled" else 2**60)
    # Both share rows out among as many threads, also where tests/conftest.py gives torch one.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def all_distances(features):
    return ((features[:, None] - features[None]) ** 2).sum(-1)


@pytest.mark.parametrize("block", [1, 7, 16, 50, 1000])
def test_equals_sorting_the_whole_matrix(block):
    features = np.random.default_rng(0).standard_normal((50, 6))
    found = nearest(torch.from_numpy(features), 8, block)
    dist = all_distances(features)
    order = np.argsort(dist, axis=1)[:, :8]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.sqdist, np.take_along_axis(dist, order, 1), atol=1e-12)
    np.testing.assert_allclose(found.farthest, dist.max(axis=1))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_equal_distances_give_a_correct_list_with_the_row_itself_in_front(block):
    features = np.random.default_rng(1).integers(0, 3, (60, 3)).astype(np.float64)
    found = nearest(torch.from_numpy(features), 9, block)
    dist = all_distances(features)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(60))
    np.testing.assert_array_equal(found.sqdist, np.sort(dist, axis=1)[:, :9])
    assert all(len(set(row)) == 9 for row in found.index.tolist())
    np.testing.assert_array_equal(np.take_along_axis(dist, found.index.numpy(), 1), found.sqdist)


def test_equal_distances_go_by_row():
    found = nearest(torch.tensor([[0.0], [1.0], [1.0], [-1.0], [0.0]]), 3, block=2)
    assert found.index.tolist() == [[0, 4, 1], [1, 2, 0], [2, 1, 0], [3, 0, 4], [4, 0, 1]]


def test_float64_decides_where_float32_cannot():
    rng = np.random.default_rng(3)
    features = (100 + rng.standard_normal((80, 8))).astype(np.float32)  # large norms, little apart
    found = nearest(torch.from_numpy(features), 6, block=16)
    order = np.argsort(all_distances(features.astype(np.float64)), axis=1)[:, :6]
    np.testing.assert_array_equal(found.index, order)


def test_every_candidate_nearer_than_the_last_is_found():
    # Each block holds only nearer rows than the one before: all lists are replaced all the time.
    features = torch.arange(64.0, dtype=torch.float64).flip(0).square()[:, None]
    found = nearest(features, 5, block=4)
    order = np.argsort(all_distances(features.numpy()), axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(found.index, order)


def test_all_rows_can_be_asked_for():
    features = torch.from_numpy(np.random.default_rng(2).standard_normal((9, 4)))
    assert nearest(features, 9, block=4).index.sort(dim=1).values.tolist() == [list(range(9))] * 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_wider_than_the_registers(dtype):
    features = np.random.default_rng(4).standard_normal((700, 5)).astype(dtype)
    found = nearest(torch.from_numpy(features), 10, block=300)
    dist = all_distances(features.astype(np.float64))
    np.testing.assert_array_equal(found.index, np.argsort(dist, axis=1)[:, :10])
    np.testing.assert_allclose(found.farthest, dist.max(axis=1), rtol=1e-5)


def test_features_whose_lengths_overflow_are_named():
    features = torch.ones(5, 3)
    features[3] = 1e20
    with pytest.raises(InputError, match=r"squared length of feature 3 is beyond torch.float32"):
        nearest(features, 2)
