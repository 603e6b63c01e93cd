"""Starts and ends many processes: torchrun joins them, and if one of them fails, all end."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed as dist
from torch.distributed.distributed_c10d import Store
from torch.distributed.elastic.multiprocessing.errors import get_error_handler
from torch.distributed.rendezvous import rendezvous

from reid.utils.errors import InputError
from reid.utils.signals import Stopped

# Process 0 ranks and re-ranks alone while the others wait, so this must be long.
_PATIENCE = timedelta(hours=4)
# Keys of the store that the processes have in common.
_FAILED = "reid/failed"
_CULPRIT = "reid/culprit"
_GLANCE = 2.0  # seconds between two looks at the store


@contextmanager
def session() -> Iterator[None]:
    """Joins the processes that torchrun started; alone, it does nothing.

    If a process fails, its error is raised as usual. The other processes then raise errors of their
    own, because the failed one no longer answers. These errors are not shown: the processes say
    which one failed, and end with exit code 1. They do so on other machines, too, whose processes
    this machine's torchrun cannot end. If several processes fail, only the first error is shown.

    Raises:
        InputError: The environment announces several processes, but torchrun did not set it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    store, rank = _join()
    over = threading.Event()
    threading.Thread(target=_watch, args=(store, rank, over), daemon=True).start()
    try:
        yield
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        over.set()
        if isinstance(error, Stopped) or (isinstance(error, SystemExit) and not error.code):
            raise  # all processes stop, or --help was asked for: nobody failed
        culprit = _who_failed_first(store, rank)
        if culprit == rank:
            _tell_torchrun(error)
            raise
        _say(rank, culprit)
        raise SystemExit(1) from error
    over.set()
    dist.destroy_process_group()


def _join() -> tuple[Store, int]:
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    except ValueError as error:
        raise InputError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {error}; start several processes with"
            " torchrun, see docs/distributed.md"
        ) from error
    # Both backends: the device of the model is not known yet, and an unused backend costs nothing.
    backend = "gloo"
    local = int(os.environ.get("LOCAL_RANK", "0"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.cuda.is_available() and processes <= torch.cuda.device_count():
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return store, rank


def _tell_torchrun(error: BaseException) -> None:
    """Writes the error where torchrun looks for the message that it prints at the end."""
    if not isinstance(error, SystemExit):
        get_error_handler().record_exception(error)


def _who_failed_first(store: Store, rank: int) -> int:
    try:
        if store.add(_FAILED, 1) == 1:
            store.set(_CULPRIT, str(rank))
        return int(store.get(_CULPRIT))
    except RuntimeError:  # the store ended with process 0
        return 0


def _watch(store: Store, rank: int, over: threading.Event) -> None:
    """Ends this process when another one has failed: NCCL may wait for it for hours."""
    while not over.wait(_GLANCE):
        try:
            culprit = int(store.get(_CULPRIT)) if store.check([_CULPRIT]) else rank
        except RuntimeError:  # the store has ended; the next call that needs it raises an error
            return
        if culprit != rank and not over.is_set():
            _say(rank, culprit)
            os._exit(1)


def _say(rank: int, culprit: int) -> None:
    print(f"process {rank} ends: process {culprit} failed", file=sys.stderr, flush=True)  # noqa: T201
