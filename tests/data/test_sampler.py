"""The plan of an epoch, checked by counting."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from reid.data.samplers import PKSampler, ShuffleSampler
from reid.utils.errors import InputError

# Identity sizes as skewed as Market-1501's: 1 image to 23.
SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 16, 23)
LABELS = [label for label, size in enumerate(SIZES) for _ in range(size)]


def indices(sampler: PKSampler | ShuffleSampler) -> list[list[int]]:
    return [[index for index, _ in batch] for batch in sampler]


@pytest.mark.parametrize("epoch", range(1, 21))
def test_batches_are_p_distinct_identities_times_k(epoch: int) -> None:
    sampler = PKSampler(LABELS, num_ids=3, num_instances=4, seed=5)
    sampler.set_epoch(epoch)
    for batch in indices(sampler):
        assert sorted(Counter(LABELS[i] for i in batch).values()) == [4, 4, 4]


@pytest.mark.parametrize("epoch", range(1, 21))
def test_every_image_is_served_each_epoch(epoch: int) -> None:
    sampler = PKSampler(LABELS, num_ids=3, num_instances=4, seed=5)
    sampler.set_epoch(epoch)
    assert {i for batch in indices(sampler) for i in batch} == set(range(len(LABELS)))


def test_an_identity_repeats_images_only_where_it_has_too_few() -> None:
    sampler = PKSampler([0] * 8 + [1] * 3, num_ids=2, num_instances=4, seed=0)
    first, *_ = indices(sampler)
    for batch in indices(sampler):
        zeros = [i for i in batch if i < 8]
        assert len(set(zeros)) == 4
    assert len({i for i in first if i >= 8}) == 3


def test_an_epoch_is_hardly_longer_than_the_groups_need() -> None:
    groups = sum(-(-size // 4) for size in SIZES)  # 25
    lengths = []
    for epoch in range(1, 51):
        sampler = PKSampler(LABELS, num_ids=3, num_instances=4, seed=5)
        sampler.set_epoch(epoch)
        lengths.append(len(sampler))
    assert min(lengths) >= -(-groups // 3)
    assert np.mean(lengths) < 1.25 * groups / 3


def test_the_plan_hangs_on_seed_and_epoch_alone() -> None:
    def plan(seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        sampler = PKSampler(LABELS, 3, 4, seed)
        for e in range(1, epoch + 1):
            sampler.set_epoch(e)
        return list(sampler)

    late = PKSampler(LABELS, 3, 4, 5)
    late.set_epoch(7)  # as after a resume: epochs 1 to 6 were never drawn
    assert list(late) == plan(5, 7)
    assert plan(5, 7) != plan(5, 6)
    assert plan(5, 7) != plan(6, 7)


def test_no_two_draws_share_an_augmentation_seed() -> None:
    sampler = PKSampler(LABELS, 3, 4, 5)
    seeds = [seed for batch in sampler for _, seed in batch]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_see_together_what_one_sees_with_as_many_times_the_batch(world: int) -> None:
    ranks = range(world)
    pk = [PKSampler(LABELS, 3, 4, 5, rank, world) for rank in ranks]
    shuffled = [ShuffleSampler(80, 6, 5, rank, world) for rank in ranks]
    pairs = (PKSampler(LABELS, 3 * world, 4, 5), pk), (ShuffleSampler(80, 6 * world, 5), shuffled)
    for whole, parts in pairs:
        for sampler in (whole, *parts):
            sampler.set_epoch(2)
        joined = [list(chain(*batches)) for batches in zip(*parts, strict=True)]
        assert joined == list(whole)


def test_the_identities_of_a_step_are_distinct_over_all_processes() -> None:
    parts = [PKSampler(LABELS, 3, 4, 5, rank, 3) for rank in range(3)]
    for batches in zip(*map(indices, parts), strict=True):
        assert [sorted(Counter(LABELS[i] for i in b).values()) for b in batches] == [[4, 4, 4]] * 3
        assert len({LABELS[i] for batch in batches for i in batch}) == 9


def test_global_random_state_is_not_moved() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state under test
    list(PKSampler(LABELS, 3, 4, 5))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("num_ids", "num_instances", "message"),
    [
        (11, 4, "num_ids must be 1 to 10, .* got P = 11; batches may have up to 40 images"),
        (3, 1, "at least 2"),
        (0, 4, "num_ids must be 1 to 10, .* got P = 0"),
    ],
)
def test_impossible_batches_are_errors_not_hangs(
    num_ids: int, num_instances: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        PKSampler(LABELS, num_ids, num_instances, seed=0)


def test_too_few_identities_or_images_for_all_processes_is_an_error() -> None:
    with pytest.raises(
        InputError,
        match=r"num_ids must be 1 to 10.* P = 4 in each of 3 processes; .* up to 12 images",
    ):
        PKSampler(LABELS, 4, 4, seed=0, rank=0, world_size=3)
    with pytest.raises(InputError, match=r"batch_size must be 1 to 11.* 6 in each of 2 processes"):
        ShuffleSampler(11, 6, seed=0, rank=0, world_size=2)


def test_shuffling_serves_each_image_once_in_full_batches() -> None:
    sampler = ShuffleSampler(10, 3, seed=0)
    flat = [i for batch in indices(sampler) for i in batch]
    assert [len(batch) for batch in indices(sampler)] == [3, 3, 3]
    assert len(set(flat)) == 9
    sampler.set_epoch(2)
    assert [i for batch in indices(sampler) for i in batch] != flat


def test_shuffling_too_few_images_is_an_error() -> None:
    with pytest.raises(InputError, match="batch_size must be 1 to 2, the images"):
        ShuffleSampler(2, 3, seed=0)


@pytest.mark.parametrize("start", [0, 3])
def test_the_images_of_a_step_are_those_that_it_served_in_each_process(start: int) -> None:
    samplers = [PKSampler(LABELS, 2, 4, seed=5, rank=rank, world_size=2) for rank in (0, 1)]
    served = [indices(sampler) for sampler in samplers]
    for rank, sampler in enumerate(samplers):
        sampler.set_epoch(1, start)
        assert indices(sampler) == served[rank][start:]
        steps = range(1, len(served[rank]) + 1)
        assert [sampler.images(step) for step in steps] == served[rank]
        assert [sampler.images(step, 1 - rank) for step in steps] == served[1 - rank]
