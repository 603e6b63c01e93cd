"""From images to features, and the references that a model must beat."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding, eval_mode, extract
from reid.evaluation.references import Chance, ColorHistogram
from reid.utils.batch import Batch, to_unit
from reid.utils.errors import InputError

CPU = torch.device("cpu")


class Output(NamedTuple):
    feat: Tensor
    feat_bn: Tensor


class Corner(nn.Module):
    """The top-left pixel before the neck, twice that after it."""

    def forward(self, images: Tensor) -> Output:
        return Output(images[:, :, 0, 0], 2 * images[:, :, 0, 0] + self.training)


def batches(count: int, size: int) -> list[Batch]:
    images = torch.arange(count * 3 * 4 * 2, dtype=torch.uint8).view(count, 3, 4, 2)
    numbers = torch.arange(count)
    whole = Batch(images, numbers, numbers + 10, numbers % 3, numbers)
    return [Batch(*(field[i : i + size] for field in whole)) for i in range(0, count, size)]


def test_features_come_in_order_whatever_the_batch_size() -> None:
    embed = Embedding(Corner(), normalize=False)
    ones, all_ = extract(embed, batches(5, 1), CPU), extract(embed, batches(5, 5), CPU)
    assert torch.equal(ones.feats, all_.feats)
    assert torch.equal(all_.feats[:, 0], 2 * torch.tensor([0.0, 24, 48, 72, 96]) / 255)
    assert all_.pids.tolist() == [10, 11, 12, 13, 14]
    assert all_.camids.tolist() == [0, 1, 2, 0, 1]
    assert not all_.feats.is_inference()


def test_neck_feat_before_is_the_feature_before_the_neck() -> None:
    images = torch.rand(2, 3, 4, 2)
    embed = Embedding(Corner(), neck_feat="before", normalize=False)
    assert torch.equal(embed(images), images[:, :, 0, 0])


def test_features_have_unit_length_where_asked() -> None:
    images = torch.rand(2, 3, 4, 2)
    for flip in (False, True):
        norms = Embedding(Corner().eval(), flip=flip)(images).norm(dim=1)
        assert torch.allclose(norms, torch.ones(2))


def test_flip_averages_both_views() -> None:
    images = torch.rand(2, 3, 4, 2)
    feats = Embedding(Corner().eval(), normalize=False, flip=True)(images)
    assert torch.allclose(feats, images[:, :, 0, 0] + images[:, :, 0, -1])
    mirrored = Embedding(Corner().eval(), flip=True)(images.flip(3))
    assert torch.allclose(mirrored, Embedding(Corner().eval(), flip=True)(images))


def test_modes_are_restored_each_to_its_own_even_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    model[0].eval()
    seen = []

    def fail() -> None:
        with eval_mode(model):
            seen.extend(part.training for part in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not any(seen)
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_a_perturbation_sees_pixels_in_the_unit_range() -> None:
    def darken(images: Tensor, batch: Batch) -> Tensor:
        assert torch.equal(images, to_unit(batch.images))
        return images * 0

    embed = Embedding(Corner(), normalize=False)
    assert not extract(embed, batches(3, 2), CPU, perturb=darken).feats.any()


def test_an_unknown_neck_feat_is_an_error() -> None:
    with pytest.raises(InputError, match="'after' or 'before'"):
        Embedding(Corner(), neck_feat="both")


def test_the_histogram_counts_the_colours_of_each_stripe() -> None:
    images = torch.zeros(1, 3, 4, 2)
    images[0, 0, 2:] = 1.0  # upper half black, lower half red
    feats = ColorHistogram(stripes=2, bins=2, width=0, gray_world=False)(images)[0]
    # Cell of (R, G, B) = 4 R + 2 G + B; the lower stripe's cells follow the upper's 8.
    expected = torch.zeros(16)
    expected[0] = expected[8 + 4] = 0.5**0.5
    assert torch.allclose(feats, expected)


def test_the_histogram_does_not_see_where_in_a_stripe_a_colour_is() -> None:
    images = torch.rand(2, 3, 6, 8)
    shuffled = images[..., torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    count = ColorHistogram(width=0, gray_world=False)
    assert torch.equal(count(images), count(shuffled))


def test_the_histogram_weighs_columns_by_a_gaussian() -> None:
    images = torch.zeros(1, 3, 1, 3)
    images[0, 2, 0, 2] = 1.0  # the right column is blue
    feats = ColorHistogram(stripes=1, bins=2, width=0.5, gray_world=False)(images)[0]
    outer = math.exp(-0.5 * ((1 / 3) / 0.5) ** 2)  # columns lie at -1/3, 0 and 1/3 of the width
    expected = torch.zeros(8)
    expected[0], expected[1] = 1 + outer, outer
    assert torch.allclose(feats, (expected / expected.sum()).sqrt())


def test_the_histogram_does_not_see_exposure_contrast_or_cast() -> None:
    images = 0.3 + 0.2 * torch.rand(2, 3, 24, 12, generator=torch.Generator().manual_seed(0))
    changed = 1.7 * images + torch.tensor([0.1, 0.0, -0.2])[:, None, None]
    seen, plain = ColorHistogram(), ColorHistogram(gray_world=False)
    assert (seen(images) * seen(changed)).sum(1).min() > 0.97
    assert (plain(images) * plain(changed)).sum(1).max() < 0.5


def test_chance_is_seeded() -> None:
    images = torch.zeros(3, 3, 2, 2)
    assert torch.equal(Chance(1)(images), Chance(1)(images))
    assert not torch.equal(Chance(1)(images), Chance(2)(images))
