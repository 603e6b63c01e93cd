"""Adversarial training against a plain loop, and what it must leave alone."""

from collections.abc import Callable

import narrow
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from reid.evaluation.features import Embedding
from reid.modeling import HEADS, REGULARIZERS, ReIDModel
from reid.robustness.adversarial_training import AdversarialTraining, spread
from reid.utils.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def images() -> Tensor:
    """A batch as the loader makes it: multiples of 1/255, black and white among them."""
    dice = torch.Generator().manual_seed(2)
    pixels = torch.randint(-40, 296, (8, 3, 32, 16), generator=dice).clamp(0, 255)
    return (pixels / 255).contiguous(memory_format=torch.channels_last)


def network(dtype: torch.dtype | None = None) -> Embedding:
    """A narrow resnet18 with regularizers, in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = narrow.backbone()
        head = HEADS["bnneck"](feat_dim=narrow.FEAT_DIM, num_classes=4)
    parts = {"conv1": REGULARIZERS["lfm"](p=1.0), "pool": REGULARIZERS["dropout"]()}
    model = ReIDModel(backbone, head, parts, (0.5,) * 3, (0.25,) * 3)
    model.reseed(1)
    return Embedding(model, dtype=dtype).train()


class Flat(nn.Module):
    """Pixels to a unit vector, in any precision."""

    def __init__(self) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3 * 4 * 2, 5, generator=dice, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize((images.flatten(1) @ self.weight).tanh())


def distance(embed: nn.Module, images: Tensor, clean: Tensor) -> Tensor:
    """(B,) squared distance to the features of the clean images, in eval mode."""
    embed.eval()
    with torch.no_grad():
        return (embed(images) - embed(clean)).square().sum(1)


def adversarial_by_loops(
    embed: nn.Module, image: Tensor, noise: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """The definition for one image, pixel by pixel."""
    own = embed(image[None])[0].detach()
    flat = image.flatten().tolist()
    low, high = [max(0.0, x - eps) for x in flat], [min(1.0, x + eps) for x in flat]
    now = [x + eps * n for x, n in zip(flat, noise.flatten().tolist(), strict=True)]
    now = [min(max(x, a), b) for x, a, b in zip(now, low, high, strict=True)]
    for _ in range(steps):
        x = torch.tensor(now, dtype=image.dtype, requires_grad=True)
        embed(x.view_as(image)[None])[0].sub(own).pow(2).sum().backward()
        assert x.grad is not None
        signs = [(g > 0) - (g < 0) for g in x.grad.tolist()]
        moved = [x + step * eps * sign for x, sign in zip(now, signs, strict=True)]
        now = [min(max(x, a), b) for x, a, b in zip(moved, low, high, strict=True)]
    return torch.tensor(now, dtype=image.dtype).view_as(image)


def test_it_equals_the_plain_loop_and_replaces_every_second_image() -> None:
    dice, embed = torch.Generator().manual_seed(7), Flat()
    clean = (
        torch.rand(6, 3, 4, 2, generator=dice, dtype=torch.float64).mul(1.4).sub(0.2).clamp(0, 1)
    )
    noise = torch.rand(3, 3, 4, 2, generator=torch.Generator().manual_seed(11)).double() * 2 - 1
    found = AdversarialTraining(eps_255=12, step=0.3, steps=5)(embed, clean, seed=11)
    expected = clean.clone()
    for row, place in enumerate((1, 3, 5)):
        expected[place] = adversarial_by_loops(embed, clean[place], noise[row], 12 / 255, 0.3, 5)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not torch.equal(found[1::2], clean[1::2])


@pytest.mark.parametrize("eps_255", [0.5, 4.0, 16.0])
def test_pixels_keep_their_bounds_and_the_rest_its_bits(images: Tensor, eps_255: float) -> None:
    kept = images.clone()
    out = AdversarialTraining(eps_255)(network(), images, seed=3)
    eps = eps_255 / 255
    assert (out.min(), out.max()) == (0, 1)
    assert (out <= images + eps).all() and (out >= images - eps).all()
    # The bound is reached: most of the steps, 1.6 times the bound, go one way.
    assert (out - images).abs().max().item() == pytest.approx(eps, rel=1e-3)
    assert torch.equal(out[0::2], images[0::2])
    assert (out[1::2] != images[1::2]).flatten(1).any(1).all()
    assert torch.equal(images, kept)
    assert not out.requires_grad
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_nothing_of_the_model_changes(images: Tensor) -> None:
    embed = network()
    embed.model.head.eval()  # someone froze it
    embed.model(images).logits.sum().backward()
    modes = [part.training for part in embed.modules()]
    state = {key: value.clone() for key, value in embed.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in embed.parameters()]
    flags = [p.requires_grad for p in embed.parameters()]
    rng = torch.get_rng_state()
    embed.model.reseed(9)
    AdversarialTraining()(embed, images, seed=3)
    drawn = embed.model.regularizers["conv1"].draw(8, 64, 16, 8)
    assert torch.equal(torch.get_rng_state(), rng)
    assert [part.training for part in embed.modules()] == modes
    assert [p.requires_grad for p in embed.parameters()] == flags
    assert all(torch.equal(state[key], value) for key, value in embed.state_dict().items())
    for before, p in zip(grads, embed.parameters(), strict=True):
        assert (before is None) == (p.grad is None)
        assert before is None or torch.equal(before, p.grad)
    # The masks of the pass to come are those of a batch that nobody attacked.
    embed.model.reseed(9)
    assert all(map(torch.equal, drawn, embed.model.regularizers["conv1"].draw(8, 64, 16, 8)))


def test_parameters_without_gradient_get_none(images: Tensor) -> None:
    embed = network()
    AdversarialTraining()(embed, images, seed=3)
    assert all(p.grad is None for p in embed.parameters())


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_the_feature_goes_further_than_at_the_random_start(dtype: torch.dtype | None) -> None:
    # Not smaller: torch 2.15 on a CPU reads foreign memory in 16 bits on maps one cell wide.
    images = torch.rand(4, 3, 64, 32, generator=torch.Generator().manual_seed(4))
    start = AdversarialTraining(share=1.0, step=0.0)(network(dtype), images, seed=3)
    found = AdversarialTraining(share=1.0)(network(dtype), images, seed=3)
    noise = 4 / 255 * (2 * torch.rand(images.shape, generator=torch.Generator().manual_seed(3)) - 1)
    torch.testing.assert_close(start, (images + noise).clamp(0, 1), rtol=0, atol=1e-6)
    before, after = (distance(network(), x, images) for x in (start, found))
    assert (after > 3 * before).all()


def test_more_steps_and_a_wider_bound_go_further(images: Tensor) -> None:
    settings = [(2.0, 1), (2.0, 6), (8.0, 6)]
    found = [
        distance(
            network(), AdversarialTraining(e, steps=n, share=1.0)(network(), images, 0), images
        )
        for e, n in settings
    ]
    assert found[0].mean() < found[1].mean() < found[2].mean()


@pytest.mark.parametrize("settings", [{"eps_255": 0.0, "share": 1.0}, {"share": 0.0}])
def test_no_change_allowed_and_nobody_to_change_are_the_identity(
    images: Tensor, settings: dict[str, float]
) -> None:
    assert torch.equal(AdversarialTraining(**settings)(network(), images, 0), images)


def test_the_seed_decides_the_start(images: Tensor) -> None:
    adversary = AdversarialTraining()
    first, second, other = (adversary(network(), images, seed) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_it_also_works_where_gradients_are_off(images: Tensor) -> None:
    with torch.no_grad():
        off = AdversarialTraining()(network(), images, 5)
    assert torch.equal(off, AdversarialTraining()(network(), images, 5))


def test_a_pixel_whose_gradient_is_no_number_stays_at_its_start(images: Tensor) -> None:
    def broken(grad: Tensor) -> Tensor:
        grad = grad.clone()
        grad[:, 0, 0, 0], grad[:, 0, 0, 1] = torch.nan, torch.inf
        return grad

    class Overflows(Flat):
        def forward(self, images: Tensor) -> Tensor:
            if images.requires_grad:
                images.register_hook(broken)
            return super().forward(images[:, :, :4, :2].double())

    start, out = (AdversarialTraining(4.0, step)(Overflows(), images, 5) for step in (0.0, 0.4))
    assert torch.equal(out[:, 0, 0, 0], start[:, 0, 0, 0])
    assert not torch.equal(out[:, 0, 0, 1], start[:, 0, 0, 1])
    assert out.isfinite().all()


@given(size=st.integers(1, 70), data=st.data())
def test_places_are_spread_evenly(size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, size))
    places = spread(count, size, CPU).tolist()
    assert places == sorted(set(places)) and len(places) == count
    assert all(0 <= place < size for place in places)
    # Of any run of neighbours as many are taken as its length says, give or take one.
    taken = [place in places for place in range(size)]
    for length in range(1, size + 1):
        runs = [sum(taken[i : i + length]) for i in range(size - length + 1)]
        assert all(abs(found - length * count / size) < 1 for found in runs)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
def test_of_each_identity_the_same_share_is_taken(share: float) -> None:
    places = spread(round(share * 64), 64, CPU)
    assert set(places.div(4, rounding_mode="floor").bincount(minlength=16).tolist()) == {4 * share}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_host_does_not_wait_for_cuda(images: Tensor) -> None:
    embed, there = network(torch.bfloat16).cuda(), images.cuda()
    adversary: Callable[..., Tensor] = AdversarialTraining()
    adversary(embed, there, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = adversary(embed, there, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ((out - there).abs() <= 4 / 255 + 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps_255": -1.0}, "eps_255 must be at least 0 and at most 255, got -1.0"),
        ({"eps_255": float("nan")}, "eps_255 must be at least 0"),
        ({"step": -0.1}, "step must be at least 0"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"share": 1.5}, "share must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AdversarialTraining(**settings)
