"""Natural corruptions: what all keep, and what each does, on numbers."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from reid.robustness.corruptions import CORRUPTIONS
from reid.utils.errors import InputError

every = pytest.mark.parametrize("name", CORRUPTIONS.names())
NAMES = ["brightness", "contrast", "gaussian_blur", "gaussian_noise"]
NAMES += ["grayscale", "jpeg", "low_resolution", "occlusion"]


def rngs(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, i)) for i in range(count)]


def people(count: int = 3, height: int = 64, width: int = 32) -> Tensor:
    """Smooth colourful pictures with some texture, on the 8-bit grid."""
    y = torch.linspace(0, 3, height).view(1, 1, -1, 1)
    x = torch.linspace(0, 2, width).view(1, 1, 1, -1)
    phase = torch.arange(count * 3).view(count, 3, 1, 1)
    waves = 0.5 + 0.25 * torch.sin(2 * y + phase) + 0.15 * torch.cos(9 * x + 5 * y + phase)
    return (waves * 255).round() / 255


def corrupt(name: str, images: Tensor, severity: int, seed: int = 0) -> Tensor:
    out: Tensor = CORRUPTIONS[name](images, severity, rngs(len(images), seed))
    return out


def test_all_are_there() -> None:
    assert set(NAMES) <= set(CORRUPTIONS.names())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("severity", [1, 5])
def test_what_comes_out_is_an_image_and_what_went_in_is_untouched(name, dtype, severity) -> None:
    images = people().to(dtype)
    kept = images.clone()
    out = corrupt(name, images, severity)
    assert (out.shape, out.dtype, out.device) == (images.shape, images.dtype, images.device)
    assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1
    assert torch.equal(images, kept)
    assert not torch.equal(out, images)


@every
def test_an_image_is_corrupted_alike_in_every_batch(name: str) -> None:
    images = people(4)
    whole = CORRUPTIONS[name](images, 3, rngs(4))
    alone = [CORRUPTIONS[name](images[i : i + 1], 3, rngs(4)[i : i + 1]) for i in range(4)]
    assert torch.equal(whole, torch.cat(alone))
    assert torch.equal(whole, CORRUPTIONS[name](images, 3, rngs(4)))


@every
def test_a_higher_severity_distorts_more(name: str) -> None:
    images = people(8)
    change = [float((corrupt(name, images, s) - images).abs().mean()) for s in range(1, 6)]
    assert change == sorted(change)
    assert change[0] > 0 and change[4] > 1.2 * change[0]


@every
@pytest.mark.parametrize("severity", [0, 6, -1])
def test_there_are_five_severities(name: str, severity: int) -> None:
    with pytest.raises(InputError, match="1 to 5"):
        corrupt(name, people(), severity)


@every
def test_what_is_no_image_is_refused(name: str) -> None:
    for bad in (people() * 2, people()[:, :1], people() * float("nan"), people().byte()):
        with pytest.raises(InputError, match="images must be"):
            corrupt(name, bad, 1)
    with pytest.raises(InputError, match="generators"):
        CORRUPTIONS[name](people(3), 1, rngs(2))


@pytest.mark.parametrize(("severity", "std"), [*enumerate((0.08, 0.12, 0.18, 0.26, 0.38), 1)])
def test_noise_has_its_deviation(severity: int, std: float) -> None:
    gray = torch.full((1, 3, 200, 200), 0.5)
    noise = corrupt("gaussian_noise", gray, severity) - 0.5
    inside = noise.abs() < 0.49
    quantile = float(noise.abs().median())  # cut values do not move the median
    assert quantile == pytest.approx(0.6745 * std, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert inside.float().mean() > 0.75
    assert not torch.equal(noise, corrupt("gaussian_noise", gray, severity, seed=1) - 0.5)


@pytest.mark.parametrize(("severity", "add"), [*enumerate((0.1, 0.2, 0.3, 0.4, 0.5), 1)])
def test_brightness_adds(severity: int, add: float) -> None:
    expected = (people().double() + add).clamp(max=1)
    torch.testing.assert_close(corrupt("brightness", people().double(), severity), expected)


@pytest.mark.parametrize(("severity", "factor"), [*enumerate((0.4, 0.3, 0.2, 0.1, 0.05), 1)])
def test_contrast_shrinks_about_the_mean(severity: int, factor: float) -> None:
    images = people().double()
    mean = images.mean((2, 3), keepdim=True)
    expected = mean + factor * (images - mean)
    torch.testing.assert_close(corrupt("contrast", images, severity), expected)


def test_grayscale_ends_in_luma_and_goes_there_in_fifths() -> None:
    images = people().double()
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1).double()).sum(1, True)
    for severity in range(1, 6):
        expected = images + severity / 5 * (luma - images)
        found = corrupt("grayscale", images, severity)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_blur_keeps_the_mean_and_spreads_a_dot_as_a_gaussian() -> None:
    images = people().double()
    out = corrupt("gaussian_blur", images, 2)
    torch.testing.assert_close(out.mean((2, 3)), images.mean((2, 3)))
    dot = torch.zeros(1, 3, 224, 224, dtype=torch.float64)
    dot[..., 112, 112] = 1
    blurred = corrupt("gaussian_blur", dot, 3)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1)
    offset = torch.arange(224, dtype=torch.float64) - 112
    for line in (blurred.sum(0), blurred.sum(1)):
        assert float((line * offset).sum()) == pytest.approx(0, abs=1e-9)
        assert float((line * offset**2).sum()) ** 0.5 == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("name", ["gaussian_blur", "low_resolution"])
def test_what_smooths_leaves_a_plain_image_alone(name: str) -> None:
    plain = torch.full((2, 3, 48, 24), 0.3, dtype=torch.float64)
    torch.testing.assert_close(corrupt(name, plain, 5), plain)


def test_low_resolution_by_two_is_averaging_and_enlarging() -> None:
    images = people().double()
    small = torch.nn.functional.avg_pool2d(images, 2)
    size = images.shape[2:]
    expected = torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(corrupt("low_resolution", images, 2), expected)


def test_low_resolution_by_one_and_a_half_counts_parts_of_pixels() -> None:
    line = torch.tensor([0.0, 0.6, 0.3]).view(1, 1, 3, 1).expand(1, 3, 3, 3).double()
    out = corrupt("low_resolution", line, 1)  # 3 rows become 2 of one and a half
    small = torch.tensor([(0.0 + 0.6 / 2) / 1.5, (0.6 / 2 + 0.3) / 1.5])
    middle = (small[0] + small[1]) / 2  # the middle row lies half way
    assert float(out[0, 0, 1, 1]) == pytest.approx(float(middle))


@pytest.mark.parametrize(("severity", "share"), [*enumerate((0.1, 0.2, 0.3, 0.4, 0.5), 1)])
def test_occlusion_covers_its_share_with_one_gray_rectangle(severity: int, share: float) -> None:
    images = people(6, 128, 64) * 0.4  # nothing of it is as bright as the rectangle
    out = corrupt("occlusion", images, severity)
    places = set()
    for before, after in zip(images, out, strict=True):
        covered = (after == 0.5).all(0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(covered.sum()) == height * width
        assert height * width / (128 * 64) == pytest.approx(share, rel=0.05)
        assert torch.equal(after[:, ~covered], before[:, ~covered])
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 3


@pytest.mark.parametrize(("severity", "quality"), [*enumerate((25, 18, 15, 10, 7), 1)])
def test_jpeg_is_what_pillow_makes_of_it(severity: int, quality: int) -> None:
    images = people(2)
    out = corrupt("jpeg", images, severity)
    for before, after in zip(images, out, strict=True):
        pixels = (before * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)).astype(np.float32) / 255
        assert np.allclose(after.permute(1, 2, 0).numpy(), expected, atol=1e-6)
