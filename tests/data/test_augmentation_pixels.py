"""Forced rows against torchvision; one image, a batch and tensors give the same bits."""

import itertools

import numpy as np
import pytest
import torch
from augmentations import build, one_by_one
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from reid.data.augmentation import AUGMENTATIONS, Rows
from reid.data.augmentation import grayscale_patch as patch_module
from reid.data.augmentation import jitter as jitter_module
from reid.data.augmentation.arrays import ONE, luma
from reid.data.augmentation.fast import compiled_loops
from reid.data.augmentation.pipeline import GPUAugmenter, TestTransform
from reid.data.images import UInt8Image
from reid.utils.errors import InputError

SIZE = (20, 12)
PADDING = 3
COLOR = np.array([9, 200, 77], np.uint8)
FILL = tuple((COLOR / 255).tolist())
TRANSFORM = build(SIZE, padding=PADDING, erasing_fill=FILL)
FLIP, WINDOW, JITTER, PATCH, ERASING = range(5)


def image(seed: int = 0, size: tuple[int, int] = SIZE) -> UInt8Image:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def chw(pixels: UInt8Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def rows_of(**steps: object) -> Rows:
    names = ("flip", "window", "factors", "patch", "erase")
    assert set(steps) <= set(names)
    return [steps.get(name) for name in names]  # type: ignore[misc]


def on_cpu(images: list[UInt8Image], rows: list[Rows]) -> np.ndarray:
    out = np.full((len(images), *images[0].shape), 123, np.uint8)
    TRANSFORM.on_cpu(images, rows, out)
    return out


def run(pixels: UInt8Image, **steps: object) -> Tensor:
    return chw(one_by_one(TRANSFORM, [pixels], [rows_of(**steps)])[0])


def apart(ours: Tensor, theirs: Tensor) -> int:
    return int((ours.int() - theirs.int()).abs().max())


def test_nothing_to_do_leaves_the_pixels() -> None:
    assert torch.equal(run(image()), chw(image()))


def test_flip_and_window_are_torchvisions() -> None:
    assert torch.equal(run(image(), flip=(1,)), tv.horizontal_flip(chw(image())))
    padded = tv.pad(chw(image()), [PADDING])
    for top, left in itertools.product(range(2 * PADDING + 1), repeat=2):
        theirs = tv.crop(padded, top, left, *SIZE)
        assert torch.equal(run(image(), window=(top, left)), theirs)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_a_window_may_leave_a_small_image_behind(size: tuple[int, int]) -> None:
    padded = tv.pad(chw(image(1, size)), [PADDING])
    for window in itertools.product(range(2 * PADDING + 1), repeat=2):
        out = on_cpu([image(1, size)], [rows_of(window=window)])
        assert torch.equal(chw(out[0]), tv.crop(padded, *window, *size))


def test_erasing_is_torchvisions() -> None:
    theirs = tv.erase(chw(image()), 4, 2, 9, 5, torch.from_numpy(COLOR)[:, None, None])
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
    one = run(image(), factors=(80000, ONE, ONE)).permute(1, 2, 0).numpy()
    two = run(one, factors=(ONE, 50000, ONE)).permute(1, 2, 0).numpy()
    assert torch.equal(together, run(two, factors=(ONE, ONE, 90000)))


def test_steps_come_in_their_order() -> None:
    # Erasing covers a patch, a patch is grayed after the jitter, boxes lie in the window.
    moved = {"flip": (1,), "window": (1, 5)}
    colors = {"factors": (80000, 50000, 90000), "patch": (0, 0, 20, 12)}
    done = run(image(), **moved, **colors, erase=(5, 5, 5, 5))
    assert (done[:, 5:10, 5:10] == torch.from_numpy(COLOR)[:, None, None]).all()
    rest = torch.ones(SIZE, dtype=torch.bool)
    rest[5:10, 5:10] = False
    jittered = run(image(), **moved, factors=colors["factors"])
    gray = luma(jittered.permute(1, 2, 0).int())
    assert (done[:, rest] == gray[rest].to(torch.uint8)).all()


def test_another_order_of_the_list_is_another_order_of_the_steps() -> None:
    names = ("erasing", "flip")
    transform = build(SIZE, names, erasing_fill=FILL)
    found = one_by_one(transform, [image()], [[(0, 0, 4, 4), (1,)]])[0]
    assert (found[:4, -4:] == COLOR).all() and not (found[:4, :4] == COLOR).all()


def test_a_whole_palette_is_jittered_to_the_bit_by_compiled_loops() -> None:
    # Every value of a channel beside many of the others, for factors to the very ends.
    values = [np.arange(0, 256, step) for step in (16, 1, 8)]
    palette = np.stack(np.meshgrid(*values), -1).astype(np.uint8).reshape(256, -1, 3)
    assert compiled_loops() is not None
    for factors in itertools.product((0, 40000, 2 * ONE), repeat=3):
        rows = [rows_of(factors=factors, patch=(100, 7, 50, 400))]
        expected = one_by_one(TRANSFORM, [palette], rows)
        assert np.array_equal(on_cpu([palette], rows), expected), factors


def combinations() -> list[Rows]:
    switches = (
        (None, (1,)),
        ((0, 6), None, (5, 1)),
        (None, (0, ONE, 2 * ONE), (80000, 50000, 90000)),
        (None, (0, 0, 19, 11)),
        (None, (4, 2, 9, 5)),
    )
    return [list(rows) for rows in itertools.product(*switches)]


@pytest.fixture(params=["compiled", "without numba"])
def colors_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without numba":
        monkeypatch.setattr(jitter_module, "compiled_loops", lambda: None)
        monkeypatch.setattr(patch_module, "compiled_loops", lambda: None)
    return request.param


def test_every_combination_is_the_same_to_the_bit_in_a_batch_and_in_tensors(colors_by: str) -> None:
    rows = combinations()
    images = [image(seed) for seed in range(len(rows))]
    before = [pixels.copy() for pixels in images]
    expected = one_by_one(TRANSFORM, images, rows)
    assert np.array_equal(on_cpu(images, rows), expected)
    augment = GPUAugmenter(TRANSFORM, torch.device("cpu"))
    assert np.array_equal(augment(torch.from_numpy(np.stack(images)), rows).numpy(), expected)
    assert all(map(np.array_equal, images, before))


@pytest.mark.parametrize("padding", [0, 2, 30])
def test_what_is_drawn_is_applied_alike_whatever_the_size(padding: int) -> None:
    transform = build((16, 8), padding=padding, jitter_prob=0.5, grayscale_patch_prob=0.5)
    rows = [transform.draw(np.random.default_rng(seed)) for seed in range(100)]
    images = [image(seed, (16, 8)) for seed in range(100)]
    expected = one_by_one(transform, images, rows)
    out = np.empty_like(expected)
    transform.on_cpu(images, rows, out)
    assert np.array_equal(out, expected)
    augment = GPUAugmenter(transform, torch.device("cpu"))
    assert np.array_equal(augment(torch.from_numpy(np.stack(images)), rows).numpy(), expected)


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_the_neutral_row_leaves_an_image_as_it_is(name: str) -> None:
    augmentation = build(SIZE, (name,)).augmentations[0]
    row = np.array([augmentation.neutral], np.int32)
    assert row.shape == (1, augmentation.width)
    assert np.array_equal(augmentation.apply(image()[None], row)[0], image())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_gives_the_same_bits() -> None:
    rows = combinations()
    images = [image(seed) for seed in range(len(rows))]
    augment = GPUAugmenter(TRANSFORM, torch.device("cuda"))
    found = augment(torch.from_numpy(np.stack(images)).pin_memory(), rows)
    assert found.is_cuda
    assert np.array_equal(found.cpu().numpy(), one_by_one(TRANSFORM, images, rows))


def photo(height: int = 50, width: int = 23) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_resize_is_torchvisions_bilinear_pil_resize() -> None:
    ours = TestTransform(SIZE)(photo(), rng())
    theirs = tv.pil_to_tensor(tv.resize(photo(), list(SIZE)))
    assert torch.equal(ours, theirs)


def test_a_gray_or_palette_file_becomes_rgb() -> None:
    assert TestTransform(SIZE)(photo().convert("L"), rng()).shape == (3, *SIZE)
    assert TestTransform(SIZE)(photo().convert("P"), rng()).shape == (3, *SIZE)


def test_flip_alone_mirrors() -> None:
    plain = TestTransform(SIZE)(photo(), rng())
    flipped = build(SIZE, ("flip",), flip_prob=1)(photo(), rng())
    assert torch.equal(flipped, plain.flip(2))


def test_pad_and_crop_shifts_within_a_black_border() -> None:
    plain = TestTransform(SIZE)(photo(), rng())
    padded = torch.nn.functional.pad(plain, (3, 3, 3, 3))
    windows = {
        padded[:, top : top + SIZE[0], left : left + SIZE[1]].numpy().tobytes()
        for top in range(7)
        for left in range(7)
    }
    transform = build(SIZE, ("padding",), padding=3)
    seen = {transform(photo(), rng(seed)).numpy().tobytes() for seed in range(600)}
    assert seen == windows  # 49 windows; one is missed with probability 49 * (48/49)^600 = 2e-4


def test_erasing_fills_one_rectangle_with_the_fill() -> None:
    fill = (0.596065, 0.558144, 0.49735)
    plain = TestTransform(SIZE)(photo(), rng())
    erased = build(SIZE, ("erasing",), erasing_prob=1, erasing_fill=fill)(photo(), rng(4))
    rows, columns = torch.nonzero((erased != plain).any(0), as_tuple=True)
    box = erased[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (box == torch.tensor([152, 142, 127], dtype=torch.uint8)[:, None, None]).all()
    assert 0.015 < box[0].numel() / (SIZE[0] * SIZE[1]) < 0.42


def test_the_generator_alone_decides() -> None:
    transform = build(SIZE)
    assert torch.equal(transform(photo(), rng(7)), transform(photo(), rng(7)))
    assert not torch.equal(transform(photo(), rng(7)), transform(photo(), rng(8)))


def test_a_size_that_is_none_is_an_error() -> None:
    for size in ((0, 5), (3,)):
        with pytest.raises(InputError, match="size must be"):
            TestTransform(size)  # type: ignore[arg-type]
