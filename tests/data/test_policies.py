"""AutoAugment and its kin: torchvision's tables and pixels, our draw, the same bits everywhere."""

import numpy as np
import pytest
import torch
from augmentations import build, one_by_one
from PIL import Image
from scipy import stats
from torchvision.transforms import v2 as tv

from reid.data.augmentation import operations
from reid.data.augmentation.autoaugment import POLICY
from reid.data.augmentation.operations import COMMON, NAMES, SIGNED
from reid.data.augmentation.pipeline import GPUAugmenter
from reid.data.images import UInt8Image
from reid.utils.errors import ArgumentError

SIZE = (40, 20)
THEIRS = {
    "autoaugment": tv.AutoAugment(fill=[9, 200, 77]),
    "randaugment": tv.RandAugment(fill=[9, 200, 77]),
    "trivialaugment": tv.TrivialAugmentWide(fill=[9, 200, 77]),
}
LEVELS = {"autoaugment": 10, "randaugment": 31, "trivialaugment": 31}
FILL = tuple((np.array([9, 200, 77]) / 255).tolist())


def image(seed: int = 0, size: tuple[int, int] = SIZE) -> UInt8Image:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def ours(name: str, **settings: object) -> operations.PolicyAugmentation:
    return build(SIZE, (name,), **{f"{name}_{k}": v for k, v in settings.items()}).augmentations[0]


def their_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


@pytest.mark.parametrize("name", THEIRS)
def test_every_operation_at_every_level_is_torchvisions(name: str) -> None:
    policy, theirs = ours(name, fill=FILL), THEIRS[name]
    space = theirs._AUGMENTATION_SPACE
    mine = COMMON if name != "autoaugment" else NAMES[1:]
    assert {their_name(operation) for operation in mine} == set(space)
    for operation in mine:
        magnitudes, has_sign = space[their_name(operation)]
        assert has_sign == (operation in SIGNED)
        of_levels = magnitudes(LEVELS[name], *SIZE)
        for level in range(LEVELS[name]):
            for sign in (1, -1) if has_sign and level else (1,):
                magnitude = 0.0 if of_levels is None else sign * float(of_levels[level])
                expected = theirs._apply_image_or_video_transform(
                    Image.fromarray(image(level)), their_name(operation), magnitude,
                    interpolation=theirs.interpolation, fill=theirs._fill,
                )  # fmt: skip
                row = policy.padded([(NAMES.index(operation), sign * level)]) or policy.neutral
                found = np.empty_like(image())
                policy.on_cpu(image(level), row, found)
                assert np.array_equal(found, np.asarray(expected)), (operation, level, sign)


def test_the_policy_is_torchvisions() -> None:
    theirs = THEIRS["autoaugment"]._policies
    assert len(POLICY) == len(theirs)
    for mine, pair in zip(POLICY, theirs, strict=True):
        for (name, prob, level), (their, their_prob, their_level) in zip(mine, pair, strict=True):
            assert (their_name(name), prob, level) == (their, their_prob, their_level or 0)


def test_two_operations_come_one_after_the_other() -> None:
    policy = ours("autoaugment")
    both = policy.padded([(NAMES.index("rotate"), -9), (NAMES.index("equalize"), 0)])
    rotated = tv.functional.rotate(Image.fromarray(image()), -30.0)
    expected = tv.functional.equalize(rotated)
    assert np.array_equal(policy.apply(image()[None], np.array([both]))[0], np.asarray(expected))


def test_autoaugment_draws_its_pairs_by_their_law() -> None:
    policy = ours("autoaugment", prob=0.8)
    rows = [policy.draw(np.random.default_rng(seed)) for seed in range(20000)]
    counts = np.zeros(len(NAMES))
    for row in rows:
        for operation in row[::2] if row is not None else ():
            counts[operation] += 1
    expected = np.zeros(len(NAMES))
    for pair in POLICY:
        for name, prob, _ in pair:
            expected[NAMES.index(name)] += 0.8 * prob / len(POLICY) * len(rows)
    for count, mean in zip(counts[1:], expected[1:], strict=True):
        assert abs(count - mean) < 4 * max(mean, 1) ** 0.5
    turned = [row[1] for row in rows if row is not None and row[0] == NAMES.index("rotate")]
    assert set(turned) == {8, -8, 9, -9, 3, -3}
    assert stats.binomtest(sum(level < 0 for level in turned), len(turned)).pvalue > 1e-3


def test_randaugment_draws_each_operation_alike_at_one_level() -> None:
    policy = ours("randaugment", prob=1.0, num_ops=3, magnitude=5)
    rows = [policy.draw(np.random.default_rng(seed)) for seed in range(7000)]
    assert policy.draw(np.random.default_rng(0)) == rows[0]
    drawn = np.array([row for row in rows if row is not None])
    assert drawn.shape[1] == 16 and not drawn[:, 6:].any()
    counts = np.bincount(drawn[:, :6:2].ravel(), minlength=14)
    assert len(counts) == 14
    # 3 draws of nothing are no row, so that (1/14)^3 of the images, 3 of them, are missing.
    assert stats.chisquare(counts[1:]).pvalue > 1e-3
    assert set(np.unique(drawn[:, 1:6:2])) == {5, -5}


def test_trivialaugment_draws_one_operation_at_any_level() -> None:
    policy = ours("trivialaugment", prob=1.0)
    rows = [policy.draw(np.random.default_rng(seed)) for seed in range(7000)]
    drawn = np.array([row for row in rows if row is not None])
    assert stats.binomtest(len(drawn), 7000, 13 / 14).pvalue > 1e-3  # the 14th does nothing
    assert stats.chisquare(np.bincount(drawn[:, 0])[1:]).pvalue > 1e-3
    assert stats.chisquare(np.bincount(abs(drawn[:, 1]))).pvalue > 1e-3


@pytest.mark.parametrize("name", THEIRS)
def test_an_image_is_changed_with_the_probability(name: str) -> None:
    for prob, least, most in ((0.0, 0, 0), (0.1, 60, 110)):
        policy = ours(name, prob=prob)
        rows = [policy.draw(np.random.default_rng(seed)) for seed in range(1000)]
        assert least <= sum(row is not None for row in rows) <= most


LIST = ("flip", "autoaugment", "padding", "randaugment", "trivialaugment", "jitter", "erasing")
BUSY = {"autoaugment_prob": 0.7, "randaugment_prob": 0.7, "trivialaugment_prob": 0.7,
        "jitter_prob": 0.5, "padding": 3}  # fmt: skip


@pytest.mark.parametrize("names", [LIST, LIST[::-1], ("autoaugment",), ("flip", "randaugment")])
def test_an_image_a_batch_and_tensors_get_the_same_bits(names: tuple[str, ...]) -> None:
    settings = {k: v for k, v in BUSY.items() if k.startswith(names)}
    transform = build(SIZE, names, **settings)
    rows = [transform.draw(np.random.default_rng(seed)) for seed in range(120)]
    images = [image(seed) for seed in range(120)]
    before = [pixels.copy() for pixels in images]
    expected = one_by_one(transform, images, rows)
    out = np.empty_like(expected)
    transform.on_cpu(images, rows, out)
    assert np.array_equal(out, expected)
    augment = GPUAugmenter(transform, torch.device("cpu"))
    assert np.array_equal(augment(torch.from_numpy(np.stack(images)), rows).numpy(), expected)
    assert all(map(np.array_equal, images, before))


def test_only_the_end_of_the_list_is_left_to_the_device() -> None:
    assert build(SIZE).host_end == 0
    transform = build(SIZE, LIST)
    assert transform.host_end == 5
    table, used = transform.table([transform.draw(np.random.default_rng(0))])
    assert table.shape == (1, 3 + 4) and len(used) == 2  # jitter and erasing
    alone = build(SIZE, ("trivialaugment",))
    table, used = alone.table([[None]] * 4)
    assert table.shape == (4, 0) and used == []


@pytest.mark.parametrize("name", THEIRS)
def test_a_batch_of_tensors_and_an_empty_one(name: str) -> None:
    policy = ours(name, prob=1.0)
    assert policy.on_host_only
    drawn = (policy.draw(np.random.default_rng(seed)) for seed in range(9))
    rows = np.array([row or policy.neutral for row in drawn], np.int32)
    images = np.stack([image(seed) for seed in range(9)])
    found = policy.apply(torch.from_numpy(images), torch.from_numpy(rows))
    assert np.array_equal(found.numpy(), policy.apply(images, rows))
    assert policy.apply(images[:0], rows[:0]).shape == (0, *images.shape[1:])


@pytest.mark.parametrize("name", THEIRS)
def test_no_other_random_numbers_are_moved(name: str) -> None:
    transform = build(SIZE, (name,), **{f"{name}_prob": 1.0})
    torch.manual_seed(0)
    state = torch.get_rng_state()
    picture = Image.fromarray(image())
    first = transform(picture, np.random.default_rng(2))
    assert torch.equal(transform(picture, np.random.default_rng(2)), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_they_leave_the_draws_of_the_others_as_they_are() -> None:
    plain, more = build(SIZE), build(SIZE, ("randaugment", *build_names()), randaugment_prob=1.0)
    for seed in range(300):
        rows = more.draw(np.random.default_rng(seed))
        assert rows[1:] == plain.draw(np.random.default_rng(seed))


def build_names() -> tuple[str, ...]:
    return ("flip", "padding", "jitter", "grayscale_patch", "erasing")


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("autoaugment", {"prob": 2.0}, "prob must be a probability"),
        ("autoaugment", {"fill": (0.0, 128.0, 0.0)}, "fill must be at least 0 and at most 1"),
        ("randaugment", {"num_ops": 0}, "num_ops must be at least 1 and at most 8, got 0"),
        ("randaugment", {"num_ops": 9}, "num_ops must be at least 1 and at most 8, got 9"),
        ("randaugment", {"magnitude": 31}, "magnitude must be at least 0 and at most 30, got 31"),
        ("randaugment", {"magnitude": 1.5}, "magnitude must be a whole number"),
    ],
)
def test_settings_out_of_range_are_errors(name: str, settings: dict, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        ours(name, **settings)
