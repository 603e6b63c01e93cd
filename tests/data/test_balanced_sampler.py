"""Batches that are balanced over data sets, checked by counting."""

from collections import Counter

import pytest

from reid.data.samplers import PKSampler
from reid.utils.errors import InputError

K = 2
# Data set 0 has 30 people, set 1 has 6 and set 2 has 5; each person has three images.
SOURCE_OF = [0] * 30 + [1] * 6 + [2] * 5
LABELS = [label for label in range(len(SOURCE_OF)) for _ in range(3)]
SOURCES = [SOURCE_OF[label] for label in LABELS]


def batches(num_ids: int, balance: bool = True, **more: int) -> list[list[int]]:
    sampler = PKSampler(LABELS, num_ids, K, 3, sources=SOURCES, balance_sources=balance, **more)
    return [[index for index, _ in batch] for batch in sampler]


@pytest.mark.parametrize("world_size", [1, 2])
def test_each_process_gets_as_many_people_of_each_set(world_size: int) -> None:
    num_ids = 6 // world_size
    for rank in range(world_size):
        for batch in batches(num_ids, rank=rank, world_size=world_size):
            people = {LABELS[i] for i in batch}
            assert Counter(SOURCE_OF[label] for label in people) == dict.fromkeys(
                range(3), num_ids // 3
            )
            assert Counter(LABELS[i] for i in batch) == dict.fromkeys(people, K)


def test_the_odd_person_comes_from_each_set_in_turn() -> None:
    counts = [
        Counter(SOURCE_OF[label] for label in {LABELS[i] for i in batch}) for batch in batches(4)
    ]
    assert all(sorted(count.values()) == [1, 1, 2] for count in counts)
    larger = Counter(max(count, key=count.__getitem__) for count in counts)
    assert max(larger.values()) - min(larger.values()) <= 2


def test_every_image_is_served_and_a_small_set_comes_around() -> None:
    served = Counter(i for batch in batches(6) for i in batch)
    assert set(served) == set(range(len(LABELS)))
    of_large = sum(n for i, n in served.items() if SOURCES[i] == 0)
    assert of_large == sum(n for i, n in served.items() if SOURCES[i] == 1)


def test_without_balance_sources_change_nothing() -> None:
    plain = PKSampler(LABELS, 6, K, 3)
    assert batches(6, balance=False) == [[index for index, _ in batch] for batch in plain]


def test_one_set_is_balanced_as_it_is() -> None:
    one = PKSampler(LABELS, 6, K, 3, sources=[0] * len(LABELS), balance_sources=True)
    plain = PKSampler(LABELS, 6, K, 3)
    assert list(one) == list(plain)


def test_a_set_with_too_few_people_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"draws 6 identities from each data set, and number 3 of them has 5"
    ):
        batches(18)
