"""The thread that works ahead: in order, errors through, gone when nobody listens."""

import threading
from collections.abc import Iterator

import pytest

from reid.data.cache.prefetch import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "reid-prefetch"]


def test_all_items_come_in_order() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([], 1)) == []
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("taken", [1, 5, 9])
def test_a_consumer_that_stops_early_stops_the_thread(depth: int, taken: int) -> None:
    items = prefetch(range(10), depth)
    assert [next(items) for _ in range(taken)] == list(range(taken))
    items.close()
    assert threads() == []


def test_no_more_is_made_than_asked_for() -> None:
    made: list[int] = []
    enough = threading.Event()

    def source() -> Iterator[int]:
        for item in range(1000):
            made.append(item)
            if item >= 3:
                enough.set()
            yield item

    items = prefetch(source(), 2)
    next(items)
    assert enough.wait(30)  # it goes ahead while nobody asks
    items.close()
    assert len(made) <= 6  # 1 taken, 2 in the queue, 1 in hand; closing lets it make a last one


def test_what_the_thread_raises_is_raised_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    items = prefetch(source(), 3)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(items)
    assert threads() == []
