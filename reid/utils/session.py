"""The start and the end of many processes: joined by torchrun, and when one fails all end."""

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

# Process 0 ranks and re-ranks alone while the others wait, so this must be long.
_PATIENCE = timedelta(hours=4)
_FAILED, _CULPRIT = "reid/failed", "reid/culprit"  # keys of the processes' common store
_GLANCE = 2.0  # seconds between looks at it


@contextmanager
def session() -> Iterator[None]:
    """Joins the processes that torchrun started; alone, it does nothing.

    If a process fails, its own error goes on its way, and what the others then raise, because it no
    longer answers, is not shown: they say who failed and end with exit code 1, also where they wait
    for it on another machine, out of torchrun's reach. If several fail, the first one speaks.

    Raises:
        InputError: If the environment announces several processes and was not set by torchrun.
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
        if isinstance(error, SystemExit) and not error.code:  # --help
            raise
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
            " torchrun, see README.md"
        ) from error
    # Both, whatever MODEL.DEVICE is: it is not known yet, and a backend not used costs nothing.
    backend = "gloo"
    local = int(os.environ.get("LOCAL_RANK", "0"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.cuda.is_available() and processes <= torch.cuda.device_count():
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return store, rank


def _tell_torchrun(error: BaseException) -> None:
    """Leaves the error where torchrun looks for the message of its last words."""
    if not isinstance(error, SystemExit):
        get_error_handler().record_exception(error)


def _who_failed_first(store: Store, rank: int) -> int:
    try:
        if store.add(_FAILED, 1) == 1:
            store.set(_CULPRIT, str(rank))
        return int(store.get(_CULPRIT))
    except RuntimeError:  # the store went with process 0
        return 0


def _watch(store: Store, rank: int, over: threading.Event) -> None:
    """Ends this process when another one has failed: NCCL may wait for it for hours."""
    while not over.wait(_GLANCE):
        try:
            culprit = int(store.get(_CULPRIT)) if store.check([_CULPRIT]) else rank
        except RuntimeError:  # the store is gone, and what needs it will say so
            return
        if culprit != rank and not over.is_set():
            _say(rank, culprit)
            os._exit(1)


def _say(rank: int, culprit: int) -> None:
    print(f"process {rank} ends: process {culprit} failed", file=sys.stderr, flush=True)  # noqa: T201
