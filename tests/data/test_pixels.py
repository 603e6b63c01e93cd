"""Forced parameters against torchvision; one image, a batch and tensors give the same bits."""

import itertools
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from reid.data.augment import NEUTRAL, NO_BOX, ONE, Augmentation, GrayscalePatch, Jitter
from reid.data.device import DeviceAugmenter
from reid.data.host import fast_recolor, fill_batch
from reid.data.pixels import UInt8Image, apply, luma, recolor
from reid.data.transforms import TrainTransform

SIZE = (20, 12)
PADDING = 3
FILL = np.array([9, 200, 77], np.uint8)
PLAIN = Augmentation(False, PADDING, PADDING)


def image(seed: int = 0, size: tuple[int, int] = SIZE) -> UInt8Image:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def chw(pixels: UInt8Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def run(pixels: UInt8Image, **changes: object) -> Tensor:
    return chw(apply(pixels, PLAIN._replace(**changes), PADDING, FILL))  # type: ignore[arg-type]


def apart(ours: Tensor, theirs: Tensor) -> int:
    return int((ours.int() - theirs.int()).abs().max())


def test_nothing_to_do_leaves_the_pixels() -> None:
    assert torch.equal(run(image()), chw(image()))


def test_flip_and_window_are_torchvisions() -> None:
    assert torch.equal(run(image(), flip=True), tv.horizontal_flip(chw(image())))
    padded = tv.pad(chw(image()), [PADDING])
    for top, left in itertools.product(range(2 * PADDING + 1), repeat=2):
        theirs = tv.crop(padded, top, left, *SIZE)
        assert torch.equal(run(image(), top=top, left=left), theirs)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_a_window_may_leave_a_small_image_behind(size: tuple[int, int]) -> None:
    padded = tv.pad(chw(image(1, size)), [PADDING])
    out, filled = np.empty((1, *size, 3), np.uint8), np.zeros((*size, 3), np.uint8)
    for top, left in itertools.product(range(2 * PADDING + 1), repeat=2):
        fill_batch(out, [image(1, size)], [Augmentation(False, top, left)], PADDING, filled)
        assert torch.equal(chw(out[0]), tv.crop(padded, top, left, *size))


def test_erasing_is_torchvisions() -> None:
    theirs = tv.erase(chw(image()), 4, 2, 9, 5, torch.from_numpy(FILL)[:, None, None])
    assert torch.equal(run(image(), erase=(4, 2, 9, 5)), theirs)


def test_gray_is_pils_to_the_bit_and_torchvisions_within_one() -> None:
    colors = image(2, (256, 256))
    gray = luma(colors.astype(np.int32))
    assert np.array_equal(gray, np.asarray(Image.fromarray(colors).convert("L")))
    assert apart(torch.from_numpy(gray)[None], tv.rgb_to_grayscale(chw(colors))) <= 1


def test_a_patch_alone_turns_gray() -> None:
    patched, gray = run(image(), patch=(3, 1, 10, 6)), luma(image().astype(np.int32))
    expected = chw(image()).clone()
    expected[:, 3:13, 1:7] = torch.from_numpy(gray)[3:13, 1:7].to(torch.uint8)
    assert torch.equal(patched, expected)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.83, 0.9999, 1.0, 1.2, 1.5, 2.0])
@pytest.mark.parametrize(("place", "name"), [(0, "brightness"), (1, "contrast"), (2, "saturation")])
@pytest.mark.parametrize("kind", ["tensor", "PIL"])
def test_jitter_is_torchvisions_within_one(factor: float, place: int, name: str, kind: str) -> None:
    factors = [ONE] * 3
    factors[place] = round(factor * ONE)
    adjust = getattr(tv, f"adjust_{name}")
    for seed, dark in itertools.product(range(3), (1, 4)):
        pixels = image(seed, (64, 32)) // dark
        theirs = adjust(chw(pixels) if kind == "tensor" else Image.fromarray(pixels), factor)
        theirs = theirs if kind == "tensor" else chw(np.asarray(theirs))
        assert apart(run(pixels, factors=tuple(factors)), theirs) <= 1


def test_the_three_factors_act_one_after_the_other() -> None:
    together = run(image(), factors=(80000, 50000, 90000))
    one = apply(image(), PLAIN._replace(factors=(80000, ONE, ONE)), PADDING, FILL)
    two = apply(one, PLAIN._replace(factors=(ONE, 50000, ONE)), PADDING, FILL)
    assert torch.equal(together, run(two, factors=(ONE, ONE, 90000)))


def test_steps_come_in_their_order() -> None:
    # Erasing covers a patch, a patch is grayed after the jitter, boxes lie in the window.
    todo = {"factors": (80000, 50000, 90000), "patch": (0, 0, 20, 12), "erase": (5, 5, 5, 5)}
    done = run(image(), flip=True, top=1, left=5, **todo)
    assert (done[:, 5:10, 5:10] == torch.from_numpy(FILL)[:, None, None]).all()
    rest = torch.ones(SIZE, dtype=torch.bool)
    rest[5:10, 5:10] = False
    jittered = run(image(), flip=True, top=1, left=5, factors=todo["factors"])
    gray = luma(jittered.permute(1, 2, 0).int())
    assert (done[:, rest] == gray[rest].to(torch.uint8)).all()


def test_a_whole_palette_is_jittered_to_the_bit_by_compiled_loops() -> None:
    # Every value of a channel beside many of the others, for factors to the very ends.
    values = [np.arange(0, 256, step) for step in (16, 1, 8)]
    palette = np.stack(np.meshgrid(*values), -1).astype(np.uint8).reshape(256, -1, 3)
    for factors in itertools.product((0, 40000, 2 * ONE), repeat=3):
        todo = PLAIN._replace(factors=factors, patch=(100, 7, 50, 400))
        plain, fast = palette.copy(), palette.copy()
        recolor(plain, todo)
        fast_recolor()(fast, todo)
        assert np.array_equal(fast, plain), factors


def combinations() -> list[Augmentation]:
    switches = (
        (False, True),
        ((0, 6), (3, 3), (5, 1)),
        (NO_BOX, (4, 2, 9, 5)),
        (NEUTRAL, (0, ONE, 2 * ONE), (80000, 50000, 90000)),
        (NO_BOX, (0, 0, 19, 11)),
    )
    return [
        Augmentation(flip, *window, erase, factors, patch)
        for flip, window, erase, factors, patch in itertools.product(*switches)
    ]


def one_by_one(images: list[UInt8Image], todo: list[Augmentation]) -> np.ndarray:
    return np.stack([apply(i, t, PADDING, FILL) for i, t in zip(images, todo, strict=True)])


@pytest.fixture(params=["compiled", "without numba"])
def colors_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "without numba":
        monkeypatch.setitem(sys.modules, "reid.data.compiled", None)
    fast_recolor.cache_clear()
    yield request.param
    fast_recolor.cache_clear()


def test_every_combination_is_the_same_to_the_bit_in_a_batch_and_in_tensors(colors_by: str) -> None:
    assert (fast_recolor() is recolor) == (colors_by == "without numba")
    todo = combinations()
    images = [image(seed) for seed in range(len(todo))]
    before = [pixels.copy() for pixels in images]
    expected = one_by_one(images, todo)
    out, filled = np.full_like(expected, 123), np.empty((*SIZE, 3), np.uint8)
    filled[...] = FILL
    fill_batch(out, images, todo, PADDING, filled)
    assert np.array_equal(out, expected)
    augment = DeviceAugmenter(torch.device("cpu"), PADDING, FILL)
    assert np.array_equal(augment(torch.from_numpy(np.stack(images)), todo).numpy(), expected)
    assert all(map(np.array_equal, images, before))


@pytest.mark.parametrize("padding", [0, 2, 30])
def test_what_is_drawn_is_applied_alike_whatever_the_size(padding: int) -> None:
    transform = TrainTransform(
        (16, 8), padding=padding, jitter=Jitter(0.5), patch=GrayscalePatch(0.5)
    )
    todo = [transform.draw(np.random.default_rng(seed)) for seed in range(100)]
    images = [image(seed, (16, 8)) for seed in range(100)]
    expected = np.stack(
        [apply(i, t, padding, transform.fill) for i, t in zip(images, todo, strict=True)]
    )
    out, filled = np.empty_like(expected), np.empty_like(expected[0])
    filled[...] = transform.fill
    fill_batch(out, images, todo, padding, filled)
    assert np.array_equal(out, expected)
    augment = DeviceAugmenter(torch.device("cpu"), padding, transform.fill)
    assert np.array_equal(augment(torch.from_numpy(np.stack(images)), todo).numpy(), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_gives_the_same_bits() -> None:
    todo = combinations()
    images = [image(seed) for seed in range(len(todo))]
    augment = DeviceAugmenter(torch.device("cuda"), PADDING, FILL)
    found = augment(torch.from_numpy(np.stack(images)).pin_memory(), todo)
    assert found.is_cuda
    assert np.array_equal(found.cpu().numpy(), one_by_one(images, todo))
