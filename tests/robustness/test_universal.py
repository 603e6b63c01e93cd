"""One perturbation for all images: what it is learned on, and what it is shown to."""

import torch
from test_evaluator import PEOPLE, evaluator
from torch import Tensor
from toys import DIM, SHAPE, images, linear

from reid.robustness.attack import RetrievalAttack, frozen
from reid.robustness.attacks.universal import Universal
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.rngs import ImageRNGs
from reid.robustness.universal import UniversalPerturber

EPS = 8 / 255


def learned(t, objective: str = "margin") -> UniversalPerturber:
    attack = RetrievalAttack("x", Universal(EPS, steps=6), OBJECTIVES[objective]())
    perturber = UniversalPerturber(attack, t.embed, t.guides(t.embed), seed=0, on_grid=False)
    with frozen(t.embed):
        perturber.learn(t.query, t.device)
    return perturber


def test_closed_form_on_a_linear_embedding() -> None:
    """All images have the same slope, and so all get the corner of the ball that it points to."""
    embed, clean = linear(), images()
    guide = torch.randn(DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def loss(x: Tensor) -> Tensor:
        return -embed(x) @ guide

    direction = -(guide @ embed.model.weight.detach()).sign().view(SHAPE)
    out = Universal(EPS, steps=4)(loss, clean, ImageRNGs(0, range(6)))
    torch.testing.assert_close(out, clean + EPS * direction, atol=1e-15, rtol=0)


def test_the_slope_is_the_sum_over_the_images() -> None:
    """Two images that pull apart: the greater pull wins for both."""
    clean = torch.full((2, *SHAPE), 0.5, dtype=torch.float64)
    pulls = torch.tensor([3.0, -1.0], dtype=torch.float64)
    out = Universal(EPS, steps=4)(lambda x: x.flatten(1).sum(1) * pulls, clean, None)
    torch.testing.assert_close(out, clean + EPS)


def test_nobody_meets_a_perturbation_that_was_learned_on_them() -> None:
    """New images of every second person change the perturbation that the others get, alone."""
    first, t = learned(evaluator()), evaluator()
    half = first._half(first.case_of(t.query[0], t.device)[1])
    assert half.tolist() == [1, 0, 1, 0, 1]  # the gallery shows 0 to 8, who take turns
    for number, batch in enumerate(t.query):
        other = (batch.pids % 2 == 0)[:, None, None, None]
        t.query[number] = batch._replace(
            images=torch.where(other, 255 - batch.images, batch.images)
        )
    t.__post_init__()
    pairs = zip(first.shared, learned(t).shared, strict=True)
    assert [torch.equal(a, b) for a, b in pairs] == [True, False]


def test_all_images_of_a_half_get_the_same_change_within_the_budget() -> None:
    t = evaluator()
    attack = RetrievalAttack("x", Universal(EPS), OBJECTIVES["margin"]())
    seen = []
    found = t.attacked(
        attack, t.embed, t.guides(t.embed), lambda x, batch: seen.append((x, batch))
    )[0]
    changes = {}
    for x, batch in seen:
        for image, clean, pid in zip(x, batch.images, batch.pids.tolist(), strict=True):
            inside = (clean > 8) & (clean < 247)
            changes.setdefault(pid % 2, []).append(((image * 255).round() - clean, inside))
    assert sum(len(c) for c in changes.values()) == PEOPLE
    for group in changes.values():
        for change, inside in group[1:]:
            both = inside & group[0][1]
            assert torch.equal(change[both], group[0][0][both])
        assert all(change.abs().max() <= 8 for change, _ in group)
    assert found.facts["passes"] == 20
    assert found.ap.mean() < t.untouched()[0].ap.mean()


def test_the_batches_change_nothing() -> None:
    one, two = (learned(evaluator(size)).shared for size in (3, 8))
    torch.testing.assert_close(one, two)
