"""Attacks inside the evaluation: what they may touch, what they must leave alone."""

import numpy as np
import pytest
import torch
from toys import SHAPE, Net

from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import ReRanking, Retrieval
from reid.robustness.attack import Perturber, RetrievalAttack, frozen
from reid.robustness.attacks import ATTACKS
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.objectives import OBJECTIVES
from reid.utils.batch import Batch
from reid.utils.errors import InputError

CPU = torch.device("cpu")
PEOPLE, EACH = 8, 3


def batches(camera: int, size: int, pids: torch.Tensor, seed: int) -> list[Batch]:
    rng = torch.Generator().manual_seed(seed)
    looks = torch.randint(40, 216, (PEOPLE + 2, *SHAPE), generator=rng)
    noise = torch.randint(-25, 26, (len(pids), *SHAPE), generator=rng)
    shown = (looks[pids] + noise).clamp(0, 255).to(torch.uint8)
    cams, places = torch.full_like(pids, camera), torch.arange(len(pids))
    rows = (shown, torch.full_like(pids, -1), pids, cams, places)
    return [Batch(*(r[i : i + size] for r in rows)) for i in range(0, len(pids), size)]


def evaluator(size: int = 5, side: str = "query", **protocol) -> RobustEvaluator:
    """One image of each person asks, three of each and two distractors are the gallery."""
    pids = torch.arange(1, PEOPLE + 1)
    shown = torch.cat([pids.repeat_interleave(EACH), torch.tensor([0, 0, -1])])
    embed = Embedding(Net().eval(), "after", True, flip=protocol.pop("flip", False))
    gallery = [b._replace(images=b.images) for b in batches(1, size, shown.clamp(min=0), 3)]
    ids = torch.split(shown, size)
    gallery = [b._replace(pids=p) for b, p in zip(gallery, ids, strict=True)]
    return RobustEvaluator(
        embed, batches(0, size, pids, 3), gallery, CPU, Retrieval(**protocol), side, seed=1
    )


def attack(
    method: str = "pgd", objective: str = "fna", eps: float = 8 / 255, **more
) -> RetrievalAttack:
    made = OBJECTIVES[objective]() if objective else None
    return RetrievalAttack(f"{method}-{objective}", ATTACKS[method](eps=eps, **more), made)


def run(t: RobustEvaluator, a: RetrievalAttack):
    return t.attacked(a, t.embed, t.guides(t.embed))


def state(embed: Embedding) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in embed.state_dict().values()]


def test_an_attack_hurts_and_noise_does_little() -> None:
    t = evaluator()
    clean, white = t.untouched()[0], run(t, attack(eps=16 / 255))[0]
    noise = run(t, attack("noise", "", eps=16 / 255))[0]
    assert clean.ap.mean() > 0.6
    assert white.ap.mean() < 0.5 * clean.ap.mean()
    assert noise.ap.mean() > white.ap.mean()


@pytest.mark.parametrize("name", ATTACKS.names())
def test_the_model_is_left_as_it_was(name: str) -> None:
    t = evaluator()
    t.embed.train()
    modes = [m.training for m in t.embed.modules()]
    next(t.embed.parameters()).requires_grad_(False)
    asked = [p.requires_grad for p in t.embed.parameters()]
    before, rng = state(t.embed), torch.get_rng_state()
    few = {"steps": 3} if "steps" in ATTACKS.settings(name) else {}
    run(t, attack(name, "" if name == "noise" else "fna", **few))
    assert all(torch.equal(a, b) for a, b in zip(before, state(t.embed), strict=True))
    assert [m.training for m in t.embed.modules()] == modes
    assert [p.requires_grad for p in t.embed.parameters()] == asked
    assert all(p.grad is None for p in t.embed.parameters())
    assert torch.equal(torch.get_rng_state(), rng)


def test_frozen_puts_everything_back_after_an_error() -> None:
    net = Net().train()

    def fail() -> None:
        with frozen(net):
            assert not net.training and not any(p.requires_grad for p in net.parameters())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert net.training and all(p.requires_grad for p in net.parameters())


def test_a_budget_of_zero_is_clean_to_the_bit() -> None:
    t = evaluator()
    assert np.array_equal(run(t, attack(eps=0.0))[0].ap, t.untouched()[0].ap)
    assert torch.equal(t.last["query"].feats, t.clean["query"].feats)


@pytest.mark.parametrize("flip", [False, True])
def test_the_batch_size_changes_nothing(flip: bool) -> None:
    feats = []
    for size in (1, 3, 8):
        t = evaluator(size, flip=flip)
        run(t, attack(steps=5, restarts=2))
        feats.append(t.last["query"].feats)
    torch.testing.assert_close(feats[0], feats[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(feats[0], feats[2], atol=1e-5, rtol=0)


def test_attacked_images_are_on_the_8_bit_grid_within_the_budget() -> None:
    t, seen = evaluator(), []
    t.attacked(attack(), t.embed, t.guides(t.embed), lambda x, batch: seen.append((x, batch)))
    for x, batch in seen:
        levels = x.double() * 255
        assert torch.equal(levels.round().float() / 255, x)
        change = (levels.round() - batch.images.double()).abs().max()
        assert 0 < change <= 8
    assert sum(len(x) for x, _ in seen) == PEOPLE


def test_only_people_whom_the_other_side_shows_are_attacked() -> None:
    t, seen = evaluator(side="gallery"), []
    run_ = t.attacked(
        attack(), t.embed, t.guides(t.embed), lambda x, batch: seen.append((x, batch))
    )
    for x, batch in seen:
        moved = (x - batch.images / 255).abs().flatten(1).amax(1) > 1e-6
        assert torch.equal(moved, batch.pids > 0)
    assert torch.equal(t.last["query"].feats, t.clean["query"].feats)
    assert run_[0].ap.mean() < t.untouched()[0].ap.mean()


def test_every_ranking_is_reported() -> None:
    t = evaluator(rerank=ReRanking(k1=4, k2=2))
    assert [o.ranking for o in run(t, attack())] == ["plain", "re-ranked"]
    assert [o.ranking for o in t.untouched()] == ["plain", "re-ranked"]


def test_transfer_attacks_with_the_eyes_of_another_model() -> None:
    t = evaluator()
    other = Embedding(Net(seed=5).eval())
    black = t.attacked(attack(), other, t.guides(other))[0]
    white = run(t, attack())[0]
    assert white.ap.mean() < black.ap.mean()


def test_targeted_attacks_say_how_many_reached_their_target() -> None:
    t = evaluator()
    found = run(t, attack("pgd", "metric_targeted", eps=64 / 255, steps=60, step=0.1))[0]
    guides = t.guides(t.embed)
    query, gallery = t.last["query"], t.last["gallery"]
    targets = guides.targets(torch.from_numpy(query.pids), torch.arange(PEOPLE))
    dist = torch.cdist(query.feats, gallery.feats)
    junk = torch.from_numpy(
        (gallery.pids == -1)
        | (gallery.pids == query.pids[:, None]) & (gallery.camids == query.camids[:, None])
    )
    dist[junk] = torch.inf
    first = torch.from_numpy(gallery.pids)[dist.argmin(1)]
    assert found.facts["reached"] == pytest.approx(float((first == targets).float().mean()))
    assert found.facts["reached"] > 0.5


def test_first_hits_leave_junk_out() -> None:
    t = evaluator()
    for row, hits in enumerate(t.first_hits(t.clean, range(3))):
        dist = (t.clean["gallery"].feats - t.clean["query"].feats[row]).norm(dim=1).numpy()
        order = [i for i in dist.argsort() if t.clean["gallery"].pids[i] != -1]
        assert hits.tolist() == order[:5]


@pytest.mark.parametrize("name", ["apgd", "square"])
def test_redrawn_objectives_are_not_compared(name: str) -> None:
    with pytest.raises(InputError, match="drawn anew"):
        attack(name, "lta")
    with pytest.raises(InputError, match="drawn anew"):
        attack("pgd", "lta", restarts=2)
    assert attack("pgd", "lta")


def test_the_norm_of_a_budget_is_in_the_name() -> None:
    t = evaluator()
    found = run(t, attack("pgd", norm="l2", steps=3))[0]
    assert found.name == "pgd-fna l2"
    assert 0.97 * 8 <= found.facts["change"] <= 8 + 1e-4


def test_flat_objectives_without_a_random_start_are_refused() -> None:
    for name in ("fgsm", "bim", "mi_fgsm"):
        with pytest.raises(InputError, match="random start"):
            attack(name, "sma")
    assert attack("fgsm", "sma", random_start=True)
    assert attack("square", "sma", queries=2)


class Outlaw:
    """An method with a bug: it leaves its ball."""

    uses_gradient, leaves_start = False, True

    def __init__(self, change: float) -> None:
        self.ball, self.change = ATTACKS["noise"](eps=4 / 255).ball, change

    def __call__(self, loss, clean, rngs):
        return clean + self.change


@pytest.mark.parametrize("change", [6 / 255, float("nan")])
def test_an_image_outside_the_ball_stops_the_run(change: float) -> None:
    t = evaluator()
    perturber = Perturber(
        RetrievalAttack("outlaw", Outlaw(change), None),
        t.embed,
        t.guides(t.embed),
        0,
        on_grid=False,
    )
    batch = t.query[0]
    with pytest.raises(RuntimeError, match="left its ball"):
        perturber(batch.images / 255, batch)


def test_a_corruption_goes_through_the_same_path() -> None:
    t = evaluator()

    def invert(images, severity, rngs):
        assert len(rngs) == len(images)
        return 1 - images * severity / 5

    found = t.corrupted("invert", 5, invert)[0]
    assert (found.kind, found.name, found.level) == ("corruption", "invert", 5)
    whole = torch.cat([b.images for b in t.query])
    with torch.no_grad():
        feats = t.embed((255 - whole) / 255)
    torch.testing.assert_close(t_last(t, invert), feats, atol=1e-5, rtol=0)


def t_last(t: RobustEvaluator, corrupt) -> torch.Tensor:
    sides = t.perturbed(lambda images, batch: corrupt(images, 5, [None] * len(images)), "x")
    return sides["query"].feats


def test_known_features_save_a_pass_and_change_nothing() -> None:
    t = evaluator()
    calls = []
    hook = t.embed.register_forward_hook(lambda *_: calls.append(1))
    ends = []
    for known in (True, False):
        guides, seen = t.guides(t.embed), []
        guides.before = guides.before if known else None
        calls.clear()
        t.attacked(attack(steps=3), t.embed, guides, lambda x, batch, seen=seen: seen.append(x))
        ends.append((torch.cat(seen), len(calls)))
    hook.remove()
    assert torch.equal(ends[0][0], ends[1][0])
    batches_ = len(t.query)
    assert [count for _, count in ends] == [batches_ * (3 + 1), batches_ * (3 + 2)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ATTACKS.names())
def test_cuda_starts_where_the_cpu_starts_and_keeps_to_the_ball(name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        t = evaluator()
        t = RobustEvaluator(
            t.embed.to(device), t.query, t.gallery, torch.device(device), t.protocol, seed=1
        )
        few = {"steps": 2} if "steps" in ATTACKS.settings(name) else {}
        run(t, attack(name, "" if name == "noise" else "fna", **few))
        found.append(t.last["query"].feats.cpu())
    torch.testing.assert_close(*found, atol=0.05, rtol=0)
