"""The exact nearest rows of queries, block by block: features may lie in mapped files."""

import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 21  # values of a block of products: 8 MiB
LEAST, MOST = 2048, 32768  # rows of a block
SPARE = 4  # candidates beyond the k-th: float64 decides which of them are among the k nearest
FEW = 0.5  # of a block; if fewer rows are asked for, they are copied


@dataclass(frozen=True)
class Block:
    """Consecutive rows of features.

    Attributes:
        first: Number of the first row.
        feats: (B, D) float32, mapped or in memory.
        norms: (B,) float32 squared lengths.
        wanted: (B,) bool, the rows that may be found; None is all.
        done: Called when the block is no longer needed.
    """

    first: int
    feats: np.ndarray
    norms: np.ndarray
    wanted: np.ndarray | None = None
    done: Callable[[], None] = lambda: None


def block_rows(num_query: int) -> int:
    """Returns how many rows a block should have for a number of queries."""
    return max(LEAST, min(MOST, BLOCK // max(num_query, 1)))


def nearest_rows(
    query: np.ndarray,
    blocks: Iterable[Block],
    k: int,
    forbidden: Callable[[int, int], np.ndarray | None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ``k`` rows nearest to each query by Euclidean distance, nearest first.

    Products are float32. The :data:`SPARE` rows beyond the k-th are kept as well, for
    :func:`ordered`, which puts all of them in order by float64 distances.

    Args:
        query: (Q, D) float32.
        blocks: The rows, each once.
        k: Rows of a query.
        forbidden: First row and number of rows of a block to (Q, B) bool, pairs that are left out;
            None leaves out none.

    Returns:
        (Q, k + SPARE) int64 rows, -1 where there are no more, and their values |g|^2 - 2 q.g,
        (Q, k + SPARE) float32, inf where there are no more.
    """
    queries = torch.from_numpy(np.ascontiguousarray(query, np.float32))
    kept = k + SPARE
    best = torch.full((len(query), kept), torch.inf)
    rows = torch.full((len(query), kept), -1, dtype=torch.int64)
    buffer = torch.empty(0)
    for block in blocks:
        feats, norms, numbers = _wanted(block)
        if len(numbers) or numbers is ALL:
            count = len(feats)
            if buffer.numel() < len(query) * count:
                buffer = torch.empty(len(query) * count)
            out = buffer[: len(query) * count].view(len(query), count)
            torch.addmm(norms, queries, feats.T, alpha=-2, out=out)
            if forbidden is not None:
                pairs = forbidden(block.first, len(block.feats))
                if pairs is not None:
                    chosen = pairs if numbers is ALL else pairs[:, numbers.numpy()]
                    out.masked_fill_(torch.from_numpy(np.ascontiguousarray(chosen)), torch.inf)
            _merge(best, rows, out, numbers, block.first)
        del feats
        block.done()
    return rows.numpy(), best.numpy()


ALL = torch.empty(0, dtype=torch.int64)  # stands for the numbers of all rows of a block


def _wanted(block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Returns features, squared lengths and numbers of the rows that may be found."""
    feats, norms = torch.from_numpy(block.feats), torch.from_numpy(block.norms)
    if block.wanted is None or block.wanted.all():
        return feats, norms, ALL
    numbers = np.flatnonzero(block.wanted)
    if len(numbers) > FEW * len(block.wanted):  # hiding is cheaper than copying
        hidden = np.where(block.wanted, block.norms, np.float32(np.inf))
        return feats, torch.from_numpy(hidden), ALL
    index = torch.from_numpy(numbers)
    return torch.from_numpy(block.feats[numbers]), norms[index], index


def _merge(best: Tensor, rows: Tensor, values: Tensor, numbers: Tensor, first: int) -> None:
    """Puts the rows of a block that are near enough into the lists."""
    kept = best.shape[1]
    reach = best.amax(dim=1)
    if bool(reach.isinf().any()):  # the lists are not full yet: any row may enter
        found, where = values.topk(min(kept, values.shape[1]), largest=False, sorted=False)
    else:
        near = (values.amin(dim=1) < reach).nonzero()[:, 0]
        if not len(near):
            return
        for row in near.tolist():
            _enter(best[row], rows[row], values[row], float(reach[row]), numbers, first)
        return
    where = where if numbers is ALL else numbers[where]
    together = torch.cat([best, found], 1)
    candidates = torch.cat([rows, where + first], 1)
    lowest, order = together.topk(kept, largest=False, sorted=False)
    best.copy_(lowest)
    rows.copy_(candidates.gather(1, order).where(lowest.isfinite(), torch.tensor(-1)))


def _enter(
    best: Tensor, rows: Tensor, values: Tensor, reach: float, numbers: Tensor, first: int
) -> None:
    where = (values < reach).nonzero()[:, 0]
    together = torch.cat([best, values[where]])
    lowest, order = together.topk(len(best), largest=False, sorted=False)
    where = where if numbers is ALL else numbers[where]
    candidates = torch.cat([rows, where + first])
    best.copy_(lowest)
    rows.copy_(candidates[order])


def ordered(
    query: np.ndarray, rows: np.ndarray, feats_of: Callable[[np.ndarray], np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sorts candidates by float64 distances, and keeps the first ``k``.

    Args:
        query: (Q, D) float32.
        rows: (Q, C) numbers of candidates, -1 for none.
        feats_of: (n,) numbers to their features (n, D).
        k: Rows that are kept.

    Returns:
        (Q, k) numbers, -1 for none, and (Q, k) float64 distances, inf for none. Rows at equal
        distances are in the order of their numbers.
    """
    found = np.full((len(query), k), -1, np.int64)
    distances = np.full((len(query), k), np.inf)
    for number, (one, candidates) in enumerate(zip(query, rows, strict=True)):
        real = np.sort(candidates[candidates >= 0])
        difference = feats_of(real).astype(np.float64) - one.astype(np.float64)
        distance = np.sqrt(np.square(difference).sum(axis=1))
        order = np.argsort(distance, kind="stable")[:k]
        found[number, : len(order)] = real[order]
        distances[number, : len(order)] = distance[order]
    return found, distances


def squared_lengths(feats: np.ndarray) -> np.ndarray:
    """Returns (N,) float32 squared lengths of (N, D) features, computed in float64."""
    parts = [
        np.square(feats[i : i + 4096].astype(np.float64)).sum(axis=1)
        for i in range(0, len(feats), 4096)
    ]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def mapped_blocks(
    feats: np.ndarray, norms: np.ndarray, wanted: np.ndarray | None, first: int, step: int,
    release: bool,
) -> Iterator[Block]:  # fmt: skip
    """Cuts mapped features into blocks.

    Args:
        feats: (N, D) float32, from ``numpy.load(..., mmap_mode="c")`` or in memory.
        norms: (N,) squared lengths.
        wanted: (N,) bool, the rows that may be found; None is all.
        first: Number of the first row.
        step: Rows of a block.
        release: Give the pages of a block back to the system when it is done: they stay in the
            file cache, and no longer count as memory of this process.
    """
    done = partial(give_back, feats) if release else (lambda: None)
    for i in range(0, len(feats), step):
        rows = slice(i, min(i + step, len(feats)))
        mask = None if wanted is None else wanted[rows]
        if mask is not None and not mask.any():
            continue
        yield Block(first + i, feats[rows], norms[rows], mask, done)


def give_back(feats: np.ndarray) -> None:
    """Gives the pages of a mapped file back to the system, which keeps them in its file cache.

    Args:
        feats: (N, D) that are mapped, or a part of them; arrays in memory stay as they are.
    """
    base: Any = feats
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)
