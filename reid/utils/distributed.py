"""Many processes that act as one: who this one is, and what they tell each other.

Without a :func:`reid.utils.session.session` of several processes every function here does what is
right for one process alone, and nothing is sent. Only tensors travel, never pickled objects.

Tensors on the CPU go through gloo and those on CUDA through NCCL, so that waiting for a number
never waits for a device.
"""

import os
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from reid.utils.errors import InputError

T = TypeVar("T")


def active() -> bool:
    """Returns whether this process is one of several."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world_size() -> int:
    """Returns the number of processes on all machines."""
    return dist.get_world_size() if active() else 1


def rank() -> int:
    """Returns this process's number, 0..world_size - 1."""
    return dist.get_rank() if active() else 0


def local_rank() -> int:
    """Returns this process's number on its machine; it has the CUDA device of that number."""
    return int(os.environ.get("LOCAL_RANK", "0")) if active() else 0


def local_world_size() -> int:
    """Returns the number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if active() else 1


def is_main() -> bool:
    """Returns whether this process is the one that logs and writes."""
    return rank() == 0


def local_part(items: Sequence[T]) -> Sequence[T]:
    """Returns this process's contiguous part of ``items``: nothing is padded or left out.

    Args:
        items: The same in every process.
    """
    first, last = (len(items) * r // world_size() for r in (rank(), rank() + 1))
    return items[first:last]


def average(*tensors: Tensor) -> None:
    """Sets each tensor to its mean over the processes.

    Args:
        tensors: Floating point, of any shape; the shapes are the same in every process.
    """
    if not active() or not tensors:
        return
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.detach().copy_(mean.view_as(tensor))


def total(tensor: Tensor) -> Tensor:
    """Returns the sum of a tensor, () or any other shape, over the processes."""
    if not active():
        return tensor
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor)
    return tensor


def gather_rows(rows: Tensor) -> Tensor:
    """Puts the rows of all processes below each other, in the order of their ranks.

    Args:
        rows: (n_r, ...). Each process r may have another number n_r of rows, also 0; a process
            without rows need not know the other sizes.
    """
    if not active():
        return rows
    # all_gather needs equal shapes. So the shapes are sent first, and short parts are padded and
    # cut again.
    shapes = [torch.zeros(rows.dim(), dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(shapes, torch.tensor(rows.shape))
    sizes = torch.stack(shapes)
    padded = rows.new_zeros(sizes.amax(0).tolist())
    if len(rows):
        padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in shapes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:n] for part, n in zip(parts, sizes[:, 0].tolist(), strict=True)])


def gather_each(rows: Tensor) -> list[Tensor]:
    """Returns the rows of each process, in the order of their ranks.

    Args:
        rows: (n_r, ...); each process r may have another number n_r of rows.
    """
    sizes = gather_rows(torch.tensor([len(rows)])).tolist()
    return list(gather_rows(rows).split(sizes))


def largest(number: int) -> int:
    """Returns the largest of the numbers that the processes hand in."""
    if not active():
        return number
    found = torch.tensor(number)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # These rows went into the loss of every process, so their gradient is the sum of all.
        return total(grads[0].contiguous()).chunk(world_size())[rank()]


def all_gather_with_grad(rows: Tensor) -> Tensor:
    """Puts the (B, ...) rows of all processes below each other; gradients flow back to them.

    The gradient is that of the sum of all processes' losses; averaged over the processes, as
    DistributedDataParallel does, it becomes that of their mean.

    Args:
        rows: (B, ...), the same shape in every process.
    """
    gathered: Tensor = _Gather.apply(rows) if active() else rows
    return gathered


def from_main(values: Sequence[float]) -> list[float]:
    """Returns the numbers of process 0 in every process.

    Args:
        values: Numbers; the other processes hand in as many, whose values are not used.
    """
    numbers = torch.tensor(list(values), dtype=torch.float64)
    if active():
        dist.broadcast(numbers, 0)
    return [float(number) for number in numbers]


def check_same(what: str, text: str) -> None:
    """Raises InputError in every process if ``text`` is not the same in all.

    Args:
        what: Name of what is compared, for the message.
        text: The text of this process.

    Raises:
        InputError: The texts differ.
    """
    code = torch.tensor([zlib.crc32(text.encode())])
    codes = gather_rows(code).tolist()
    odd = [other for other, theirs in enumerate(codes) if theirs != codes[0]]
    if odd:
        raise InputError(
            f"{what}: process {odd[0]} of {len(codes)} has another one than process 0; every"
            " machine needs the same command, the same data and, to resume, the same output folder"
        )


def main_first(work: Callable[[], T]) -> T:
    """Lets process 0 do ``work``, then the first of each machine, then the others.

    It is meant for work that makes files on first use: the later processes find them on the disk.
    """
    group = 0 if is_main() else 1 if local_rank() == 0 else 2
    result = [work()] if group == 0 else []
    for current in (1, 2):
        from_main([0])  # the others wait here for process 0
        gather_rows(torch.zeros(1))
        if group == current:
            result.append(work())
    return result[0]
