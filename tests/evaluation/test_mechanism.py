"""What a network does to small changes of its pixels, against sums by hand and by brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reid.evaluation.mechanism import (
    Stem,
    channel_deviations,
    find_stem,
    gains,
    low_frequencies,
    low_frequency_share,
    pixel_gradients,
    rises,
)
from reid.modeling import BACKBONES, PROVIDERS, REGULARIZERS, ReIDModel
from reid.modeling.heads import HEADS


def small_stem(seed: int = 0) -> Stem:
    """Two channels of 2 x 1 cells of two colours, with statistics as after a training."""
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(2).eval()
    norm.running_var = torch.tensor([0.5, 2.0])
    norm.running_mean = torch.tensor([0.3, -0.2])
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.5, -0.7]))
        norm.bias.copy_(torch.tensor([0.1, 0.2]))
    return Stem(nn.Conv2d(2, 2, (2, 1)), norm)


def test_the_gain_is_the_largest_move_behind_the_normalization() -> None:
    stem, pixel_std, eps = small_stem(), torch.tensor([0.25, 0.5]), 4 / 255
    scale = pixel_std.view(1, 2, 1, 1)
    image = torch.rand(1, 2, 2, 1)
    with torch.no_grad():
        before = stem.norm(stem.conv(image / scale)).flatten()
        moved = []
        for signs in itertools.product((-1.0, 1.0), repeat=4):
            change = eps * torch.tensor(signs).view_as(image)
            moved.append(stem.norm(stem.conv((image + change) / scale)).flatten() - before)
    largest = torch.stack(moved).amax(0)
    torch.testing.assert_close(gains(stem, pixel_std, eps), largest, rtol=1e-4, atol=1e-6)


def test_the_gain_grows_with_the_weights_and_falls_with_the_deviation() -> None:
    stem, pixel_std = small_stem(), torch.ones(2)
    before = gains(stem, pixel_std, 0.1)
    torch.testing.assert_close(gains(stem, pixel_std, 0.2), 2 * before)
    with torch.no_grad():
        stem.conv.weight[0] *= 3
    assert stem.norm.running_var is not None
    stem.norm.running_var[1] = 4 * (2.0 + stem.norm.eps) - stem.norm.eps
    torch.testing.assert_close(
        gains(stem, pixel_std, 0.1), before * torch.tensor([3.0, 0.5]), rtol=1e-5, atol=0
    )


def test_deviations_are_over_all_cells_of_all_images() -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1)
    images = torch.rand(7, 3, 6, 4)
    found = channel_deviations(nn.Sequential(conv, nn.ReLU()), conv, [images[:4], images[4:]])
    with torch.no_grad():
        maps = conv(images).numpy().astype(np.float64)
    expected = [maps[:, channel].std() for channel in range(5)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    constant = channel_deviations(conv, conv, [torch.zeros(2, 3, 4, 4)])
    assert constant.tolist() == pytest.approx([0] * 5, abs=1e-6)


def share_by_sums(gradient: np.ndarray, cutoff: float) -> float:
    """The share of low frequencies, by the sums that define a Fourier transform."""
    colours, height, width = gradient.shape
    low = whole = 0.0
    for u, v in itertools.product(range(height), range(width)):
        # Frequencies beyond a half are negative ones.
        fy, fx = (k / n if k <= n / 2 else k / n - 1 for k, n in ((u, height), (v, width)))
        for colour in range(colours):
            entry = sum(
                gradient[colour, y, x] * np.exp(-2j * math.pi * (u * y / height + v * x / width))
                for y, x in itertools.product(range(height), range(width))
            )
            whole += abs(entry) ** 2
            low += abs(entry) ** 2 * (math.hypot(fy, fx) < cutoff)
    return low / whole


def test_the_share_of_low_frequencies_equals_the_sums() -> None:
    gradients = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    found = low_frequency_share(gradients, cutoff=0.3)
    expected = [share_by_sums(gradient.numpy(), 0.3) for gradient in gradients]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_waves_lie_on_their_side_of_the_cutoff() -> None:
    rows = torch.arange(128.0, dtype=torch.float64).view(1, 1, 128, 1).expand(1, 3, 128, 64)
    waves = {k: torch.cos(2 * math.pi * k * rows / 128) for k in (0, 7, 8, 9, 40)}
    found = {k: low_frequency_share(wave).item() for k, wave in waves.items()}
    # 1/16 cycle per pixel is 8 waves in 128 pixels, and is not below itself.
    assert found == pytest.approx({0: 1, 7: 1, 8: 0, 9: 0, 40: 0}, abs=1e-9)
    both = low_frequency_share(waves[7] + 2 * waves[40]).item()
    assert both == pytest.approx(1 / 5, rel=1e-9)


def test_a_flat_spectrum_has_the_share_of_the_disc() -> None:
    share = low_frequencies((128, 64)).double().mean().item()
    assert share == pytest.approx(math.pi / 16**2, rel=0.1)
    noise = torch.randn(40, 3, 128, 64, generator=torch.Generator().manual_seed(2))
    found = low_frequency_share(noise)
    assert found.mean().item() == pytest.approx(share, abs=4 * found.std().item() / 40**0.5)
    assert low_frequency_share(torch.zeros(1, 3, 8, 8)).isnan().all()


def quadratic(images: Tensor) -> Tensor:
    """A loss with gradient 2 a x + b, for a = 1, b = 3."""
    return (images.square() + 3 * images).sum((1, 2, 3))


def test_the_gradient_is_that_of_each_image_alone() -> None:
    images = torch.rand(3, 3, 4, 2)
    torch.testing.assert_close(pixel_gradients(quadratic, images), 2 * images + 3)
    assert not images.requires_grad


def test_the_rise_is_the_losss_and_the_foretold_one_the_gradients() -> None:
    images, eps = torch.rand(3, 3, 4, 2) / 2, 0.1
    actual, foretold = rises(quadratic, images, pixel_gradients(quadratic, images), eps)
    # (x + e)^2 + 3 (x + e) - x^2 - 3 x = e (2 x + 3) + e^2, for 24 values of each image.
    torch.testing.assert_close(foretold, eps * (2 * images + 3).sum((1, 2, 3)))
    torch.testing.assert_close(actual, foretold + 24 * eps**2)


def test_a_step_ends_at_the_edge_of_what_pixels_can_be() -> None:
    images = torch.full((1, 3, 4, 2), 0.95)

    def linear(pixels: Tensor) -> Tensor:
        return 2 * pixels.sum((1, 2, 3))

    actual, foretold = rises(linear, images, pixel_gradients(linear, images), 0.1)
    expected = torch.tensor([2 * 24 * 0.05])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(foretold, expected, rtol=1e-4, atol=0)


def model_of(backbone: nn.Module, masked: bool = False) -> ReIDModel:
    head = HEADS["bnneck"](feat_dim=backbone.feat_dim, num_classes=3)
    regularizers = {"conv1": REGULARIZERS["lfm"](num_channels=2)} if masked else {}
    return ReIDModel(backbone, head, regularizers, [0.5] * 3, [0.25] * 3).eval()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "osnet_x0_25", "torchvision:mobilenet_v2"])
def test_the_stem_is_the_first_convolution_and_its_normalization(name: str, masked: bool) -> None:
    provider, _, model = name.partition(":")
    network = PROVIDERS[provider](model, (64, 32)) if model else BACKBONES[name]()
    stem = find_stem(model_of(network, masked), torch.rand(1, 3, 64, 32))
    assert stem is not None
    assert stem.conv.in_channels == 3 and stem.norm.num_features == stem.conv.out_channels
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert stem.conv is convs[0]


class Patches(nn.Module):
    """What a ViT begins with: patches that no batch normalization reads."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 4, stride=4)
        self.relu = nn.ReLU()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.norm(self.relu(self.embed(images)))
        return out


def test_other_beginnings_have_no_stem() -> None:
    assert find_stem(Patches().eval(), torch.rand(1, 3, 8, 8)) is None
    assert find_stem(nn.Flatten(), torch.rand(1, 3, 8, 8)) is None
