import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.robustness.ball import L2, Linf, make_ball, rms
from reid.robustness.rngs import ImageRNGs
from reid.utils.errors import InputError

BALLS = [Linf, L2]


def pair(seed: int, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    clean = torch.randint(256, (count, 3, 4, 2), generator=rng) / 255
    return clean, clean + torch.randn(clean.shape, generator=rng)


def size(ball: Linf | L2, change: torch.Tensor) -> float:
    change = change.double()
    return float(rms(change).max() if isinstance(ball, L2) else change.abs().max())


@pytest.mark.parametrize("kind", BALLS)
@given(seed=st.integers(0, 10_000), eps_255=st.floats(0, 255))
@settings(max_examples=50, deadline=None)
def test_projection_lands_in_the_ball_and_in_the_range_of_pixels(kind, seed, eps_255) -> None:
    ball, (clean, wild) = kind(eps_255 / 255), pair(seed)
    inside = ball.project(wild, clean)
    assert size(ball, inside - clean) <= ball.eps + 1e-6
    assert inside.min() >= 0 and inside.max() <= 1
    torch.testing.assert_close(ball.project(inside, clean), inside, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", BALLS)
@given(seed=st.integers(0, 10_000), eps=st.integers(0, 64))
@settings(max_examples=50, deadline=None)
def test_rounding_to_8_bits_stays_within_whole_levels(kind, seed, eps) -> None:
    ball, (clean, wild) = kind(eps / 255), pair(seed)
    rounded = ball.to_grid(ball.project(wild, clean), clean)
    levels = rounded.double() * 255
    assert torch.equal(levels.round().float() / 255, rounded), "off the grid"
    change = (levels.round() - (clean.double() * 255).round()).numpy()
    if kind is Linf:
        assert np.abs(change).max() <= eps
    else:
        assert np.sqrt((change**2).mean((1, 2, 3))).max() <= eps + 1e-9


@pytest.mark.parametrize("eps", [1, 2, 4, 8])
def test_rounding_uses_up_an_l2_budget(eps: int) -> None:
    """Every image on the sphere rounds to outside it; cutting digits off would shrink it a lot."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.randint(80, 176, (4, 3, 32, 16), generator=rng) / 255
    ball = L2(eps / 255)
    far = ball.project(clean + torch.randn(clean.shape, generator=rng), clean)
    left = rms(ball.to_grid(far, clean) - clean).flatten() * 255
    assert (left <= eps + 1e-4).all() and (left >= 0.97 * eps).all()


def test_linf_projection_on_numbers() -> None:
    clean = torch.tensor([0.5, 0.02, 0.98]).view(1, 3, 1, 1)
    wild = torch.tensor([0.9, -1.0, 2.0]).view(1, 3, 1, 1)
    expected = torch.tensor([0.6, 0.0, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(Linf(0.1).project(wild, clean), expected)


def test_l2_projection_on_numbers() -> None:
    clean = torch.full((1, 3, 1, 1), 0.5)
    wild = clean + torch.tensor([0.3, 0.0, 0.4]).view(1, 3, 1, 1)  # rms 0.5 / sqrt(3)
    inside = L2(0.1).project(wild, clean) - clean
    expected = torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1) * 0.1 * 3**0.5
    torch.testing.assert_close(inside, expected)


@pytest.mark.parametrize("kind", BALLS)
def test_a_step_has_its_length_and_goes_nowhere_without_gradient(kind) -> None:
    start, grad = torch.full((2, 3, 4, 2), 0.5), torch.randn(2, 3, 4, 2)
    grad[1] = 0
    moved = kind(0.1).step(start, grad, 0.5) - start
    assert size(kind(0.1), moved[:1]) == pytest.approx(0.05, rel=1e-5)
    assert (moved[0] * grad[0]).sum() > 0
    assert not moved[1].any()


@pytest.mark.parametrize("kind", BALLS)
def test_samples_lie_in_the_ball_and_do_not_depend_on_the_batch(kind) -> None:
    clean, _ = pair(3, count=4)
    whole = kind(0.1).sample(clean, ImageRNGs(5, range(4)))
    alone = torch.cat([kind(0.1).sample(clean[i : i + 1], ImageRNGs(5, [i])) for i in range(4)])
    assert torch.equal(whole, alone)
    assert size(kind(0.1), whole - clean) <= 0.1 + 1e-6
    assert not torch.equal(whole, kind(0.1).sample(clean, ImageRNGs(6, range(4))))


def test_linf_samples_are_uniform() -> None:
    clean = torch.full((1, 3, 200, 100), 0.5)
    noise = (Linf(0.1).sample(clean, ImageRNGs(0, [0])) - clean).flatten() / 0.1
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.var()) == pytest.approx(1 / 3, abs=0.01)
    assert float(noise.abs().max()) > 0.99


def test_sampling_keeps_the_memory_format() -> None:
    clean = torch.full((2, 3, 4, 2), 0.5).contiguous(memory_format=torch.channels_last)
    sample = Linf(0.1).sample(clean, ImageRNGs(0, [0, 1]))
    assert sample.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("norm", "eps"), [("l1", 0.1), ("linf", -0.1), ("l2", 1.1)])
def test_what_is_no_ball_is_refused(norm: str, eps: float) -> None:
    with pytest.raises(InputError, match=r"norm|eps"):
        make_ball(norm, eps)
