import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textbook import rank_by_sorting

from reid.evaluation import counting, evaluate_features, evaluate_rank, loops
from reid.evaluation import ranking as ranking_module
from reid.utils.errors import InputError


@pytest.fixture(params=["sorted", "counted"], autouse=True)
def way(request, monkeypatch):
    """Every test of this file runs both ways: as a small evaluation does, and as a large one."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if request.param == "counted" else 2**60)
    # Both share rows out among as many threads, also where tests/conftest.py gives torch one.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return request.param


def draw_ids(rng, num_query, num_gallery, num_ids):
    return (
        rng.integers(-1, num_ids, num_query),
        rng.integers(-1, num_ids, num_gallery),
        rng.integers(0, 3, num_query),
        rng.integers(0, 3, num_gallery),
    )


def check_equals_sorting(dist, ids):
    expected = rank_by_sorting(dist, *ids)
    if not expected:
        with pytest.raises(InputError, match="has a match"):
            evaluate_rank(dist, *ids)
        return 0
    ranking = evaluate_rank(dist, *ids)
    query, ap, inp, first_hit = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_array_equal(ranking.query_index, query)
    np.testing.assert_array_equal(ranking.first_hit, first_hit)
    np.testing.assert_allclose(ranking.ap, ap, rtol=1e-12)
    np.testing.assert_allclose(ranking.inp, inp, rtol=1e-12)
    assert ranking.num_skipped == len(dist) - len(query)
    return len(query)


def equal(a, b):
    fields = ("ap", "inp", "first_hit", "query_index", "cmc")
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in fields)


# One query of identity 1 on camera 0. Kept, nearest first: 2, 1, 3, 1, 2 -> hits at ranks 2 and 4.
Q_IDS, G_PIDS = [1], [1, 2, 1, -1, 3, 1, 2]
Q_CAMS, G_CAMS = [0], [0, 0, 1, 1, 1, 2, 1]
DIST = [[0.0, 0.1, 0.2, 0.05, 0.3, 0.4, 0.5]]


def example(dist, q_pids, g_pids, q_camids, g_camids):
    return evaluate_rank(np.array(dist), *map(np.array, (q_pids, g_pids, q_camids, g_camids)))


def test_hand_computed_example():
    ranking = example(DIST, Q_IDS, G_PIDS, Q_CAMS, G_CAMS)
    assert ranking.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert ranking.mINP == pytest.approx(2 / 4)
    assert ranking.first_hit.tolist() == [1]
    assert ranking.cmc.tolist() == [0, 1, 1, 1, 1, 1, 1]  # as long as the gallery, at most 50


def test_query_without_match_is_counted_and_left_out():
    ranking = example(DIST * 3, [9, 1, -1], G_PIDS, [0, 0, 0], G_CAMS)
    assert ranking.query_index.tolist() == [1]
    assert (ranking.num_queries, ranking.num_skipped) == (3, 2)
    assert ranking.mAP == pytest.approx(0.5)


def test_copy_of_the_query_in_its_own_camera_is_ignored():
    without = example([[0.2, 0.1]], [1], [1, 2], [0], [1, 1])
    with_copy = example([[0.2, 0.1, 0.0]], [1], [1, 2, 1], [0], [1, 1, 0])
    assert with_copy.ap == without.ap == [0.5]


def test_equal_distances_rank_by_gallery_index():
    assert example([[1.0, 1.0]], [1], [1, 2], [0], [1, 1]).ap == [1.0]
    assert example([[1.0, 1.0]], [1], [2, 1], [0], [1, 1]).ap == [0.5]


def test_both_zeros_are_the_same_distance():
    assert example(np.float32([[0.0, -0.0]]), [1], [2, 1], [0], [1, 1]).ap == [0.5]
    assert example(np.float32([[0.0, -0.0]]), [1], [1, 2], [0], [1, 1]).ap == [1.0]


def test_summary_of_a_gallery_of_two_repeats_its_last_rank():
    summary = example([[0.2, 0.1]], [1], [1, 2], [0], [1, 1]).summary()
    assert summary == {
        "mAP": 0.5,
        "mINP": 0.5,
        "rank1": 0.0,
        "rank5": 1.0,
        "rank10": 1.0,
        "num_queries": 1,
        "num_skipped": 0,
    }


@pytest.mark.parametrize("seed", range(12))
def test_equals_sorting_on_random_distances(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        num_query, num_gallery = rng.integers(1, 80), rng.integers(1, 120)
        dist = rng.random((num_query, num_gallery), dtype=np.float32)
        check_equals_sorting(dist, draw_ids(rng, num_query, num_gallery, rng.integers(1, 30)))


@pytest.mark.parametrize("levels", [1, 2, 5, 30])
def test_equals_sorting_where_most_distances_are_equal(levels):
    rng = np.random.default_rng(levels)
    valid = 0
    for _ in range(20):
        dist = rng.integers(0, levels, (40, 90)).astype(np.float32)
        valid += check_equals_sorting(dist, draw_ids(rng, 40, 90, rng.integers(1, 12)))
    assert valid > 400


def test_equals_sorting_with_negative_distances():
    rng = np.random.default_rng(3)
    negative = -rng.random((40, 90), dtype=np.float32)
    assert check_equals_sorting(negative, draw_ids(rng, 40, 90, 5)) > 20


def test_equals_sorting_when_every_identity_has_one_image():
    rng = np.random.default_rng(4)
    ids = (np.arange(30), rng.permutation(50), np.zeros(30, int), np.ones(50, int))
    assert check_equals_sorting(rng.random((30, 50)), ids) == 30


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_equals_sorting_on_whatever_hypothesis_draws(data):
    num_query, num_gallery = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 12))
    numbers = st.sampled_from([-1.5, -0.0, 0.0, 1e-45, 0.5, 1.0, 3e38])

    def draw(elements, count):
        return data.draw(st.lists(elements, min_size=count, max_size=count))

    dist = np.float32(draw(numbers, num_query * num_gallery)).reshape(num_query, num_gallery)
    pids, cams = st.integers(-1, 3), st.integers(0, 2)
    ids = [draw(pids, num_query), draw(pids, num_gallery)]
    ids += [draw(cams, num_query), draw(cams, num_gallery)]
    check_equals_sorting(dist, tuple(map(np.array, ids)))


def test_shuffled_gallery_gives_the_same_metrics():
    rng = np.random.default_rng(5)
    dist = rng.permutation(60 * 70).reshape(60, 70).astype(np.float32)
    q_pids, g_pids, q_camids, g_camids = draw_ids(rng, 60, 70, 9)
    order = rng.permutation(70)
    shuffled = evaluate_rank(dist[:, order], q_pids, g_pids[order], q_camids, g_camids[order])
    assert equal(evaluate_rank(dist, q_pids, g_pids, q_camids, g_camids), shuffled)


@pytest.mark.parametrize(
    "convert",
    [
        lambda dist: dist.astype(np.float64),
        lambda dist: dist.astype(np.int32),
        lambda dist: dist.astype(np.float16),
        lambda dist: np.asfortranarray(dist),
        lambda dist: torch.from_numpy(dist),
        lambda dist: torch.from_numpy(dist).double().requires_grad_(),
        lambda dist: torch.from_numpy(dist).bfloat16(),
    ],
)
def test_kind_of_the_matrix_does_not_matter(convert):
    rng = np.random.default_rng(6)
    dist = rng.integers(0, 200, (70, 90)).astype(np.float32)  # exact in every type above
    ids = draw_ids(rng, 70, 90, 9)
    as_tensors = [torch.from_numpy(values) for values in ids]
    assert equal(evaluate_rank(dist, *ids), evaluate_rank(convert(dist), *as_tensors))


def test_input_matrix_is_not_written_to():
    rng = np.random.default_rng(7)
    dist = rng.random((40, 50))
    before = dist.copy()
    dist.flags.writeable = False
    evaluate_rank(dist, *draw_ids(rng, 40, 50, 5))
    np.testing.assert_array_equal(dist, before)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_block_size_does_not_matter(block, monkeypatch):
    rng = np.random.default_rng(8)
    dist, ids = rng.integers(0, 50, (90, 80)).astype(np.float32), draw_ids(rng, 90, 80, 6)
    expected = evaluate_rank(dist, *ids)
    monkeypatch.setattr(ranking_module, "BLOCK", block)
    assert equal(evaluate_rank(dist, *ids), expected)


def test_each_way_is_taken(way):
    taken = counting.rank_rows_for(100)
    assert (taken is counting.sort_ranks) == (way == "sorted")
    if way == "counted":
        assert taken.nopython_signatures is not None  # numba's, not Python's


def test_without_numba_a_large_evaluation_sorts(monkeypatch):
    monkeypatch.setitem(sys.modules, "reid.evaluation.compiled", None)
    assert counting.rank_rows_for(2**60) is counting.sort_ranks


def test_compiled_loop_is_left_alone_until_it_pays():
    code = (
        "import sys, numpy as np; from reid.evaluation import evaluate_rank; one = np.ones(1, int);"
        "evaluate_rank(np.ones((1, 1)), one, one, one, 2 * one); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("width", [1, 127, 128, 129, 256, 700])
def test_widths_around_those_of_the_registers(width):
    rng = np.random.default_rng(width)
    for _ in range(10):
        dist = rng.integers(0, 99, (20, width)).astype(np.float32)
        check_equals_sorting(dist, draw_ids(rng, 20, width, 4))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column", [0, 100, 299])
def test_a_distance_that_is_not_finite_is_found_wherever_it_is(bad, dtype, column):
    rng = np.random.default_rng(0)
    dist = rng.random((80, 300)).astype(dtype)
    dist[70, column] = bad
    with pytest.raises(InputError, match="NaN or infinite values, first for query 70"):
        evaluate_rank(dist, *draw_ids(rng, 80, 300, 5))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_streamed_features_equal_the_matrix_bit_for_bit(chunk, metric):
    rng = np.random.default_rng(9)
    query, gallery = (rng.integers(-4, 5, (n, 6)).astype(np.float32) for n in (60, 90))
    ids = draw_ids(rng, 60, 90, 8)
    # Products of small integers are exact, so the distances are the same bits in any chunk.
    square = ((query[:, None] - gallery[None]) ** 2).sum(-1)
    dist = square if metric == "sqeuclidean" else np.sqrt(square)
    assert equal(
        evaluate_features(query, gallery, *ids, metric=metric, chunk=chunk),
        evaluate_rank(dist, *ids),
    )


def test_duplicated_feature_set_ranks_itself_first():
    features = np.random.default_rng(10).standard_normal((40, 64), dtype=np.float32)
    pids = np.arange(40)
    ranking = evaluate_features(features, features, pids, pids, pids * 0, pids * 0 + 1)
    assert ranking.mAP == ranking.cmc[0] == 1.0


def test_max_rank_shortens_the_curve():
    rng = np.random.default_rng(11)
    ranking = evaluate_rank(rng.random((20, 90)), *draw_ids(rng, 20, 90, 4), max_rank=3)
    assert len(ranking.cmc) == 3


GOOD = (np.zeros((2, 3)), np.ones(2, int), np.ones(3, int), np.zeros(2, int), np.ones(3, int))


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.full((2, 3), np.nan), "NaN or infinite values, first for query 0"),
        (0, np.array([[0, 1, 2], [0, np.inf, 1]]), "first for query 1"),
        (0, np.zeros((2, 0)), "not empty"),
        (0, np.zeros(3), r"\(Q, G\)"),
        (1, np.ones(3, int), r"q_pids must have shape \(2,\), got \(3,\)"),
        (2, np.ones(3), "g_pids must be integers, got float64"),
        (3, torch.zeros(2), "q_camids must be integers"),
        (4, np.zeros((3, 1), int), "g_camids must have shape"),
        (4, np.zeros(3, int), "none of the 2 queries has a match"),
    ],
)
def test_bad_input_is_named(position, value, message):
    arguments = list(GOOD)
    arguments[position] = value
    with pytest.raises(InputError, match=message):
        evaluate_rank(*arguments)


@pytest.mark.parametrize("setting", [{"chunk": 0}, {"max_rank": 0}, {"metric": "cosin"}])
def test_bad_setting_is_named(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        evaluate_features(np.ones((2, 4)), np.ones((3, 4)), *GOOD[1:], **setting)
