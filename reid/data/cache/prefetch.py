"""Work done ahead of time by one background thread."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Marks the end of the queue; holds the exception that the thread raised, or None."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yields the items in order while a thread makes up to ``depth`` of the next ones.

    An exception in the thread is raised here. A consumer that stops early, or is deleted, stops the
    thread and waits until it has ended.

    Args:
        items: Items; the thread makes one after the other.
        depth: Number of items that are made ahead.

    Raises:
        BaseException: The exception that the thread raised.
    """
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                ready.put(item)
            ready.put(_End())
        except BaseException as error:
            ready.put(_End(error))

    thread = threading.Thread(target=work, name="reid-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room in the queue
            _drain(ready)
            thread.join(0.01)


def _drain(ready: "queue.Queue[T]") -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        pass
