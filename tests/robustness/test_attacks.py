"""Optimizers against closed forms, against torchattacks, and their invariants."""

import inspect
import itertools

import pytest
import torch
import torchattacks
from torch import Tensor, nn
from toys import DIM, SHAPE, Net, images, linear

from reid.robustness.attacks import ATTACKS
from reid.robustness.attacks.apgd import APGD, checkpoints
from reid.robustness.attacks.bim import BIM
from reid.robustness.attacks.fgsm import FGSM
from reid.robustness.attacks.mi_fgsm import MIFGSM
from reid.robustness.attacks.pgd import PGD
from reid.robustness.attacks.square import Square, draw_window, window_size
from reid.robustness.ball import Linf
from reid.robustness.rngs import ImageRNGs
from reid.utils.errors import InputError

EPS = 8 / 255
QUICK = {
    "apgd": {"steps": 20},
    "square": {"queries": 30},
    "pgd": {"restarts": 2},
    "universal": {"steps": 5},
}
OWN = [name for name in ATTACKS.names() if name != "universal"]  # a perturbation for each image


def quick(name: str, eps: float = EPS):
    return ATTACKS[name](eps=eps, **QUICK.get(name, {}))


def rngs(count: int = 6, seed: int = 0) -> ImageRNGs:
    return ImageRNGs(seed, range(count))


def hill(x: Tensor) -> Tensor:
    """A smooth loss with many hills, each image's own."""
    return (torch.sin(40 * x).flatten(1) * torch.arange(1, 25, device=x.device)).sum(1)


every = pytest.mark.parametrize("name", ATTACKS.names())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_is_in_the_ball_and_in_the_range(name: str, dtype: torch.dtype) -> None:
    clean = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
    out = quick(name)(hill, clean, rngs())
    assert (out.shape, out.dtype) == (clean.shape, clean.dtype)
    assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1
    assert (out - clean).abs().max() <= EPS + 1e-6
    assert not out.requires_grad


@every
def test_a_budget_of_nothing_changes_nothing(name: str) -> None:
    clean = images(dtype=torch.float32)
    assert torch.equal(quick(name, 0.0)(hill, clean, rngs()), clean)


@pytest.mark.parametrize("name", ["pgd", "mi_fgsm"])
def test_no_steps_change_nothing(name: str) -> None:
    clean = images()
    assert torch.equal(ATTACKS[name](eps=EPS, steps=0)(hill, clean, rngs()), clean)


@pytest.mark.parametrize("name", OWN)
def test_an_image_is_attacked_alike_in_every_batch(name: str) -> None:
    clean = images()
    whole = quick(name)(hill, clean, ImageRNGs(3, range(6)))
    alone = [quick(name)(hill, clean[i : i + 1], ImageRNGs(3, [i])) for i in range(6)]
    assert torch.equal(whole, torch.cat(alone))
    turned = quick(name)(hill, clean.flip(0), ImageRNGs(3, range(5, -1, -1)))
    assert torch.equal(turned.flip(0), whole)


@every
def test_the_same_seed_gives_the_same_images(name: str) -> None:
    one, two, other = (quick(name)(hill, images(), rngs(seed=s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    # From the clean image a gradient leads one way; everything else draws.
    attack = quick(name)
    assert torch.equal(one, other) == (attack.uses_gradient and not attack.leaves_start)


@every
def test_the_loss_rises(name: str) -> None:
    clean = images()
    if quick(name).uses_gradient or quick(name).compares:  # else it does not ask for the loss
        assert (hill(quick(name)(hill, clean, rngs())) > hill(clean)).all()


@every
def test_its_hyperparameters_are_plain_values(name: str) -> None:
    parameters = inspect.signature(ATTACKS[name]).parameters
    assert [p.name for p in parameters.values() if p.default is p.empty] == ["eps"]
    assert all(
        type(p.default) in (bool, int, float, str) for p in parameters.values() if p.name != "eps"
    )


LINEAR = [
    FGSM(EPS),
    BIM(EPS, steps=8, step=1 / 8),
    MIFGSM(EPS),
    PGD(EPS, steps=4, random_start=False),
    PGD(EPS, steps=8, random_start=True),  # 2 eps / step reach every corner from everywhere
    APGD(EPS, steps=10),
]


@pytest.mark.parametrize("method", LINEAR, ids=lambda o: type(o).__name__)
def test_closed_form_on_a_linear_embedding(method) -> None:
    embed, clean = linear(), images()
    weight = embed.model.weight.detach()
    guide = torch.randn(DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def unlike(x: Tensor) -> Tensor:
        return -embed(x) @ guide

    direction = -(guide @ weight).sign().view(SHAPE)
    out = method(unlike, clean, rngs())
    torch.testing.assert_close(out, clean + EPS * direction, atol=1e-15, rtol=0)
    rise = unlike(out) - unlike(clean)
    expected = EPS * (guide @ weight).abs().sum()
    torch.testing.assert_close(rise, expected.expand(6), atol=1e-12, rtol=1e-12)


def test_fgsm_from_a_random_start_walks_a_quarter_further_and_is_cut() -> None:
    clean = images()
    start = Linf(EPS).sample(clean, rngs())
    out = FGSM(EPS, random_start=True)(lambda x: x.flatten(1).sum(1), clean, rngs())
    torch.testing.assert_close(out, torch.minimum(start + 1.25 * EPS, clean + EPS))


def test_pgd_l2_on_a_linear_loss_walks_along_the_gradient() -> None:
    clean, slope = images(), torch.randn(SHAPE, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        return (x * slope).flatten(1).sum(1)

    out = PGD(EPS, steps=300, norm="l2")(loss, clean, rngs()) - clean
    radius = EPS * slope.numel() ** 0.5
    expected = (slope / slope.norm() * radius).expand_as(out)
    torch.testing.assert_close(out, expected, atol=radius * 0.02, rtol=0)


def test_restarts_find_the_best_corner_of_a_convex_bowl() -> None:
    """|Wd|^2 over a cube is greatest at a corner; single starts end at different ones."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 10, generator=rng, dtype=torch.float64)
    clean = torch.full((1, 1, 10, 1), 0.5, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        return ((x - clean).flatten(1) @ weight.T).square().sum(1)

    corners = torch.tensor(list(itertools.product((-EPS, EPS), repeat=10)), dtype=torch.float64)
    best = (corners @ weight.T).square().sum(1).max()
    found = loss(PGD(EPS, steps=20, restarts=30)(loss, clean, ImageRNGs(0, [0])))
    torch.testing.assert_close(found[0], best, rtol=1e-12, atol=0)
    single = [loss(PGD(EPS)(loss, clean, ImageRNGs(seed, [0]))).item() for seed in range(30)]
    assert min(single) < 0.9 * float(best)


def test_more_restarts_never_lower_the_loss() -> None:
    ends = [hill(PGD(EPS, 5, restarts=n)(hill, images(), rngs())) for n in (1, 2, 4, 8)]
    assert all((b >= a).all() for a, b in itertools.pairwise(ends))


def test_momentum_survives_a_flat_spot() -> None:
    """The loss is flat at first sight of the clean image; NaN would freeze the image for good."""
    clean, calls = images(2), []

    def loss(x: Tensor) -> Tensor:
        calls.append(1)
        return (x * (0.0 if len(calls) == 2 else 1.0)).flatten(1).sum(1)

    out = MIFGSM(EPS, steps=10)(loss, clean, rngs(2))
    torch.testing.assert_close(out, clean + EPS)


def test_apgd_keeps_its_best_point_and_beats_pgd_on_the_same_budget() -> None:
    clean, seen = images(), []

    def loss(x: Tensor) -> Tensor:
        values = hill(x)
        seen.append(values.detach())
        return values

    out = APGD(EPS, steps=30)(loss, clean, rngs())
    assert torch.equal(hill(out), torch.stack(seen).max(0).values)
    assert len(seen) == 31
    pgd = hill(PGD(EPS, steps=30)(hill, clean, rngs()))
    assert hill(out).mean() >= pgd.mean()


def test_apgd_never_returns_the_clean_image_even_if_that_is_best() -> None:
    clean = images()
    out = APGD(EPS, steps=5)(lambda x: -(x - clean).abs().flatten(1).sum(1), clean, rngs())
    assert ((out - clean).abs().flatten(1).sum(1) > 0).all()


def test_apgd_checkpoints_as_the_paper_lists_them() -> None:
    expected = [0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99]
    assert sorted(checkpoints(100))[:8] == [round(100 * share) for share in expected]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.4, 0.8, 1.0])
def test_square_fits_a_person_and_keeps_its_area(share: float) -> None:
    rows, columns = window_size(share, 256, 128)
    assert 1 <= rows <= 256 and 1 <= columns <= 128
    assert rows * columns == pytest.approx(share * 256 * 128, rel=0.02)
    rng = rngs().generators[0]
    for _ in range(50):
        y, x = draw_window(rng, (rows, columns), (256, 128))
        assert y.start >= 0 and y.stop <= 256 and x.start >= 0 and x.stop <= 128


def test_square_asks_for_the_loss_as_often_as_it_may_and_for_no_gradient() -> None:
    asked = []

    def loss(x: Tensor) -> Tensor:
        asked.append(torch.is_grad_enabled())
        return hill(x)

    Square(EPS, queries=17)(loss, images().requires_grad_(), rngs())
    assert asked == [False] * 17


def test_square_never_falls_back() -> None:
    ends = [hill(Square(EPS, queries=n)(hill, images(), rngs())) for n in (1, 200)]
    assert (ends[1] > ends[0]).all()


@pytest.mark.parametrize(("eps", "steps"), [(5, 6), (2, 2), (16, 20), (1, 1), (0.4, 1)])
def test_bim_has_the_historic_number_of_steps(eps: float, steps: int) -> None:
    assert BIM(eps / 255).steps == steps


class Classifier(nn.Module):
    """What torchattacks attacks: logits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net().eval()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x).logits
        return logits


STEP = 2 / 255
SAME = [
    ("FGSM", {}, FGSM(EPS)),
    ("BIM", {"alpha": STEP, "steps": 10}, BIM(EPS, steps=10, step=STEP / EPS)),
    ("MIFGSM", {"alpha": STEP, "steps": 10, "decay": 1.0}, MIFGSM(EPS, steps=10)),
    (
        "PGD",
        {"alpha": STEP, "steps": 10, "random_start": False},
        PGD(EPS, steps=10, random_start=False),
    ),
]


@pytest.mark.parametrize(("name", "settings", "ours"), SAME, ids=[name for name, *_ in SAME])
def test_torchattacks_agrees_on_a_toy_classifier(name: str, settings: dict, ours) -> None:
    model, clean = Classifier().eval(), images(8, dtype=torch.float32)
    labels = torch.arange(8) % DIM
    theirs = getattr(torchattacks, name)(model, eps=EPS, **settings)(clean, labels)

    def loss(x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x), labels, reduction="none")

    out = ours(loss, clean, rngs(8))
    assert (theirs - clean).abs().max() > 0.9 * EPS
    torch.testing.assert_close(out, theirs, atol=1e-6, rtol=0)


def test_torchattacks_agrees_from_the_same_random_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clean, labels = (
        Classifier().eval(),
        images(8, dtype=torch.float32),
        torch.arange(8) % DIM,
    )
    noise = (Linf(EPS).sample(clean, rngs(8)) - clean).clamp(-EPS, EPS)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda x, *_: x.copy_(noise))
    attack = torchattacks.PGD(model, eps=EPS, alpha=STEP, steps=10, random_start=True)
    theirs = attack(clean, labels)
    monkeypatch.undo()

    def loss(x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x), labels, reduction="none")

    out = PGD(EPS, steps=10)(loss, clean, rngs(8))
    torch.testing.assert_close(out, theirs, atol=1e-6, rtol=0)


def test_normalization_inside_the_model_is_what_torchattacks_calls_normalization_used() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    inner, clean, labels = (
        Classifier().eval(),
        images(8, dtype=torch.float32),
        torch.arange(8) % DIM,
    )
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))
    attack = torchattacks.BIM(inner, eps=EPS, alpha=STEP, steps=10)
    attack.set_normalization_used(mean=mean, std=std)
    theirs = attack((clean - shift) / scale, labels) * scale + shift

    def loss(x: Tensor) -> Tensor:
        logits = inner((x - shift) / scale)
        return nn.functional.cross_entropy(logits, labels, reduction="none")

    out = BIM(EPS, steps=10, step=STEP / EPS)(loss, clean, rngs(8))
    torch.testing.assert_close(out, theirs, atol=1e-5, rtol=0)


def test_small_steps_never_lower_a_smooth_loss() -> None:
    seen = []

    def loss(x: Tensor) -> Tensor:
        seen.append(hill(x))
        return seen[-1]

    PGD(EPS, steps=40, step=0.002, random_start=False)(loss, images(), rngs())
    values = torch.stack([v.detach() for v in seen])
    assert (values.diff(dim=0) >= 0).all()


@pytest.mark.parametrize("name", ["pgd", "noise"])
def test_an_l2_attack_is_in_its_ball(name: str) -> None:
    clean = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    out = ATTACKS[name](eps=EPS, norm="l2")(hill, clean, rngs())
    assert out.min() >= 0 and out.max() <= 1
    assert (out - clean).square().mean((1, 2, 3)).sqrt().max() <= EPS + 1e-6


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: PGD(EPS, steps=-1), "steps"),
        (lambda: PGD(EPS, restarts=0), "restarts"),
        (lambda: PGD(EPS, step=0.0), "step"),
        (lambda: PGD(EPS, norm="l1"), "norm"),
        (lambda: APGD(EPS, steps=0), "steps"),
        (lambda: Square(EPS, share=0.0), "share"),
        (lambda: Square(EPS, queries=0), "queries"),
        (lambda: BIM(EPS, step=-1.0), "step"),
        (lambda: FGSM(2.0), "eps"),
    ],
)
def test_bad_settings_are_named(build, word: str) -> None:
    with pytest.raises(InputError, match=word):
        build()
