import numpy as np
import pytest
import torch

from reid.evaluation import METRICS, pairwise_distance
from reid.utils.errors import InputError


def direct(x, y, metric):
    """Returns the distance of two rows, from its definition."""
    if metric == "cosine":
        return 1 - x @ y / np.sqrt((x @ x) * (y @ y))
    square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return square if metric == "sqeuclidean" else np.sqrt(square)


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_equals_the_definition(metric, dtype, tolerance):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 16)), rng.standard_normal((7, 16))
    dist = pairwise_distance(x.astype(dtype), y.astype(dtype), metric)
    assert dist.dtype == dtype
    expected = [[direct(a, b, metric) for b in y] for a in x]
    np.testing.assert_allclose(dist, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_numpy_and_torch_agree_and_keep_their_kind(metric):
    rng = np.random.default_rng(1)
    x, y = rng.random((5, 8), dtype=np.float32), rng.random((6, 8), dtype=np.float32)
    from_torch = pairwise_distance(torch.from_numpy(x), torch.from_numpy(y), metric)
    assert isinstance(from_torch, torch.Tensor)
    np.testing.assert_array_equal(pairwise_distance(x, y, metric), from_torch.numpy())


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_inputs_are_left_alone_and_may_be_read_only(metric):
    x = np.random.default_rng(2).random((5, 8), dtype=np.float32)
    before = x.copy()
    x.flags.writeable = False
    pairwise_distance(x, x, metric)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_identical_rows_are_at_distance_zero(scale):
    x = np.random.default_rng(3).standard_normal((50, 512), dtype=np.float32) * np.float32(scale)
    assert pairwise_distance(x, x, "euclidean").diagonal().tolist() == [0.0] * 50


def test_near_identical_rows_keep_their_order():
    rng = np.random.default_rng(4)
    base, direction = rng.standard_normal((1, 512)), rng.standard_normal((1, 512))
    steps = np.arange(1, 20)[:, None] * 2e-5  # far below what |x|^2 + |y|^2 - 2xy can resolve
    gallery = (base + steps * direction).astype(np.float32)
    dist = pairwise_distance(base.astype(np.float32), gallery)[0]
    assert (np.diff(dist) > 0).all()


def test_no_distance_is_negative():
    x = np.random.default_rng(5).random((200, 300), dtype=np.float32)
    for metric in METRICS:
        assert pairwise_distance(x, x, metric).min() >= 0


def test_half_and_integer_features_are_computed_in_float32():
    x = torch.arange(12).reshape(3, 4)
    assert pairwise_distance(x, x.half(), "sqeuclidean").tolist() == [
        [0.0, 64.0, 256.0],
        [64.0, 0.0, 64.0],
        [256.0, 64.0, 0.0],
    ]


GOOD = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("x", "y", "metric", "message"),
    [
        (GOOD, GOOD, "euclidian", "unknown metric 'euclidian'; did you mean 'euclidean'"),
        (GOOD, np.ones((2, 4)), "euclidean", "query features have 3 columns, gallery features 4"),
        (np.array([[1.0], [np.nan]]), GOOD, "euclidean", "query features hold NaN.*row 1"),
        (GOOD, GOOD * np.inf, "euclidean", "gallery features hold NaN or infinite.*row 0"),
        (GOOD[:0], GOOD, "euclidean", "query features are empty"),
        (GOOD, GOOD[:, :0], "euclidean", "gallery features are empty"),
        (GOOD[0], GOOD, "euclidean", r"query features must be \(N, D\)"),
        ({1.0}, GOOD, "euclidean", "must be a numpy array, a tensor or a list, got set"),
        (GOOD, GOOD * 0, "cosine", "gallery feature 0 is all zeros"),
        (GOOD * 0, GOOD, "cosine", "query feature 0 is all zeros"),
    ],
)
def test_bad_input_is_named(x, y, metric, message):
    with pytest.raises(InputError, match=message):
        pairwise_distance(x, y, metric)
