"""Rankings as an attacker computes them, against those of the evaluation and by brute force."""

import itertools

import numpy as np
import pytest
import torch
from test_any_camera import evaluator as one_camera
from test_evaluator import evaluator
from torch import Tensor
from toys import case, linear

from reid.evaluation.features import Features
from reid.evaluation.retrieval import Retrieval
from reid.robustness import rankings
from reid.robustness.guides import Guides
from reid.robustness.objectives import ranking
from reid.robustness.objectives.ranking import Margin, SmoothAP
from reid.robustness.rankings import Rankings
from reid.robustness.rngs import ImageRNGs


def marks(*rows: str) -> Rankings:
    """One ranking a row, of right (r), wrong (w) and junk (j) images."""
    right, wrong = (torch.tensor([[c == mark for c in row] for row in rows]) for mark in "rw")
    return Rankings(torch.eye(len(rows[0])), right, wrong)


@pytest.mark.parametrize("make", [evaluator, one_camera], ids=["cross_camera", "any_camera"])
def test_ap_is_that_of_the_evaluation(make) -> None:
    t = make()
    query = t.clean["query"]
    ids = [torch.from_numpy(x) for x in (query.pids, query.camids)]
    found = t.guides(t.embed).rankings(*ids, torch.arange(len(query.pids)))
    ap = found.average_precision(found.similarities(query.feats))
    np.testing.assert_allclose(ap, t.untouched()[0].ap, atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_ap_is_that_of_the_evaluation_for_features_of_any_length(metric: str) -> None:
    rng = np.random.default_rng(0)
    feats = torch.from_numpy(rng.normal(size=(50, 4)) * rng.uniform(0.2, 4, (50, 1))).float()
    pids, camids = rng.integers(-1, 5, 50), rng.integers(0, 3, 50)
    pids[:10] = np.arange(10) % 5
    query = Features(feats[:10], pids[:10], camids[:10])
    gallery = Features(feats[10:], pids[10:], camids[10:])
    _, expected = next(Retrieval(metric).rankings(query, gallery))
    guides = Guides(gallery, metric=metric)
    found = guides.rankings(torch.from_numpy(query.pids), torch.from_numpy(query.camids))
    ap = found.average_precision(found.similarities(query.feats))[expected.query_index]
    np.testing.assert_allclose(ap, expected.ap, atol=1e-6)


@pytest.mark.parametrize("slack", [0.0, 0.06, 0.2])
def test_hopeless_is_never_said_where_ap_can_fall_by_more_than_the_slack(
    monkeypatch, slack: float
) -> None:
    monkeypatch.setattr(rankings, "SLACK", slack + 1e-9)
    found = marks("rrwwj")
    lowest = (1 / 3 + 2 / 4) / 2  # by hand: matches on the places 3 and 4 of the four ranked
    one_behind = (1 / 2 + 2 / 3) / 2  # the most with one wrong image before the first match
    said = 0
    for places in itertools.permutations(range(5)):
        score = -torch.tensor([places], dtype=torch.float32)
        ap = float(found.average_precision(score))
        assert ap >= lowest - 1e-6
        behind = sum(places[w] < min(places[:2]) for w in (2, 3))
        most = {0: 1.0, 1: one_behind, 2: lowest}[behind]
        assert bool(found.hopeless(score)) == (most - lowest <= slack)
        said += most - lowest <= slack
    assert said == {0.0: 20, 0.06: 20, 0.2: 60}[slack]


def test_smooth_ap_becomes_ap_as_the_temperature_falls() -> None:
    rng = torch.Generator().manual_seed(0)
    found = marks("rrwwwwj", "wrwrwjr", "wwwwwrw")
    score = torch.randn(3, 7, generator=rng, dtype=torch.float64)
    ap = found.average_precision(score).double()
    torch.testing.assert_close(-SmoothAP(1e-6).value(score, found), ap, atol=1e-6, rtol=0)
    far = (-SmoothAP(0.5).value(score, found) - ap).abs()
    assert far.max() > 0.01


@pytest.mark.parametrize("block", [2**22, 1], ids=["one block", "a block for each right image"])
@pytest.mark.parametrize("objective", [Margin(0.3), SmoothAP(0.3)], ids=["margin", "smooth_ap"])
def test_the_gradient_is_that_of_finite_differences(monkeypatch, objective, block: int) -> None:
    monkeypatch.setattr(ranking, "AT_A_TIME", block)
    found = marks("rrwwwwj", "wrwrwjr")
    rng = torch.Generator().manual_seed(1)
    score = torch.randn(2, 7, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: objective.value(s, found), (score,))


def test_a_margin_of_one_right_and_one_wrong_image_is_their_difference() -> None:
    score = torch.tensor([[0.2, 0.5, 0.9]])
    assert float(Margin(0.05).value(score, marks("rwj"))) == pytest.approx(0.3 / 0.05)


@pytest.mark.parametrize("objective", [Margin(), SmoothAP()], ids=["margin", "smooth_ap"])
def test_an_image_without_a_match_has_no_loss_and_no_gradient(objective) -> None:
    score = torch.tensor([[0.2, 0.5], [0.3, 0.1]], requires_grad=True)
    values = objective.value(score, marks("wj", "rw"))
    values.sum().backward()
    assert values[0] == 0 and values[1] != 0
    assert (score.grad[0] == 0).all() and (score.grad[1] != 0).any()


def test_junk_pulls_at_nothing() -> None:
    """An image that the protocol leaves out is neither right nor wrong."""
    embed, about = linear(normalize=True), case(linear(normalize=True))
    same_camera = about.camids * 0  # the first image of each person in the gallery is by camera 0
    found = about.guides.rankings(about.pids, same_camera)
    own = about.pids[:, None] == about.guides.pids
    junk = own & (about.guides.camids == 0)
    assert torch.equal(found.right, own & ~junk)
    assert torch.equal(found.wrong, ~own)
    clean = torch.rand(6, 3, 4, 2, dtype=torch.float64)
    moved: Tensor = about.guides.feats.clone()
    moved[about.guides.camids == 0] *= -1
    for objective in (Margin(), SmoothAP()):
        values = []
        for feats in (about.guides.feats, moved):
            side = Features(feats, about.guides.pids.numpy(), about.guides.camids.numpy())
            one = about.__class__(about.pids[:1], about.camids[:1] * 0, about.indices[:1], None)
            rows = Guides(side).rankings(one.pids, one.camids)
            only_own = Rankings(rows.feats, rows.right, rows.wrong & (about.guides.camids != 0))
            score = only_own.similarities(embed(clean[:1]))
            values.append(objective.value(score, only_own))
        torch.testing.assert_close(*values)


def test_the_objectives_use_no_random_numbers() -> None:
    embed = linear(normalize=True)
    about, clean = case(embed), torch.rand(6, 3, 4, 2, dtype=torch.float64)
    one, two = (Margin()(embed, clean, about, ImageRNGs(s, range(6)))(clean) for s in (0, 1))
    assert torch.equal(one, two)
