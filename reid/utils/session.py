"""The start and the end of many processes: joined by torchrun, and when one fails all end."""

import os
import sys
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
_FAILED = "reid/failed"  # a key of the processes' common store


@contextmanager
def session() -> Iterator[None]:
    """Joins the processes that torchrun started; alone, it does nothing.

    If a process fails, its own error goes on its way, and what the others then raise, because it no
    longer answers, is not shown: they say who failed and end with exit code 1. If several fail, the
    first one speaks.

    Raises:
        InputError: If the environment announces several processes and was not set by torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    store, rank = _join()
    try:
        yield
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        culprit = _who_failed_first(store, rank)
        if culprit == rank:
            _tell_torchrun(error)
            raise
        print(f"process {rank} ends: process {culprit} failed", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from error
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
    if torch.cuda.is_available() and local < torch.cuda.device_count():
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
            store.set(f"{_FAILED}/rank", str(rank))
        return int(store.get(f"{_FAILED}/rank"))
    except RuntimeError:  # the store went with process 0
        return 0
