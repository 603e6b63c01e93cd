"""Augmentation, pixel by pixel where the draw is forced, by counting where it is not."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from reid.data.augment import draw_rectangle
from reid.data.transforms import TestTransform, TrainTransform
from reid.utils.errors import InputError

SIZE = (32, 16)


def photo(height: int = 50, width: int = 23) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_resize_is_torchvisions_bilinear_pil_resize() -> None:
    ours = TestTransform(SIZE)(photo(), rng())
    theirs = v2.functional.pil_to_tensor(v2.functional.resize(photo(), list(SIZE)))
    assert torch.equal(ours, theirs)


def test_a_gray_or_palette_file_becomes_rgb() -> None:
    assert TestTransform(SIZE)(photo().convert("L"), rng()).shape == (3, *SIZE)
    assert TestTransform(SIZE)(photo().convert("P"), rng()).shape == (3, *SIZE)


def test_flip_alone_mirrors() -> None:
    plain = TestTransform(SIZE)(photo(), rng())
    flipped = TrainTransform(SIZE, flip_prob=1, padding=0, erasing_prob=0)(photo(), rng())
    assert torch.equal(flipped, plain.flip(2))


def test_pad_and_crop_shifts_within_a_black_border() -> None:
    plain = TestTransform(SIZE)(photo(), rng())
    padded = torch.nn.functional.pad(plain, (3, 3, 3, 3))
    windows = {
        padded[:, top : top + 32, left : left + 16].numpy().tobytes()
        for top in range(7)
        for left in range(7)
    }
    transform = TrainTransform(SIZE, flip_prob=0, padding=3, erasing_prob=0)
    seen = {transform(photo(), rng(seed)).numpy().tobytes() for seed in range(600)}
    assert seen == windows  # 49 windows; one is missed with probability 49 * (48/49)^600 = 2e-4


def test_erasing_fills_one_rectangle_with_the_fill() -> None:
    fill = (0.596065, 0.558144, 0.49735)
    plain = TestTransform(SIZE)(photo(), rng())
    transform = TrainTransform(SIZE, flip_prob=0, padding=0, erasing_prob=1, erasing_fill=fill)
    erased = transform(photo(), rng(4))
    rows, columns = torch.nonzero((erased != plain).any(0), as_tuple=True)
    box = erased[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (box == torch.tensor([152, 142, 127], dtype=torch.uint8)[:, None, None]).all()
    assert 0.015 < box[0].numel() / (32 * 16) < 0.42


def test_rectangles_follow_the_law() -> None:
    generator = rng(1)
    boxes = [
        draw_rectangle(generator, (128, 64), (0.02, 0.4), (0.3, 1 / 0.3)) for _ in range(20000)
    ]
    top, left, height, width = np.array([box for box in boxes if box is not None]).T
    assert len(top) == 20000
    assert (height < 128).all() and (width < 64).all()
    assert (top + height <= 128).all() and (left + width <= 64).all()
    # Mean share of such rectangles is 0.2042 (100 000 draws); its standard error here is 0.0007.
    assert abs((height * width).mean() / (128 * 64) - 0.2042) < 0.003


def test_a_rectangle_that_never_fits_is_given_up() -> None:
    assert draw_rectangle(rng(), (4, 100), (0.9, 0.9), (3.0, 3.0)) is None


def test_the_generator_alone_decides() -> None:
    transform = TrainTransform(SIZE)
    assert torch.equal(transform(photo(), rng(7)), transform(photo(), rng(7)))
    assert not torch.equal(transform(photo(), rng(7)), transform(photo(), rng(8)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flip_prob": 1.5}, "flip_prob must be in"),
        ({"padding": -1}, "padding must not be negative"),
        ({"erasing_area": (0.4, 0.02)}, "erasing_area"),
        ({"erasing_aspect": (0.0, 3.0)}, "erasing_aspect"),
        ({"erasing_fill": (104, 117, 128)}, "three values in"),
    ],
)
def test_settings_out_of_range_are_errors(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainTransform(SIZE, **setting)  # type: ignore[arg-type]
