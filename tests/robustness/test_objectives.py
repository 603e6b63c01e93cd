"""Objectives against formulas written out in loops, and the signs that peers got wrong."""

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import DIM, case, images, linear, side

from reid.evaluation.features import Embedding, Features
from reid.robustness.attacks.ascent import gradient
from reid.robustness.attacks.pgd import PGD
from reid.robustness.guides import Case, Guides
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.objectives.own_feature import gray_patches
from reid.robustness.rngs import ImageRNGs
from reid.utils.errors import InputError

EPS = 8 / 255
every = pytest.mark.parametrize("name", OBJECTIVES.names())


def bound(name: str, embed: Embedding, clean: Tensor, about: Case, **settings: int):
    return OBJECTIVES[name](**settings)(embed, clean, about, ImageRNGs(0, about.indices.tolist()))


def own_rows(about: Case, i: int) -> list[int]:
    g = about.guides
    pairs = zip(g.pids.tolist(), g.camids.tolist(), strict=True)
    return [j for j, (p, c) in enumerate(pairs) if p == about.pids[i] and c != about.camids[i]]


def furthest(about: Case, feat: Tensor, pid: int) -> Tensor:
    g, best = about.guides, (-1.0, feat)
    for other in sorted(set(g.pids.tolist()) - {pid}):
        mean = g.feats[g.pids == other].mean(0)
        best = max(best, (float((feat - mean).norm()), mean), key=lambda pair: pair[0])
    return best[1]


def scores(feat: Tensor, others: Tensor) -> list[Tensor]:
    """Minus half the squared distances, less that of the image itself, in units of mean g^2."""
    unit = sum(float(g @ g) for g in others) / len(others)
    return [(feat @ feat - (feat - g) @ (feat - g)) / 2 / unit for g in others]


def margin(about: Case, i: int, feat: Tensor, others: Tensor) -> Tensor:
    right = own_rows(about, i)
    size = [(s / 0.05).exp() for s in scores(feat, others)]
    wrong = [j for j, pid in enumerate(about.guides.pids) if pid != about.pids[i]]
    return sum(size[j] for j in wrong).log() - sum(size[j] for j in right).log()


def smooth_ap(about: Case, i: int, feat: Tensor, others: Tensor) -> Tensor:
    score, right, total = scores(feat, others), own_rows(about, i), torch.zeros(())
    wrong = [j for j, pid in enumerate(about.guides.pids) if pid != about.pids[i]]
    for k in right:
        before = [((s - score[k]) / 0.02).sigmoid() for s in score]
        place = 1 + sum(before[j] for j in right if j != k)
        total = total + place / (place + sum(before[j] for j in wrong))
    return total / len(right)


def smoothed(others: Tensor, k: int) -> Tensor:
    near = [sorted(others, key=lambda h, g=g: float((g - h).norm()))[:k] for g in others]
    return torch.stack([sum(few) / k for few in near])


def by_hand(name: str, embed: Embedding, clean: Tensor, about: Case, x: Tensor) -> Tensor:
    """The losses of x, image by image, from the formulas."""
    values, g = [], about.guides
    with torch.no_grad():
        for i in range(len(x)):
            f, f0 = embed(x[i : i + 1])[0], embed(clean[i : i + 1])[0]
            z, z0 = embed.raw(x[i : i + 1])[0], embed.raw(clean[i : i + 1])[0]
            u, u0 = f / f.norm(), f0 / f0.norm()
            own = [g.feats[j] for j in own_rows(about, i)]
            far = furthest(about, f0, int(about.pids[i]))
            target = int(g.targets(about.pids[i : i + 1], about.indices[i : i + 1]))
            theirs = [feat for feat, p in zip(g.feats, g.pids, strict=True) if p == target]
            near = sorted(g.feats, key=lambda feat: float((feat - f0).norm()))[:3]
            logits, label = (
                embed.logits(x[i : i + 1])[0],
                embed.logits(clean[i : i + 1])[0].argmax(),
            )
            patched = gray_patches(clean[i : i + 1], ImageRNGs(0, [int(about.indices[i])]))
            values.append(
                {
                    "sma": (f - f0).square().sum(),
                    "metric": sum((f - o).square().sum() for o in own),
                    "metric_targeted": -sum((f - t).square().sum() for t in theirs),
                    "fna": sum((f - o).square().sum() for o in own) - (f - far).square().sum(),
                    "neighbors": sum((f - n).square().sum() for n in near)
                    - (f - far).square().sum(),
                    "margin": margin(about, i, f, g.feats),
                    "margin_neighbors": margin(about, i, f, smoothed(g.feats, 3)),
                    "smooth_ap": -smooth_ap(about, i, f, g.feats),
                    "smooth_ap_neighbors": -smooth_ap(about, i, f, smoothed(g.feats, 3)),
                    "odfa": -(u + u0).square().sum(),
                    "odfa_raw": -(z + z0).square().sum(),
                    "ce": logits.exp().sum().log() - logits[label],
                    "lta": (f - embed(patched)[0]).square().sum(),
                }[name]
            )
    return torch.stack(values)


@every
@pytest.mark.parametrize("normalize", [False, True])
def test_formula(name: str, normalize: bool) -> None:
    embed, clean = linear(normalize), images()
    about = case(embed)
    x = clean + EPS * torch.randn(clean.shape, dtype=clean.dtype)
    settings = {"k": 3} if "neighbors" in name else {}
    found = bound(name, embed, clean, about, **settings)(x).detach()
    torch.testing.assert_close(found, by_hand(name, embed, clean, about, x), atol=1e-9, rtol=1e-9)


@every
def test_flat_objectives_say_so_and_the_others_have_a_gradient(name: str) -> None:
    embed, clean = linear(normalize=True), images()
    _, grad = gradient(bound(name, embed, clean, case(embed)), clean)
    start = float(grad.abs().max())
    _, near = gradient(bound(name, embed, clean, case(embed)), clean + 0.01)
    assert (start < 1e-10) == OBJECTIVES[name]().flat_at_clean
    assert float(near.abs().max()) > 1e-5


@every
def test_each_image_has_its_own_loss(name: str) -> None:
    embed, clean = linear(normalize=True), images()
    about = case(embed)
    x = clean + 0.01
    whole = bound(name, embed, clean, about)(x).detach()
    for i in range(len(clean)):
        one = Case(about.pids[[i]], about.camids[[i]], about.indices[[i]], about.guides)
        alone = bound(name, embed, clean[[i]], one)(x[[i]]).detach()
        torch.testing.assert_close(alone[0], whole[i])


@pytest.mark.parametrize("name", ["metric", "fna", "metric_targeted"])
def test_the_order_of_the_guides_is_nothing(name: str) -> None:
    """A published attack resets its image for each guide, so that only the last one counts."""
    embed, clean = linear(normalize=True), images()
    about, shown = case(embed), side(embed)
    turn = np.random.default_rng(0).permutation(len(shown.pids))
    mixed = Guides(Features(shown.feats[turn], shown.pids[turn], shown.camids[turn]), 7)
    other = Case(about.pids, about.camids, about.indices, mixed)
    one, two = (
        PGD(EPS, 5)(bound(name, embed, clean, c), clean, ImageRNGs(0, range(6)))
        for c in (about, other)
    )
    torch.testing.assert_close(one, two, atol=1e-9, rtol=0)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a, b)


@pytest.mark.parametrize("name", ["sma", "odfa", "fna", "metric", "lta"])
def test_attacks_lead_away_from_oneself(name: str) -> None:
    """A published ODFA has the wrong sign and leads back."""
    embed, clean = linear(normalize=True), images()
    out = PGD(EPS)(bound(name, embed, clean, case(embed)), clean, ImageRNGs(0, range(6)))
    with torch.no_grad():
        assert (cosine(embed(out), embed(clean)) < 0.999).all()
    own = case(embed).guides.matches(case(embed).pids, case(embed).camids)
    if name in ("fna", "metric"):
        with torch.no_grad():
            assert (own.squared_distances(embed(out)) > own.squared_distances(embed(clean))).all()


def test_fna_leads_away_from_one_match_and_nearer_to_the_furthest_than_to_it() -> None:
    embed, clean = linear(normalize=True), images()
    about = case(embed)
    about = Case(about.pids, about.camids, about.indices, Guides(side(embed, each=1)))
    out = PGD(EPS)(bound("fna", embed, clean, about), clean, ImageRNGs(0, range(6)))
    with torch.no_grad():
        before, after = embed(clean), embed(out)
        far = about.guides.furthest_centroid(before, about.pids)
        own = about.guides.matches(about.pids, about.camids).total
    gain = [cosine(f, far) - cosine(f, own) for f in (before, after)]
    assert (gain[1] > gain[0]).all()


def test_the_targeted_gradient_is_the_untargeted_one_turned_round() -> None:
    embed, clean = linear(normalize=True), images()
    about = case(embed)
    target = about.guides.targets(about.pids, about.indices)
    _, pulled = gradient(bound("metric_targeted", embed, clean, about), clean)
    other = Case(target, about.camids, about.indices, about.guides)
    _, pushed = gradient(bound("metric", embed, clean, other), clean)
    torch.testing.assert_close(pulled, -pushed)


def test_the_targeted_attack_leads_to_its_target() -> None:
    embed, clean = linear(normalize=True), images()
    about = case(embed)
    out = PGD(EPS)(bound("metric_targeted", embed, clean, about), clean, ImageRNGs(0, range(6)))
    target = about.guides.of_identity(about.guides.targets(about.pids, about.indices))
    with torch.no_grad():
        before, after = (target.squared_distances(embed(x)) for x in (clean, out))
    assert (after < before).all()


def test_odfa_on_unit_features_is_sma() -> None:
    embed, clean = linear(normalize=True), images()
    ends = [
        PGD(EPS)(bound(name, embed, clean, case(embed)), clean, ImageRNGs(0, range(6)))
        for name in ("odfa", "sma")
    ]
    torch.testing.assert_close(*ends, atol=1e-12, rtol=0)
    values = [bound(name, embed, clean, case(embed))(clean + 0.02) for name in ("odfa", "sma")]
    torch.testing.assert_close(values[1] - values[0], torch.full((6,), 4.0, dtype=torch.float64))


def test_fna_on_a_linear_embedding_with_one_push_and_one_pull_is_linear() -> None:
    embed, clean = linear(), images(1)
    push, pull = (torch.randn(1, DIM, dtype=torch.float64) * 50 for _ in range(2))
    shown = Features(torch.cat([push, pull]), np.array([1, 2]), np.array([0, 0]))
    about = Case(torch.tensor([1]), torch.tensor([9]), torch.tensor([0]), Guides(shown))
    out = PGD(EPS, 8)(bound("fna", embed, clean, about), clean, ImageRNGs(0, [0]))
    slope = ((pull - push) @ embed.model.weight.detach()).view(clean.shape)
    torch.testing.assert_close(out, clean + EPS * slope.sign(), atol=1e-12, rtol=0)


def test_a_gray_patch_is_a_rectangle_of_equal_channels_and_each_image_has_its_own() -> None:
    clean = torch.rand(4, 3, 32, 16, dtype=torch.float64)
    out = gray_patches(clean, ImageRNGs(0, range(4)))
    for before, after in zip(clean, out, strict=True):
        changed = (before != after).any(0)
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        box = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert changed.sum() == box[0].numel()
        assert torch.equal(box[0], box[1]) and torch.equal(box[1], box[2])
        luma = 0.299 * before[0] + 0.587 * before[1] + 0.114 * before[2]
        torch.testing.assert_close(after[0][changed], luma[changed])
    assert len({int((b != a).sum()) for b, a in zip(clean, out, strict=True)}) > 1


def test_guides_leave_out_distractors_and_junk() -> None:
    feats = torch.eye(6, dtype=torch.float64) * torch.tensor([1, 1, 1, 1, 100, 100])
    pids, camids = np.array([1, 1, 2, 3, 0, -1]), np.array([0, 1, 0, 0, 0, 0])
    guides = Guides(Features(feats, pids, camids), distractor_pid=0)
    assert guides.identities.tolist() == [1, 2, 3]
    everybody = Guides(Features(feats, pids, camids))  # 0 is a person unless the data set says so
    assert everybody.identities.tolist() == [0, 1, 2, 3]
    own = guides.matches(torch.tensor([1]), torch.tensor([0]))
    assert own.number.item() == 1 and torch.equal(own.total[0], feats[1])
    far = guides.furthest_centroid(feats[:1], torch.tensor([1]))
    assert any(torch.equal(far[0], feats[i]) for i in (2, 3))
    near = guides.nearest(feats[:1], torch.tensor([1]), torch.tensor([0]), 10)
    assert near.number.item() == 4  # neither its own camera's image nor junk


def test_targets_are_others_and_hang_on_the_place_alone() -> None:
    embed = linear()
    guides = Guides(side(embed), seed=3)
    pids, places = torch.arange(400) % 4 + 1, torch.arange(400)
    targets = guides.targets(pids, places)
    assert (targets != pids).all()
    assert torch.equal(targets[17:18], guides.targets(pids[17:18], places[17:18]))
    counts = torch.bincount(targets, minlength=5)[1:]
    assert counts.min() > 60, "every other identity has its share"
    strangers = guides.targets(torch.full((400,), 77), places)
    assert set(strangers.tolist()) == {1, 2, 3, 4}


def test_one_identity_cannot_be_confused() -> None:
    embed = linear()
    with pytest.raises(InputError, match="two identities"):
        Guides(side(embed, people=1))


@every
def test_its_hyperparameters_are_plain_values(name: str) -> None:
    parameters = inspect.signature(OBJECTIVES[name]).parameters.values()
    assert all(type(p.default) in (bool, int, float, str) for p in parameters)
