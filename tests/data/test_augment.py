"""What is drawn follows its law, and the new augmentations leave the old draws alone."""

import numpy as np
import pytest
from scipy import stats

from reid.data.augment import NEUTRAL, NO_BOX, ONE, GrayscalePatch, Jitter
from reid.data.transforms import TrainTransform
from reid.utils.errors import InputError

SIZE = (64, 32)
DRAWS = 20000
ALL = {"jitter": Jitter(0.3, (0.2, 0.4, 0.1)), "patch": GrayscalePatch(0.4)}


def drawn(transform: TrainTransform, count: int = DRAWS) -> list:
    return [transform.draw(np.random.default_rng(seed)) for seed in range(count)]


def test_shares_are_the_probabilities() -> None:
    found = drawn(TrainTransform(SIZE, flip_prob=0.3, erasing_prob=0.6, **ALL))
    for share, prob in (
        (np.mean([a.flip for a in found]), 0.3),
        (np.mean([a.erase != NO_BOX for a in found]), 0.6),
        (np.mean([a.factors != NEUTRAL for a in found]), 0.3),
        (np.mean([a.patch != NO_BOX for a in found]), 0.4),
    ):
        assert abs(share - prob) < 4 * (prob * (1 - prob) / DRAWS) ** 0.5


def test_windows_are_uniform_in_both_directions_and_independent() -> None:
    found = drawn(TrainTransform(SIZE, padding=2))
    counts = np.zeros((5, 5))
    for a in found:
        counts[a.top, a.left] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_factors_are_uniform_about_one() -> None:
    found = drawn(TrainTransform(SIZE, **ALL))
    factors = np.array([a.factors for a in found if a.factors != NEUTRAL]) / ONE
    for values, most in zip(factors.T, (0.2, 0.4, 0.1), strict=True):
        law = stats.uniform(1 - most, 2 * most)
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(factors.T)[np.triu_indices(3, 1)]).max() < 0.05


def test_patches_and_erased_boxes_have_one_law() -> None:
    found = drawn(TrainTransform(SIZE, erasing_prob=1.0, patch=GrayscalePatch(1.0)))
    erase, patch = (np.array([getattr(a, name) for a in found]) for name in ("erase", "patch"))
    for left, right in zip(erase.T, patch.T, strict=True):
        assert stats.ks_2samp(left, right).pvalue > 1e-3
    assert (patch[:, :2] + patch[:, 2:] <= SIZE).all()


def test_a_new_augmentation_leaves_the_draws_of_the_others_as_they_are() -> None:
    plain, more = drawn(TrainTransform(SIZE), 500), drawn(TrainTransform(SIZE, **ALL), 500)
    assert [a[:4] for a in plain] == [a[:4] for a in more]
    assert all(a.factors == NEUTRAL and a.patch == NO_BOX for a in plain)


def test_draws_are_those_of_runs_made_before_there_was_a_batch_path() -> None:
    # The order of calls that TrainTransform made when each image was augmented as it was decoded.
    for seed in range(200):
        rng = np.random.default_rng(seed)
        flip = rng.random() < 0.5
        top, left = rng.integers(21, size=2).tolist()
        erases = rng.random() < 0.5
        area, ratio = (rng.uniform(0.02, 0.4), rng.uniform(0.3, 1 / 0.3)) if erases else (0, 1)
        found = TrainTransform((256, 128)).draw(np.random.default_rng(seed))
        assert found[:3] == (flip, top, left)
        height, width = round((area * 32768 * ratio) ** 0.5), round((area * 32768 / ratio) ** 0.5)
        if height < 256 and width < 128:
            assert found.erase[2:] == (height, width)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"jitter": Jitter(2.0)}, "jitter_prob must be in"),
        ({"jitter": Jitter(0.5, (0.1, 1.5, 0.1))}, "jitter must be three values in"),
        ({"patch": GrayscalePatch(-1.0)}, "grayscale_patch_prob must be in"),
        ({"patch": GrayscalePatch(0.5, (0.5, 0.1))}, "grayscale_patch_area"),
        ({"patch": GrayscalePatch(0.5, aspect=(0.0, 1.0))}, "grayscale_patch_aspect"),
    ],
)
def test_settings_out_of_range_are_errors(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainTransform(SIZE, **setting)  # type: ignore[arg-type]
