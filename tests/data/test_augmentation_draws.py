"""What is drawn follows its law, and the new augmentations leave the old draws alone."""

import numpy as np
import pytest
from augmentations import build
from scipy import stats

from reid.data.augmentation.arrays import ONE
from reid.data.augmentation.rectangle import draw_rectangle
from reid.utils.errors import InputError

SIZE = (64, 32)
DRAWS = 20000
ALL = {
    "jitter_prob": 0.3,
    "jitter": (0.2, 0.4, 0.1),
    "grayscale_patch_prob": 0.4,
}
FLIP, PADDING, JITTER, PATCH, ERASING = range(5)


def drawn(count: int = DRAWS, **settings: object) -> list:
    transform = build(SIZE, **settings)
    return [transform.draw(np.random.default_rng(seed)) for seed in range(count)]


def test_shares_are_the_probabilities() -> None:
    found = drawn(flip_prob=0.3, erasing_prob=0.6, **ALL)
    for place, prob in ((FLIP, 0.3), (ERASING, 0.6), (JITTER, 0.3), (PATCH, 0.4)):
        share = np.mean([rows[place] is not None for rows in found])
        assert abs(share - prob) < 4 * (prob * (1 - prob) / DRAWS) ** 0.5


def test_windows_are_uniform_in_both_directions_and_independent() -> None:
    counts = np.zeros((5, 5))
    for rows in drawn(padding=2):
        counts[rows[PADDING]] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_factors_are_uniform_about_one() -> None:
    found = drawn(**ALL)
    factors = np.array([rows[JITTER] for rows in found if rows[JITTER] is not None]) / ONE
    for values, most in zip(factors.T, (0.2, 0.4, 0.1), strict=True):
        law = stats.uniform(1 - most, 2 * most)
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(factors.T)[np.triu_indices(3, 1)]).max() < 0.05


def test_patches_and_erased_boxes_have_one_law() -> None:
    found = drawn(erasing_prob=1.0, grayscale_patch_prob=1.0)
    erase, patch = (np.array([rows[place] for rows in found]) for place in (ERASING, PATCH))
    for left, right in zip(erase.T, patch.T, strict=True):
        assert stats.ks_2samp(left, right).pvalue > 1e-3
    assert (patch[:, :2] + patch[:, 2:] <= SIZE).all()


def test_a_new_augmentation_leaves_the_draws_of_the_others_as_they_are() -> None:
    plain, more = drawn(500), drawn(500, **ALL)
    for place in (FLIP, PADDING, ERASING):
        assert [rows[place] for rows in plain] == [rows[place] for rows in more]
    assert all(rows[JITTER] is None and rows[PATCH] is None for rows in plain)


def test_the_place_in_the_list_changes_no_draw() -> None:
    names = ("erasing", "jitter", "padding", "flip")
    settings = {"jitter_prob": 0.5}
    one, other = build(SIZE, names, **settings), build(SIZE, names[::-1], **settings)
    for seed in range(200):
        rows = one.draw(np.random.default_rng(seed))
        assert rows == other.draw(np.random.default_rng(seed))[::-1]


def test_draws_are_those_of_runs_made_before_there_was_a_batch_path() -> None:
    # The order of calls that was made when each image was augmented as it was decoded.
    transform = build((256, 128))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        flip = rng.random() < 0.5
        window = tuple(rng.integers(21, size=2).tolist())
        erases = rng.random() < 0.5
        area, ratio = (rng.uniform(0.02, 0.4), rng.uniform(0.3, 1 / 0.3)) if erases else (0, 1)
        found = transform.draw(np.random.default_rng(seed))
        assert (found[FLIP] is not None, found[PADDING]) == (flip, window)
        assert (found[ERASING] is not None) == erases
        height, width = round((area * 32768 * ratio) ** 0.5), round((area * 32768 / ratio) ** 0.5)
        if erases and height < 256 and width < 128:
            assert found[ERASING][2:] == (height, width)


def test_rectangles_follow_the_law() -> None:
    generator = np.random.default_rng(1)
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
    assert draw_rectangle(np.random.default_rng(0), (4, 100), (0.9, 0.9), (3.0, 3.0)) is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flip_prob": 1.5}, "prob must be a probability"),
        ({"padding": -1}, "padding must be a whole number of at least 0"),
        ({"jitter_prob": 2.0}, "prob must be a probability"),
        ({"jitter": (0.1, 1.5, 0.1)}, "jitter must be at least 0 and at most 1, got 1.5"),
        ({"grayscale_patch_prob": -1.0}, "prob must be a probability"),
        ({"grayscale_patch_area": (0.5, 0.1)}, "area must be"),
        ({"grayscale_patch_aspect": (0.0, 1.0)}, "aspect must be"),
        ({"erasing_area": (0.4, 0.02)}, "area must be"),
        ({"erasing_aspect": (0.0, 3.0)}, "aspect must be"),
        ({"erasing_fill": (104, 117, 128)}, "fill must be at least 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_errors(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(SIZE, **setting)
