"""Attacks under ``any_camera``: people of one camera, whose own pictures lie in the gallery."""

import numpy as np
import pytest
import torch
from textbook import rank_by_sorting
from toys import SHAPE, Net

from reid.evaluation.features import Embedding, Features
from reid.evaluation.retrieval import Retrieval
from reid.robustness.attack import RetrievalAttack
from reid.robustness.attacks import ATTACKS
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.guides import Guides
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.sanity import SanityChecks
from reid.utils.batch import Batch
from reid.utils.errors import ArgumentError, InputError

CPU = torch.device("cpu")
PEOPLE, EACH = 6, 3


def batches(images: torch.Tensor, pids: torch.Tensor, size: int = 5) -> list[Batch]:
    rows = (images, torch.full_like(pids, -1), pids, pids * 0, torch.arange(len(pids)))
    return [Batch(*(r[i : i + size] for r in rows)) for i in range(0, len(pids), size)]


def evaluator(side: str = "query", protocol: str = "any_camera", known: bool = True):
    """The queries are the first image of each person, and the gallery holds them, too."""
    rng = torch.Generator().manual_seed(3)
    looks = torch.randint(40, 216, (PEOPLE, *SHAPE), generator=rng)
    noise = torch.randint(-25, 26, (PEOPLE, EACH, *SHAPE), generator=rng)
    shown = (looks[:, None] + noise).clamp(0, 255).to(torch.uint8)
    pids = torch.arange(PEOPLE)
    pictures = np.arange(PEOPLE) * EACH, np.arange(PEOPLE * EACH)
    return RobustEvaluator(
        Embedding(Net().eval()),
        batches(shown[:, 0], pids),
        batches(shown.flatten(0, 1), pids.repeat_interleave(EACH)),
        CPU,
        Retrieval(protocol=protocol),
        side,
        seed=1,
        pictures=pictures if known else None,
    )


def attack(method: str = "pgd", eps_255: float = 16, objective: str = "fna", **more):
    loss = None if method == "noise" else OBJECTIVES[objective]()
    made = ATTACKS[method](eps=eps_255 / 255, **more)
    return RetrievalAttack(f"{method}-{objective}", made, loss)


def textbook(sides: dict[str, Features], known: bool = True) -> list[float]:
    query, gallery = sides["query"], sides["gallery"]
    dist = torch.cdist(query.feats.double(), gallery.feats.double()).numpy()
    pictures = (np.arange(PEOPLE) * EACH, np.arange(PEOPLE * EACH)) if known else None
    ids = (query.pids, gallery.pids, None, None)
    return [row[1] for row in rank_by_sorting(dist, *ids, "any_camera", pictures)]


@pytest.mark.parametrize("side", ["query", "gallery"])
@pytest.mark.parametrize("known", [True, False], ids=["numbered", "not numbered"])
def test_clean_attacked_and_corrupted_rankings_are_those_of_the_textbook(
    side: str, known: bool
) -> None:
    t = evaluator(side, known=known)
    clean = t.untouched()[0]
    assert clean.ap.tolist() == pytest.approx(textbook(t.clean, known))
    found = t.attacked(attack(), t.embed, t.guides(t.embed))[0]
    assert found.ap.tolist() == pytest.approx(textbook(t.last, known))
    assert found.ap.mean() < clean.ap.mean()
    # Rankings that are asked for besides are under the evaluator's protocol, too.
    (again,) = t.attacked(attack(), t.embed, t.guides(t.embed), protocol=Retrieval())
    assert again.ap.tolist() == found.ap.tolist()
    same = t.corrupted("none", 1, lambda images, severity, rngs: images)[0]
    assert same.ap.tolist() == pytest.approx(clean.ap.tolist())


def test_first_hits_leave_out_the_own_picture() -> None:
    rows = range(PEOPLE)
    t = evaluator()
    hits = t.first_hits(t.clean, rows, count=PEOPLE * EACH)
    assert [len(hit) for hit in hits] == [PEOPLE * EACH - 1] * PEOPLE
    assert all(row * EACH not in hit for row, hit in zip(rows, hits, strict=True))
    seen = evaluator(known=False)
    assert [hit[0] for hit in seen.first_hits(seen.clean, rows, 1)] == [r * EACH for r in rows]


def test_people_of_one_camera_cannot_be_attacked_across_cameras() -> None:
    with pytest.raises(InputError, match=r"none of the 6 queries has a match.*any_camera"):
        evaluator(protocol="cross_camera").untouched()


@pytest.mark.parametrize("side", ["query", "gallery"])
def test_the_guides_of_an_image_are_the_matches_that_a_ranking_counts(side: str) -> None:
    t = evaluator(side)
    guides = t.guides(t.embed)
    own, other = (t.clean[s] for s in ((side, "gallery") if side == "query" else (side, "query")))
    pids, places = torch.from_numpy(own.pids), torch.arange(len(own.pids))
    found = guides.matches(pids, pids * 0, places)
    near = guides.nearest(own.feats, pids, pids * 0, 100, places)
    for i in range(len(pids)):
        ranked = [j for j in range(len(other.pids)) if other.pictures[j] != own.pictures[i]]
        kept = [j for j in ranked if other.pids[j] == own.pids[i]]
        assert found.number[i] == len(kept) and near.number[i] == len(ranked)
        torch.testing.assert_close(found.total[i], other.feats[kept].sum(0))
        torch.testing.assert_close(near.total[i], other.feats[ranked].sum(0))


def test_without_numbers_every_image_of_a_person_is_a_guide() -> None:
    t = evaluator(known=False)
    pids = torch.arange(PEOPLE)
    assert t.guides(t.embed).matches(pids, pids * 0).number.tolist() == [EACH] * PEOPLE


def test_an_objective_that_forgets_the_places_is_told() -> None:
    t = evaluator()
    with pytest.raises(ArgumentError, match=r"indices are needed under any_camera"):
        t.guides(t.embed).matches(torch.arange(2), torch.zeros(2))
    with pytest.raises(ArgumentError, match="unknown protocol"):
        Guides(t.clean["gallery"], protocol="all")


def test_a_surrogate_sees_the_same_matches() -> None:
    t = evaluator()
    other = Embedding(Net(seed=5).eval())
    pids = torch.arange(PEOPLE)
    found = t.guides(other).matches(pids, pids * 0, pids)
    assert found.number.tolist() == [EACH - 1] * PEOPLE


def test_an_image_is_not_moved_away_from_itself() -> None:
    t = evaluator()
    t.attacked(attack(objective="metric"), t.embed, t.guides(t.embed))
    # The same people with the queries taken out of the gallery: the same attack.
    kept = [i for i in range(PEOPLE * EACH) if i % EACH]
    shown, pids = (torch.cat([b[i] for b in t.gallery])[kept] for i in (0, 2))
    rule = Retrieval(protocol="any_camera")
    alone = RobustEvaluator(t.embed, t.query, batches(shown, pids), CPU, rule, seed=1)
    alone.attacked(attack(objective="metric"), t.embed, alone.guides(t.embed))
    assert torch.equal(t.last["query"].feats, alone.last["query"].feats)
    own = evaluator(known=False)
    own.attacked(attack(objective="metric"), own.embed, own.guides(own.embed))
    assert not torch.equal(own.last["query"].feats, alone.last["query"].feats)


def test_the_sanity_checks_run() -> None:
    t = evaluator()
    checks = SanityChecks(t, lambda m, e, **more: attack(m, e, **more), OBJECTIVES["fna"](), 16.0)
    found = {check.name: check.passed for check in (checks.repeats(), checks.has_gradient())}
    assert found == {"the model is deterministic": True, "the gradient is there": True}
    assert checks.zero_budget().passed
