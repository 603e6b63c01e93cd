"""The two protocols against the slow way, and what an evaluation knows before it begins."""

import numpy as np
import pytest
import torch
from textbook import dense_re_ranking, rank_by_sorting

from reid.evaluation import (
    average_query_expansion,
    count_matched,
    evaluate_features,
    evaluate_rank,
    evaluate_reranked,
    loops,
)
from reid.evaluation.features import Features
from reid.evaluation.protocol import ids_hash
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.utils.errors import ArgumentError, InputError

BOTH = pytest.mark.parametrize("protocol", ["cross_camera", "any_camera"])


@pytest.fixture(params=["sorted", "counted"])
def _way(request, monkeypatch):
    """As a small evaluation does it, and as a large one."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if request.param == "counted" else 2**60)


def draw(seed, num_query=40, num_gallery=60, num_ids=8, cameras=3):
    """Draws ids of both sides, and numbers of pictures: some queries lie in the gallery, twice."""
    rng = np.random.default_rng(seed)
    q_pids, g_pids = (rng.integers(-1, num_ids, n) for n in (num_query, num_gallery))
    q_cams, g_cams = (rng.integers(0, cameras, n) for n in (num_query, num_gallery))
    pictures = np.arange(num_query), np.arange(num_gallery) + num_query
    for g in range(0, num_gallery, 3):
        q = g % 20
        g_pids[g], g_cams[g], pictures[1][g] = q_pids[q], q_cams[q], pictures[0][q]
    return rng, (q_pids, g_pids, q_cams, g_cams), pictures


def check(ranking, expected):
    query, ap, inp, first_hit = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_array_equal(ranking.query_index, query)
    np.testing.assert_array_equal(ranking.first_hit, first_hit)
    np.testing.assert_allclose(ranking.ap, ap, rtol=1e-9)
    np.testing.assert_allclose(ranking.inp, inp, rtol=1e-9)


@BOTH
@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("known", [True, False], ids=["numbered", "not numbered"])
@pytest.mark.parametrize("levels", [2, 1000], ids=["ties", "few ties"])
def test_a_ranking_is_that_of_the_textbook(protocol, known, levels):
    for seed in range(8):
        rng, ids, pictures = draw(seed)
        pictures = pictures if known else None
        dist = rng.integers(0, levels, (40, 60)).astype(np.float32)
        expected = rank_by_sorting(dist, *ids, protocol, pictures)
        found = evaluate_rank(dist, *ids, protocol=protocol, pictures=pictures)
        check(found, expected)
        assert found.num_skipped == 40 - len(expected)
        assert count_matched(*ids[::2], *ids[1::2], protocol, pictures) == len(expected)


def test_only_the_own_picture_is_left_out_by_hand():
    # One query of person 1. The gallery, nearest first: its own picture, person 2, and person 1 in
    # the query's camera: the one match that any_camera knows is second.
    q, g = (np.array([1]), np.array([0])), (np.array([1, 2, 1]), np.array([0, 0, 0]))
    pictures = np.array([7]), np.array([7, 8, 9])
    dist = np.array([[0.0, 0.1, 0.2]])
    ids = (q[0], g[0], q[1], g[1])
    ranking = evaluate_rank(dist, *ids, protocol="any_camera", pictures=pictures)
    assert ranking.ap.tolist() == [1 / 2] and ranking.first_hit.tolist() == [1]
    # Without numbers its own picture counts, and cameras are not even needed.
    ranking = evaluate_rank(dist, *ids[:2], None, None, protocol="any_camera")
    assert ranking.ap.tolist() == [(1 / 1 + 2 / 3) / 2]
    with pytest.raises(ArgumentError, match=r"protocol cross_camera: none of the 1 queries"):
        evaluate_rank(dist, *ids)


def test_the_default_is_cross_camera():
    rng, ids, pictures = draw(3)
    dist = rng.random((40, 60))
    one, two = evaluate_rank(dist, *ids), evaluate_rank(dist, *ids, pictures=pictures)
    three = evaluate_rank(dist, *ids, protocol="cross_camera")
    assert one.ap.tolist() == two.ap.tolist() == three.ap.tolist()


@BOTH
def test_every_ranking_of_features_obeys_the_protocol(protocol):
    rng, ids, pictures = draw(5)
    query, gallery = (rng.standard_normal((n, 6)).astype(np.float32) for n in (40, 60))
    for q in range(0, 20, 3):  # its own picture in the gallery has the features of the query
        gallery[pictures[1] == pictures[0][q]] = query[q]
    sides = [
        Features(torch.from_numpy(feats), pids, camids, numbers)
        for feats, pids, camids, numbers in zip(
            (query, gallery), ids[:2], ids[2:], pictures, strict=True
        )
    ]
    settings = ReRanking(6, 3, 0.3), Expansion(4, 1.0)
    found = dict(Retrieval("sqeuclidean", 7, *settings, protocol).rankings(*sides))
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    expanded = average_query_expansion(query, gallery, 4, 1.0)
    square = ((query[:, None] - gallery[None]) ** 2).sum(-1)
    near = ((expanded[:, None] - unit[None]) ** 2).sum(-1)
    distances = {
        "plain": square,
        "re-ranked": dense_re_ranking(query, gallery, 6, 3, 0.3),
        "AQE": near,
        "AQE, re-ranked": dense_re_ranking(expanded, unit, 6, 3, 0.3),
    }
    assert list(found) == list(distances)
    for name, dist in distances.items():
        expected = rank_by_sorting(dist, *ids, protocol, pictures)
        np.testing.assert_array_equal(found[name].query_index, [row[0] for row in expected])
        # Equal features tie up to rounding, which may swap two of them.
        assert found[name].mAP == pytest.approx(np.mean([row[1] for row in expected]), abs=0.005)


@BOTH
def test_a_copy_of_every_query_in_the_gallery_changes_nothing(protocol):
    rng, ids, _ = draw(6)
    q_pids, g_pids, q_cams, g_cams = ids
    query, gallery = (rng.standard_normal((n, 6)).astype(np.float32) for n in (40, 60))
    people = np.flatnonzero(q_pids != -1)
    copies = [
        np.concatenate([one, two[people]])
        for one, two in ((gallery, query), (g_pids, q_pids), (g_cams, q_cams))
    ]
    # One query after another: the copy of one is a match of the others.
    for q in people[:12]:
        few = [
            np.concatenate([rows[:60], rows[60 + np.flatnonzero(people == q)]]) for rows in copies
        ]
        own = np.array([5]), np.concatenate([np.arange(60) + 100, [5]])
        one = (query[[q]], q_pids[[q]], q_cams[[q]])
        args = (one[0], gallery, one[1], g_pids, one[2], g_cams)
        rule = {"protocol": protocol}
        alone = evaluate_features(*args, **rule)
        with_copy = evaluate_features(
            one[0], few[0], one[1], few[1], one[2], few[2], **rule, pictures=own
        )
        assert alone.ap == with_copy.ap and alone.first_hit == with_copy.first_hit


def test_one_camera_and_none_are_alike_under_any_camera():
    rng, (q_pids, g_pids, _, _), pictures = draw(7)
    feats = [rng.standard_normal((n, 6)) for n in (40, 60)]
    rule = {"protocol": "any_camera", "pictures": pictures}
    cameras = [(None, None), (np.zeros(40, int), np.zeros(60, int)), (np.full(40, -1), None)]
    found = [evaluate_features(*feats, q_pids, g_pids, *both, **rule).ap for both in cameras]
    found += [evaluate_features(*feats, q_pids, g_pids, np.arange(40), np.arange(60), **rule).ap]
    assert all(np.array_equal(found[0], ap) for ap in found[1:])


def test_re_ranking_under_any_camera_needs_no_cameras():
    rng, (q_pids, g_pids, _, _), pictures = draw(8)
    feats = [rng.standard_normal((n, 6)) for n in (40, 60)]
    dist = dense_re_ranking(*feats, 6, 3, 0.3)
    expected = rank_by_sorting(dist, q_pids, g_pids, None, None, "any_camera", pictures)
    found = evaluate_reranked(
        *feats, q_pids, g_pids, None, None, 6, 3, 0.3, protocol="any_camera", pictures=pictures
    )
    np.testing.assert_allclose(found.ap, [row[1] for row in expected], rtol=1e-6)


ONES = (np.ones(2, int), np.ones(3, int), np.zeros(2, int), np.ones(3, int))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": "any"}, "protocol is an unknown protocol 'any'; did you mean 'any_camera'?"),
        ({"protocol": "any_camera", "pictures": (ONES[0],) * 2}, r"pictures\[1\] must have shape"),
        ({"protocol": "any_camera", "pictures": (ONES[0], ONES[1] * 0.5)}, "must be integers"),
    ],
)
def test_a_wrong_protocol_is_named(change, said):
    with pytest.raises(ArgumentError, match=said):
        evaluate_rank(np.zeros((2, 3)), *ONES, **change)


def test_without_cameras_cross_camera_says_what_it_needs():
    with pytest.raises(ArgumentError, match="protocol cross_camera needs the cameras"):
        evaluate_rank(np.zeros((2, 3)), *ONES[:2], None, None)


@pytest.mark.parametrize(
    ("change", "said"), [("cross_camera", "any_camera"), ("any_camera", "own")]
)
def test_no_match_at_all_names_the_way_out(change, said):
    pids = np.array([1, 2])
    args = (pids, pids, pids * 0, pids * 0)
    rule = {"protocol": change, "pictures": (pids, pids)}
    with pytest.raises(InputError, match=f"none of the 2 queries has a match.*{said}"):
        evaluate_rank(np.zeros((2, 2)), *args, **rule)
    assert count_matched(pids, pids * 0, pids, pids * 0, **rule) == 0


def test_counting_takes_one_person_in_a_large_gallery():
    one = np.ones(50_000, np.int64)  # its pairs would be 2.5 thousand million
    camera = np.arange(50_000) % 2
    assert count_matched(one, camera, one, camera * 0 + 1) == 25_000
    assert count_matched(one, None, one, None, "any_camera") == 50_000


def test_counting_an_empty_side():
    none = np.zeros(0, np.int64)
    assert count_matched(none, none, ONES[1], ONES[3]) == 0
    assert count_matched(ONES[0], ONES[2], none, none) == 0


def test_a_list_of_people_has_one_hash():
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, 9, n) for n in (5, 5, 7, 7)]
    first = ids_hash(*ids)
    assert first == ids_hash(*(x.astype(np.int32) for x in ids)) and len(first) == 12
    for side in range(4):
        other = [x.copy() for x in ids]
        other[side][2] += 1
        assert ids_hash(*other) != first
    moved = [np.append(ids[0], ids[1][0]), ids[1][1:], *ids[2:]]  # the same numbers, cut elsewhere
    assert ids_hash(*moved) != first
