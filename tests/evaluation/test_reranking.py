import numpy as np
import pytest
import torch
from textbook import dense_re_ranking

from reid.evaluation import encoding as encoding_module
from reid.evaluation import evaluate_rank, evaluate_reranked, loops, re_ranking
from reid.evaluation import neighbors as neighbors_module
from reid.utils.errors import InputError


@pytest.fixture(params=["tensors", "compiled"], autouse=True)
def way(request, monkeypatch):
    """Every test of this file runs both ways: as on a GPU, and as on a CPU with many images."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if request.param == "compiled" else 2**60)
    # Both share rows out among as many threads, also where tests/conftest.py gives torch one.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def clusters(seed, num_query, num_gallery, num_ids=12, dim=16, spread=0.7):
    """Returns (q_feats, g_feats, q_pids, g_pids, q_camids, g_camids) without equal distances."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((num_ids, dim))

    def side(count):
        pids = rng.integers(0, num_ids, count)
        feats = centers[pids] + spread * rng.standard_normal((count, dim))
        return feats.astype(np.float32), pids, rng.integers(0, 3, count)

    query, gallery = side(num_query), side(num_gallery)
    return query[0], gallery[0], query[1], gallery[1], query[2], gallery[2]


@pytest.mark.parametrize(
    ("k1", "k2", "lambda_value"),
    [(20, 6, 0.3), (20, 1, 0.3), (7, 3, 0.0), (5, 9, 0.5), (1, 1, 0.3), (3, 2, 1.0), (50, 15, 0.3)],
)
@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_equals_the_dense_textbook(k1, k2, lambda_value, spread):
    query, gallery = clusters(k1, 30, 120, spread=spread)[:2]
    dist = re_ranking(query, gallery, k1, k2, lambda_value)
    expected = dense_re_ranking(query, gallery, k1, k2, lambda_value)
    np.testing.assert_allclose(dist, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(15))
def test_equals_the_dense_textbook_at_random_sizes(seed):
    rng = np.random.default_rng(seed)
    num_query, num_gallery = rng.integers(1, 40), rng.integers(2, 90)
    k1 = int(rng.integers(1, min(30, num_query + num_gallery)))
    k2 = int(rng.integers(1, min(10, num_query + num_gallery)))
    query, gallery = clusters(seed, num_query, num_gallery, num_ids=rng.integers(1, 20))[:2]
    dist = re_ranking(query, gallery, k1, k2, 0.3)
    np.testing.assert_allclose(dist, dense_re_ranking(query, gallery, k1, k2, 0.3), atol=1e-5)


@pytest.mark.parametrize(
    ("module", "name"),
    [("neighbors", "BLOCK"), ("encoding", "PAIRS"), ("encoding", "OVERLAPS_AT_ONCE")],
)
def test_piece_sizes_do_not_matter(module, name, monkeypatch):
    query, gallery = clusters(1, 40, 150)[:2]
    expected = re_ranking(query, gallery)
    monkeypatch.setattr(
        {"neighbors": neighbors_module, "encoding": encoding_module}[module], name, 13
    )
    np.testing.assert_allclose(re_ranking(query, gallery), expected, rtol=0, atol=1e-6)


def test_gallery_smaller_than_k1_takes_neighbors_among_the_queries():
    query, gallery = clusters(2, 25, 4)[:2]
    expected = dense_re_ranking(query, gallery, 20, 6, 0.3)
    np.testing.assert_allclose(re_ranking(query, gallery), expected, atol=1e-5)


def test_largest_k1_makes_every_image_a_neighbor():
    query, gallery = clusters(3, 6, 9)[:2]
    expected = dense_re_ranking(query, gallery, 14, 6, 0.3)
    np.testing.assert_allclose(re_ranking(query, gallery, k1=14), expected, atol=1e-5)


def test_lambda_one_is_the_squared_distance_over_the_row_maximum():
    query, gallery = clusters(4, 5, 30)[:2]
    square = ((query[:, None] - np.concatenate([query, gallery])[None]) ** 2).sum(-1)
    expected = square[:, 5:] / square.max(axis=1, keepdims=True)
    np.testing.assert_allclose(re_ranking(query, gallery, lambda_value=1), expected, rtol=1e-5)


def test_two_pairs_by_hand():
    # On a line: query 0, gallery 1, 10, 11; k1 = 1, k2 = 1. Each image's neighbour is its partner,
    # so R = {0, 1} for the query and gallery 0, and {10, 11} for the others; H adds nothing.
    # Scaled squared distances: 1/121 within the query's row, 1/100 in gallery 0's.
    dist = re_ranking(np.array([[0.0]]), np.array([[1.0], [10.0], [11.0]]), 1, 1, 0.5)[0]
    own, partner = 1 / (1 + np.exp(-1 / 121)), 1 / (1 + np.exp(-1 / 100))  # weight of oneself
    overlap = (1 - partner) + (1 - own)  # minima at the query and at gallery 0
    jaccard = 1 - overlap / (2 - overlap)
    np.testing.assert_allclose(dist, [jaccard / 2 + 1 / 242, 0.5 + 50 / 121, 1.0], atol=1e-6)


def test_torch_and_numpy_agree_and_keep_their_kind():
    query, gallery = clusters(5, 20, 60)[:2]
    from_numpy = re_ranking(query, gallery)
    from_torch = re_ranking(torch.from_numpy(query), torch.from_numpy(gallery))
    assert isinstance(from_torch, torch.Tensor)
    assert from_numpy.dtype == np.float32
    np.testing.assert_array_equal(from_numpy, from_torch.numpy())


def test_float64_features_give_the_same_distances():
    query, gallery = clusters(6, 20, 60)[:2]
    double = re_ranking(query.astype(np.float64), gallery.astype(np.float64))
    np.testing.assert_array_equal(double, re_ranking(query, gallery))


def test_shuffled_gallery_gives_shuffled_distances():
    query, gallery = clusters(7, 20, 80)[:2]
    order = np.random.default_rng(7).permutation(80)
    shuffled = re_ranking(query, gallery[order])
    np.testing.assert_allclose(shuffled, re_ranking(query, gallery)[:, order], atol=1e-5)


def test_duplicated_feature_set_ranks_itself_first():
    query = clusters(8, 40, 1)[0]
    assert re_ranking(query, query.copy()).argmin(axis=1).tolist() == list(range(40))


def test_identical_images_have_finite_distances():
    same = np.ones((8, 5), np.float32)
    assert np.isfinite(re_ranking(same, same, k1=3, k2=2)).all()


def test_inputs_are_left_alone_and_nothing_is_printed(capfd):
    query, gallery = clusters(9, 10, 30)[:2]
    before = query.copy(), gallery.copy()
    re_ranking(query, gallery)
    np.testing.assert_array_equal(query, before[0])
    np.testing.assert_array_equal(gallery, before[1])
    assert capfd.readouterr() == ("", "")


def test_streamed_ranking_equals_the_matrix_bit_for_bit():
    data = clusters(10, 50, 200)
    streamed, matrix = evaluate_reranked(*data), evaluate_rank(re_ranking(*data[:2]), *data[2:])
    np.testing.assert_array_equal(streamed.ap, matrix.ap)
    np.testing.assert_array_equal(streamed.inp, matrix.inp)
    np.testing.assert_array_equal(streamed.first_hit, matrix.first_hit)


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_chunk_size_does_not_matter(chunk):
    data = clusters(11, 50, 200)
    expected = evaluate_reranked(*data)
    np.testing.assert_allclose(evaluate_reranked(*data, chunk=chunk).ap, expected.ap, rtol=1e-12)


def test_re_ranking_helps_on_clusters():
    data = clusters(12, 50, 200, spread=0.9)
    plain = evaluate_rank(((data[0][:, None] - data[1][None]) ** 2).sum(-1), *data[2:])
    assert evaluate_reranked(*data, k1=15).mAP > plain.mAP + 0.02


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"k1": 8}, r"k1 is 8, but .* 8 query and gallery images allows 1..7: lower k1"),
        ({"k1": 0}, "raise k1"),
        ({"k1": 3, "k2": 0}, "k2 must be in 1..8"),
        ({"k1": 3, "k2": 9}, "k2 must be in 1..8"),
        ({"k1": 3, "lambda_value": 1.5}, r"lambda_value must be in \[0, 1\], got 1.5"),
        ({"k1": 3, "lambda_value": float("nan")}, "lambda_value"),
    ],
)
def test_setting_out_of_range_is_named(setting, message):
    query, gallery = clusters(13, 3, 5)[:2]
    with pytest.raises(InputError, match=message):
        re_ranking(query, gallery, **setting)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_equals_cpu():
    data = clusters(14, 50, 400)
    on_gpu = [torch.from_numpy(feats).cuda() for feats in data[:2]]
    dist = re_ranking(*on_gpu)
    assert dist.is_cuda
    np.testing.assert_allclose(dist.cpu(), re_ranking(*data[:2]), atol=1e-5)
    assert evaluate_reranked(*on_gpu, *data[2:]).mAP == pytest.approx(evaluate_reranked(*data).mAP)
