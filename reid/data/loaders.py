"""Records to batches."""

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reid.data.images import read_rgb
from reid.data.records import Records
from reid.data.samplers import SeededIndex
from reid.utils import (
    distributed,
    part_files,  # noqa: F401 - a worker that is not forked finds a user's own parts by it
)
from reid.utils.batch import Batch
from reid.utils.checks import check_count
from reid.utils.errors import InputError

PATIENCE = 300.0  # seconds that one batch may take in a worker
ADVICE = "use fewer workers, or none, or keep decoded images"
_KILLED = "a worker process of the loader was killed, most often because memory ran out"
# What torch says, and what it means; in all other cases the error is a bug and stays as it is.
_TROUBLES = (
    (("timed out",), f"no batch came within {PATIENCE:g} s; a read from the disk does not return"),
    (
        ("shared memory", "bus error", "no space left"),
        "the shared memory of the loader's worker processes (/dev/shm) is full",
    ),
    (("exited unexpectedly", "killed by signal"), _KILLED),
    (("too many open files", "ancdata"), "too many open files (ulimit -n)"),
)
_SCARCE = (errno.ENOSPC, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)

Transform = Callable[[Image.Image, np.random.Generator], Tensor]


class Plan(Protocol):
    """The batches of a pass: a sampler, or a list."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[list[SeededIndex]]: ...


class ImageDataset(Dataset[Batch]):
    """Decodes and transforms one record for each sample, an (index, seed) pair.

    Args:
        records: Images to read.
        transform: Function (image, generator) -> (3, H, W) uint8.
        label_of: Label of each pid; a pid that is not in it gets -1.
    """

    def __init__(
        self, records: Records, transform: Transform, label_of: Mapping[int, int] | None = None
    ) -> None:
        self.records = records
        self.transform = transform
        self.label_of = label_of or {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, sample: SeededIndex) -> Batch:
        """Returns one element as a Batch without its first dimension."""
        index, seed = sample
        record = self.records[index]
        pixels = self.transform(read_rgb(record.path), np.random.default_rng(seed))
        label = self.label_of.get(record.pid, -1)
        numbers = torch.tensor([label, record.pid, record.camid, index])
        return Batch(pixels, *numbers.unbind())


def usable_workers(wanted: int) -> int:
    """Returns ``wanted``, or the number of cores for this process if that is smaller.

    More workers would only wait for each other. The number of workers changes no result.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(wanted, max(1, cores // distributed.local_world_size()))


def leave_signals_to_parent(worker: int) -> None:
    """Lets a worker outlive signals that go to all processes of a run, as Ctrl-C does.

    The parent finishes its step, which may need the worker. A worker ends when the parent says so
    (by SIGTERM, too, whose sender is looked at), or when the parent is gone.

    Args:
        worker: Number of the worker.
    """
    for name in ("SIGINT", "SIGUSR1"):  # Windows has no SIGUSR1
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS and Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_if_parent_says, daemon=True).start()


def _end_if_parent_says() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


class WorkerError(InputError):
    """The worker processes of a loader cannot go on, because the machine lacks something."""


class ImageLoader:
    """Yields the batches of a plan; worker processes decode, and their trouble is told in one line.

    Workers are not kept between passes, since they hold no state.

    Args:
        dataset: The images.
        plan: The batches of a pass: a sampler, whose ``set_epoch`` is called before each pass, or
            a list, see :func:`in_order`.
        num_workers: Number of processes that decode; more than one for each core are not started.
        pin_memory: Whether batches go to a CUDA device.
        advice: What to do where workers cannot go on; it ends the message.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        plan: Plan,
        num_workers: int,
        pin_memory: bool,
        advice: str = ADVICE,
    ) -> None:
        self.num_workers = usable_workers(num_workers)
        self.advice = advice
        self._loader = DataLoader(
            dataset,
            batch_sampler=plan,
            num_workers=self.num_workers,
            pin_memory=pin_memory,
            worker_init_fn=leave_signals_to_parent,
            timeout=PATIENCE if self.num_workers else 0,
            # Without it each pass moves torch's global state.
            generator=torch.Generator().manual_seed(0),
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        """Begins a pass.

        Raises:
            WorkerError: Workers were killed, or lack memory, shared memory or open files.
            ImageError: An image cannot be read.
        """
        batches: Iterator[Batch] | None = None
        try:
            with _held_back():
                batches = iter(self._loader)
            if self.num_workers:
                _Watch.set(self.advice)
            yield from batches
        except (RuntimeError, OSError, EOFError) as error:
            if not self.num_workers or (told := _trouble(error)) is None:
                raise
            raise WorkerError(f"{told}; {self.advice}") from error
        finally:
            # Trouble is told, or nobody waits for the workers any more; the signal may come later.
            _Watch.quiet = _Watch.quiet or self.num_workers > 0
            with _held_back():
                batches = None  # nobody else holds it: its workers end here


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back signals to the run while workers start or end, which must not stop half-way.

    Workers begin with them held back, and so no signal meets one that is not prepared for it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    meant = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    came: list[int] = []
    handlers: dict[int, Any] = {}
    # Another thread may take a signal; what it means is then done by the main thread.
    if threading.current_thread() is threading.main_thread():
        handlers = {n: signal.signal(n, lambda n, _: came.append(n)) for n in meant}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, meant)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in came:
            signal.raise_signal(number)


def _trouble(error: Exception) -> str | None:
    """Returns what an error of torch's worker processes means; None if it says nothing of them."""
    text = str(error).lower()
    for words, meaning in _TROUBLES:
        if any(word in text for word in words):
            return meaning
    if isinstance(error, RuntimeError) or text.startswith("caught "):  # in the code of a worker
        return None
    if getattr(error, "errno", None) in _SCARCE:
        return f"the loader's worker processes cannot be started ({error})"
    return _KILLED  # what a process says that talked to it


class _Watch:
    """Translates what torch raises when a worker dies, wherever the main thread is just then.

    torch handles the signal that tells of a dead child, and raises its error from there: mostly in
    the middle of a training step, where no loader could catch it.
    """

    quiet = False  # behind the end of a pass

    def __init__(self, handler: Callable[[int, FrameType | None], Any], advice: str) -> None:
        self.handler = handler
        self.advice = advice

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except RuntimeError as error:
            if (told := _trouble(error)) is None:
                raise
            if not self.quiet:
                raise WorkerError(f"{told}; {self.advice}") from error

    @classmethod
    def set(cls, advice: str) -> None:
        """Puts itself in front of the handler that is set, once; a new pass begins."""
        cls.quiet = False
        child = getattr(signal, "SIGCHLD", None)  # no such signal on Windows
        if child is None or threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(child)
        if isinstance(handler, cls):
            handler.advice = advice
        elif callable(handler):
            signal.signal(child, cls(handler, advice))


def in_order(count: int, batch_size: int) -> list[list[SeededIndex]]:
    """Plans batches that hold each of ``count`` images once, in order.

    Args:
        count: Number of images.
        batch_size: Images in a batch; the last one may have fewer.

    Raises:
        ArgumentError: The batch size is no whole number of at least 1.
    """
    check_count("batch_size", batch_size)
    samples = [(index, 0) for index in range(count)]
    return [samples[i : i + batch_size] for i in range(0, count, batch_size)]
