"""Verification: each figure beside a count over all pairs, one by one."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from reid.evaluation.features import Features
from reid.evaluation.verification import pairs as pairs_module
from reid.evaluation.verification import thresholds as thresholds_module
from reid.evaluation.verification import verification, verification_rates, verification_thresholds
from reid.evaluation.verification.calibration import Calibration, calibrate
from reid.evaluation.verification.files import read_verification, write_verification
from reid.evaluation.verification.pairs import BINS, collect, make_pairs
from reid.evaluation.verification.resampling import interval
from reid.evaluation.verification.wording import sentence, sentences
from reid.utils.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import simulate_verification


def side(angles: list[float], pids: list[int], camids: list[int], length: float = 1.0) -> Features:
    """Features in the plane; the score of two is the cosine of the angle between them."""
    turned = np.radians(np.array(angles, np.float64))
    feats = length * np.stack([np.cos(turned), np.sin(turned)], axis=1)
    return Features(torch.tensor(feats, dtype=torch.float32), np.array(pids), np.array(camids))


# Query 0 is person 1 in camera 0, query 1 person 2 in camera 1; -1 is nobody.
QUERY = side([0, 90], [1, 2], [0, 1], length=3.0)
# 20 degrees is a true pair of query 0; 5 degrees is junk, of its camera; the 2 at 70 degrees is a
# true pair of query 1; 60 degrees is a third person; the last is nobody, and counts nowhere.
GALLERY = side([20, 5, 70, 60, 0], [1, 1, 2, 3, -1], [1, 0, 0, 0, 1])


def random_sides(seed: int = 0, people: int = 12, noise: float = 1.0) -> tuple[Features, Features]:
    """Two sides of random people in three cameras, some of them on one side only."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people + 1, 6))
    sides = []
    for number, low in ((40, 0), (150, 1)):
        pids = rng.integers(low, people - 1 + low, number)
        feats = centers[pids] + noise * rng.normal(size=(number, 6))
        feats[::7] = np.round(feats[::7])  # some features are equal, and so are scores
        parts = (torch.tensor(feats, dtype=torch.float32), pids, rng.integers(0, 3, number))
        sides.append(Features(*parts))
    return sides[0], sides[1]


def all_pairs(query: Features, gallery: Features) -> tuple[list[tuple[int, int]], ...]:
    """True pairs and impostor pairs under cross_camera, one by one."""
    true, impostor = [], []
    for q, (pid, camid) in enumerate(zip(query.pids, query.camids, strict=True)):
        for g, (other, there) in enumerate(zip(gallery.pids, gallery.camids, strict=True)):
            if pid != other and -1 not in (pid, other):
                impostor.append((q, g))
            elif pid == other != -1 and camid != there:
                true.append((q, g))
    return true, impostor


def scores_of(query: Features, gallery: Features) -> np.ndarray:
    lengths = [torch.linalg.vector_norm(s.feats, dim=1, keepdim=True) for s in (query, gallery)]
    product = (query.feats / lengths[0]) @ (gallery.feats / lengths[1]).T
    return product.clamp(-1, 1).numpy()


def test_pairs_of_two_queries_are_counted_by_hand() -> None:
    pairs = make_pairs(QUERY, GALLERY, "cross_camera")
    assert (pairs.num_true, pairs.num_impostor, pairs.num_people) == (2, 5, 3)
    scores = collect(pairs)
    degrees = np.degrees(np.arccos(np.sort(scores.true)[::-1].astype(float)))
    assert degrees == pytest.approx([20, 20], abs=0.01)
    degrees = np.degrees(np.arccos(scores.high.astype(float)))
    assert degrees == pytest.approx([30, 60, 70, 70, 85], abs=0.01)
    assert scores.true_counts.sum() == 2 and scores.impostor_counts.sum() == 5
    rates = verification_rates(QUERY, GALLERY, "cross_camera", [np.cos(np.radians(65)), 0.99])
    assert rates[0] | {"threshold": 0} == {
        "threshold": 0, "false": 2 / 5, "found": 1.0, "passed": 2, "lost": 0,
    }  # fmt: skip
    assert (rates[1]["passed"], rates[1]["lost"]) == (0, 2)
    # Under any_camera the image of the query's camera is a true pair, too.
    assert make_pairs(QUERY, GALLERY, "any_camera").num_true == 3


@pytest.mark.parametrize("block", [1, 1 << 23])
def test_scores_are_those_of_a_count_over_all_pairs(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs_module, "BLOCK", block)
    monkeypatch.setattr(pairs_module, "LEAST_KEPT", 300)  # the tail is cut while it is collected
    query, gallery = random_sides()
    found = collect(make_pairs(query, gallery, "cross_camera"))
    scores = scores_of(query, gallery)
    true, impostor = all_pairs(query, gallery)
    keys = zip(found.true_query.tolist(), found.true_gallery.tolist(), strict=True)
    kept = dict(zip(keys, zip(found.true, found.ahead, strict=True), strict=True))
    assert sorted(kept) == sorted(true)
    for (q, g), (score, ahead) in kept.items():
        assert score == pytest.approx(scores[q, g], abs=1e-6)
        before = [h for p, h in impostor if p == q and (-scores[q, h], h) < (-scores[q, g], g)]
        assert ahead == len(before)
    every = np.sort([scores[pair] for pair in impostor])[::-1]
    assert len(found.high) == 300
    np.testing.assert_allclose(found.high, every[:300], atol=1e-6)
    own = [scores[pair] for pair in zip(found.high_query, found.high_gallery, strict=True)]
    np.testing.assert_allclose(found.high, own, atol=1e-6)
    for q, best in enumerate(found.best_impostor):
        mine = [scores[pair] for pair in impostor if pair[0] == q]
        assert best == pytest.approx(max(mine), abs=1e-6)
    above = np.cumsum(found.impostor_counts.sum(axis=0)[::-1])[::-1]
    lower = 2 * np.arange(BINS) / BINS - 1
    rising = every[::-1].astype(float)
    least, most = (len(rising) - np.searchsorted(rising, lower + d) for d in (1e-6, -1e-6))
    assert ((least <= above) & (above <= most)).all()  # a score at a bound may be rounded


def test_thresholds_roc_and_strangers_equal_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = random_sides()
    found = verification(query, gallery)
    scores = scores_of(query, gallery)
    true, impostor = (np.array([scores[p] for p in ps]) for ps in all_pairs(query, gallery))
    assert (found["true_pairs"], found["impostor_pairs"]) == (len(true), len(impostor))
    (point,) = found["thresholds"]  # 1e-3 would need 10 000 impostor pairs
    assert point["rate"] == 1e-2
    bound = np.float32(point["threshold"])
    assert point["accepted"] == (impostor > bound).sum() <= len(impostor) / 100
    lower = impostor[impostor <= bound].max()  # the next lower threshold lets too many pass
    assert (impostor >= lower).sum() > len(impostor) / 100
    assert point["found"] == (true > bound).mean()
    assert point["false_low"] <= point["false"] <= point["false_high"]
    assert point["found_low"] <= point["found"] <= point["found_high"]
    assert [note.split(":")[0] for note in found["notes"]] == [
        "too few impostor pairs for a rate of 0.001",
        "too few impostor pairs for a rate of 0.0001",
        "too few queries for a false alarm rate of 0.1",
        "too few queries for a false alarm rate of 0.01",
    ]
    for one in found["roc"]:
        assert one["false"] == (impostor > np.float32(one["threshold"])).mean()
        assert one["found"] == pytest.approx((true > np.float32(one["threshold"])).mean())
    assert verification_thresholds(query, gallery, "cross_camera") == {"0.01": point["threshold"]}


def test_strangers_are_queries_whose_person_is_taken_out() -> None:
    query, gallery = random_sides(people=30)
    query = Features(*(torch.cat([query.feats] * 4), *(np.tile(i, 4) for i in query[1:3])))
    found = verification(query, gallery)["open_set"]
    scores = scores_of(query, gallery)
    true, impostor = all_pairs(query, gallery)
    best = [max(scores[p] for p in impostor if p[0] == q) for q in range(len(query.pids))]
    (point,) = found["rates"]
    assert point["rate"] == 0.1 and found["strangers"] == len(best) == 160
    assert point["false"] == np.mean(best > np.float32(point["threshold"])) <= 0.1
    right = []
    for q in sorted({q for q, _ in true}):
        mine = max(scores[p] for p in true if p[0] == q)
        right.append(mine > best[q] and mine > np.float32(point["threshold"]))
    assert found["known"] == len(right) and point["found"] == np.mean(right)


def test_ap_by_cameras_leaves_out_matches_of_others() -> None:
    query, gallery = random_sides(noise=2.0)
    table = verification(query, gallery)["cameras"]
    scores = scores_of(query, gallery)
    true, impostor = all_pairs(query, gallery)
    assert table["query"] == table["gallery"] == [0, 1, 2]
    for own in range(3):
        for other in range(3):
            precisions = []
            for q in np.flatnonzero(query.camids == own):
                hits = [g for p, g in true if p == q and gallery.camids[g] == other]
                wrong = [g for p, g in impostor if p == q]
                order = sorted(hits + wrong, key=lambda g: (-scores[q, g], g))
                places = [place for place, g in enumerate(order, 1) if g in hits]
                if places:
                    precisions.append(np.mean([i / p for i, p in enumerate(places, 1)]))
            assert table["queries"][own][other] == len(precisions)
            expected = pytest.approx(np.mean(precisions)) if precisions else None
            assert table["ap"][own][other] == expected


def test_one_camera_has_no_table_of_cameras() -> None:
    query, gallery = random_sides()
    none = [s._replace(camids=np.full(len(s.pids), -1)) for s in (query, gallery)]
    assert verification(*none, "any_camera")["cameras"] is None


def test_the_curve_finds_the_law_that_made_the_scores() -> None:
    """Normal scores of two kinds with one spread have a logistic posterior: by hand."""
    rng = np.random.default_rng(1)
    query, gallery = random_sides()
    found = collect(make_pairs(query, gallery, "cross_camera"))
    counts = [
        np.stack([np.histogram(rng.normal(mean, 0.1, 200_000), BINS, (-1, 1))[0]] * 3)
        for mean in (0.4, 0.1)
    ]
    for name, value in zip(("true_counts", "impostor_counts"), counts, strict=True):
        object.__setattr__(found, name, value)
    curve = calibrate(found)
    # log(p / (1 - p)) = (m1 - m0) / s^2 * (x - (m1 + m0) / 2) = 30 x - 7.5
    assert curve.slope == pytest.approx(30, rel=0.02)
    assert curve.intercept == pytest.approx(-7.5, rel=0.02)
    assert curve.error < 0.01
    assert curve.probability(0.25) == pytest.approx(0.5, abs=0.02)
    assert Calibration(1e6, 0, 0).probability(-1) == 0.0


def test_separated_scores_have_a_finite_curve() -> None:
    query = side([0, 90, 180], [1, 2, 3], [0, 0, 0])
    gallery = side([1, 91, 181], [1, 2, 3], [1, 1, 1])
    curve = calibrate(collect(make_pairs(query, gallery, "cross_camera")))
    assert np.isfinite([curve.slope, curve.intercept]).all() and curve.slope > 0
    assert np.isnan(curve.error)


def test_intervals_cover_what_they_should_on_simulated_people() -> None:
    """A short form of scripts/simulate_verification.py: 80 sets of 40 people.

    The bound is one that an honest interval misses once in a thousand times: of 80 draws of 95 %,
    fewer than 69 cover with probability 0.001.
    """
    covered = simulate_verification.coverage(people=40, sets=80, resamples=200, seed=3)
    assert (covered >= 69 / 80).all(), covered


def test_the_interval_of_a_share_covers_95_percent() -> None:
    """2000 sets of 40 people, whose shares differ as those of true pairs do: 0.91 is noticed.

    A share of 95 % of 2000 has a standard error of 0.5 points.
    """
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(40, np.full(40, 1 / 40), (20, 500)) / 40
    covered = 0
    for number in range(2000):
        shares = rng.binomial(16, rng.beta(0.8, 1.0, 40)) / 16
        low, high = interval(drawn[number % 20] @ shares, 40)
        covered += low <= 0.8 / 1.8 <= high
    assert 0.935 <= covered / 2000 <= 0.965


def test_too_many_pairs_are_those_of_evenly_spaced_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = random_sides()
    monkeypatch.setattr(pairs_module, "MOST_PAIRS", 1500)
    found = verification(query, gallery)
    assert (found["queries"], found["queries_given"]) == (10, 40)
    some = np.arange(10) * 4
    chosen = Features(query.feats[some], query.pids[some], query.camids[some])
    assert make_pairs(chosen, gallery, "cross_camera").num_impostor == found["impostor_pairs"]


def test_equal_scores_are_not_told_apart() -> None:
    """A model that gives all images one feature accepts nothing, and finds nothing."""
    query, gallery = (s._replace(feats=torch.ones_like(s.feats)) for s in random_sides())
    (point,) = verification(query, gallery)["thresholds"]
    assert (point["accepted"], point["found"]) == (0, 0.0)


def test_no_interval_of_one_person() -> None:
    query = side([0] * 40, [1] * 40, [0] * 40)
    gallery = side([1.0 * i for i in range(60)], [1, *range(2, 61)], [1] * 60)
    (point,) = verification(query, gallery)["thresholds"]
    assert point["false_low"] is None and "95 %" not in sentence(point)


@pytest.mark.parametrize(
    ("query", "gallery", "problem"),
    [
        (side([0], [1], [0]), side([0], [1], [1]), "no impostor pair"),
        (side([0], [1], [0]), side([0, 1], [1, 2], [0, 0]), "no true pair"),
        (side([0], [-1], [0]), side([0], [1], [1]), "known people"),
    ],
)
def test_pairs_of_one_kind_are_refused(query: Features, gallery: Features, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        verification(query, gallery)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    record = verification(*random_sides())
    write_verification(tmp_path / "a.json", record)
    found = read_verification(tmp_path / "a.json")
    assert sentences(found) == sentences(record)
    assert found["cameras"] == record["cameras"]
    for one, other in zip(found["thresholds"], record["thresholds"], strict=True):
        assert one.items() <= other.items()
    (tmp_path / "b.json").write_text('{"score": 1}')
    with pytest.raises(InputError, match="'score' must be text"):
        read_verification(tmp_path / "b.json")


def test_the_sentence_says_what_a_threshold_does() -> None:
    point = {"threshold": 0.63, "false": 0.001, "found": 0.82}
    assert sentence(point) == "same person above 0.63: 0.1 % false, 82 % found"
    assert thresholds_module.too_few(1e-4, 99_999).endswith("10 false accepts need 100000")
    assert thresholds_module.too_few(1e-4, 100_000) == ""
