"""Noise on pixels: its law, and that a key and a place alone decide it."""

import numpy as np
import pytest
import torch
from augmentations import build
from scipy import stats

from reid.data.augmentation.noise import PixelNoise, _mixed
from reid.utils.errors import InputError

SIZE = (64, 32)
GRAY = np.full((1, *SIZE, 3), 128, np.uint8)


def noise_of(sd: float, rows: list[tuple[int, int]]) -> np.ndarray:
    """What is added to gray images, one for each row, (B, H, W, 3)."""
    images = np.repeat(GRAY, len(rows), 0)
    out = PixelNoise(1.0, sd).apply(images, np.array(rows, np.int32))
    return out.astype(int) - 128


def keys(count: int) -> list[tuple[int, int]]:
    draws = [PixelNoise(1.0).draw(np.random.default_rng(seed)) for seed in range(count)]
    return [row for row in draws if row is not None]  # type: ignore[misc]


def test_noise_is_gaussian_with_the_deviation_in_levels() -> None:
    found = noise_of(8.0, keys(40)).ravel()
    error = 8 / len(found) ** 0.5
    assert abs(found.mean()) < 4 * error
    # Rounding to whole levels adds a variance of 1/12.
    assert abs(found.std() - (64 + 1 / 12) ** 0.5) < 4 * error
    levels = np.arange(-20, 21)
    law = np.diff(stats.norm(0, 8).cdf(np.arange(-20.5, 21)))
    counts = np.array([(found == level).sum() for level in levels])
    expected = law * len(found)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2(len(levels)).sf(chi2) > 1e-3


def test_neighbours_colours_and_images_are_independent() -> None:
    found = noise_of(8.0, keys(60)).astype(float)
    pairs = {
        "rows": (found[:, 1:], found[:, :-1]),
        "columns": (found[:, :, 1:], found[:, :, :-1]),
        "colours": (found[..., 0], found[..., 1]),
        "images": (found[1:], found[:-1]),
    }
    for name, (one, other) in pairs.items():
        r = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(r) < 4 / one.size**0.5, name


def test_near_keys_give_unlike_noise() -> None:
    found = noise_of(8.0, [(1, 1), (2, 1), (1, 2), (2, 2)]).reshape(4, -1)
    correlations = np.corrcoef(found)[np.triu_indices(4, 1)]
    assert abs(correlations).max() < 4 / found.shape[1] ** 0.5


def test_the_mixer_is_one_to_one_and_the_published_one() -> None:
    numbers = np.arange(1 << 16, dtype=np.int64) * 65521
    assert len(np.unique(_mixed(numbers))) == len(numbers)
    x = 123456789
    for _ in range(2):
        x = (((x >> 16) ^ x) * 0x45D9F3B) % 2**32
    assert _mixed(np.array([123456789]))[0] == (x >> 16) ^ x


def test_values_are_cut_to_the_range_of_pixels() -> None:
    images = np.stack([np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 255, np.uint8)])
    low, high = PixelNoise(1.0, 8.0).apply(images, np.array(keys(2), np.int32))
    # Half of the noise, and what rounds to 0, leaves the range.
    for share in ((low == 0).mean(), (high == 255).mean()):
        assert abs(share - stats.norm.cdf(0.5 / 8)) < 4 * 0.5 / low.size**0.5


def test_a_deviation_of_0_and_the_neutral_row_change_nothing() -> None:
    assert not noise_of(0.0, keys(3)).any()
    mixed = noise_of(8.0, [(0, 0), *keys(1), (0, 0)])
    assert not mixed[0].any() and mixed[1].any() and not mixed[2].any()


def test_host_batch_and_tensors_get_the_same_bits() -> None:
    augmentation, rng = PixelNoise(0.5, 8.0), np.random.default_rng(2)
    images = rng.integers(0, 256, (30, *SIZE, 3), dtype=np.uint8)
    drawn = [augmentation.draw(np.random.default_rng(seed)) for seed in range(30)]
    rows = np.array([row or augmentation.neutral for row in drawn], np.int32)
    batch = augmentation.apply(images, rows)
    on_device = augmentation.apply(torch.from_numpy(images), torch.from_numpy(rows))
    assert np.array_equal(on_device.numpy(), batch)
    for image, row, expected in zip(images, drawn, batch, strict=True):
        out = image.copy()
        if row is not None:
            augmentation.on_cpu(out, row, out)
        assert np.array_equal(out, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_gives_the_same_bits() -> None:
    images = np.random.default_rng(2).integers(0, 256, (30, *SIZE, 3), dtype=np.uint8)
    rows = np.array(keys(30), np.int32)
    augmentation = PixelNoise(1.0, 8.0)
    found = augmentation.apply(torch.from_numpy(images).cuda(), torch.from_numpy(rows).cuda())
    assert np.array_equal(found.cpu().numpy(), augmentation.apply(images, rows))


def test_it_leaves_the_draws_of_the_others_as_they_are_and_comes_at_its_rate() -> None:
    plain = build(SIZE)
    more = build(SIZE, ("flip", "padding", "jitter", "grayscale_patch", "noise", "erasing"))
    noisy = 0
    for seed in range(4000):
        rows = more.draw(np.random.default_rng(seed))
        noisy += rows.pop(4) is not None
        assert rows == plain.draw(np.random.default_rng(seed))
    assert abs(noisy / 4000 - 0.15) < 4 * (0.15 * 0.85 / 4000) ** 0.5


@pytest.mark.parametrize("setting", [{"prob": 1.5}, {"sd": -1.0}, {"sd": 256.0}])
def test_settings_out_of_range_are_errors(setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        PixelNoise(**setting)
