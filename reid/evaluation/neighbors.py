"""Exact nearest neighbours within one set of features, without its distance matrix."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from reid.evaluation.distance import squared_norms
from reid.evaluation.loops import compiled_loops, compiled_screening
from reid.evaluation.partial import PartialSearch
from reid.evaluation.screening import BLOCK as SCREENED_BLOCK
from reid.evaluation.screening import Screen, ScreenedSearch
from reid.utils.errors import InputError

BLOCK = 2048  # rows per block: 64 MiB of distances; smaller ones lose time on starting threads
SPARE = 4  # candidates beyond the k-th: float64 decides which of them are among the k nearest


@dataclass(frozen=True)
class Neighbors:
    """The nearest rows of each row.

    Attributes:
        index: (N, k) int64, nearest first; the row itself comes first.
        sqdist: (N, k) squared Euclidean distances to them, 0 for the row itself.
        farthest: (N,) squared distance to the farthest row of the whole set.
    """

    index: Tensor
    sqdist: Tensor
    farthest: Tensor


def nearest(
    features: Tensor, k: int, block: int = 0, partial: PartialSearch | None = None
) -> Neighbors:
    """Returns the ``k`` nearest rows of each row, itself included.

    The distance matrix is symmetric, so each block of it is computed once and updates the lists of
    its rows and of its columns. Only candidates nearer than the k-th so far are processed.
    Where float32 cannot decide which of two rows is nearer, float64 does, because a wrong neighbour
    changes re-ranked distances by far more than rounding does. Rows at equal distances are ordered
    by index, if at most :data:`SPARE` rows beyond the k-th are as near as the k-th.

    On a processor with fast 8-bit integers, products of those say which rows are candidates, and
    float64 decides among them (:mod:`reid.evaluation.screening`).

    Args:
        features: (N, D) finite, N >= k.
        k: Neighbours of each row, the row itself included.
        block: Rows per block; 0 is the default of each way.
        partial: Keeps what is found so far, every few minutes; None keeps nothing.

    Raises:
        InputError: The squared length of a feature overflows.
    """
    norms = squared_norms(features)
    if not bool(norms.isfinite().all()):
        row = int((~norms.isfinite()).nonzero()[0])
        raise InputError(
            f"the squared length of feature {row} is beyond {norms.dtype}; divide features by their"
            " lengths"
        )
    partial = partial or PartialSearch(None)
    near = _screened(features, k, block, partial)
    return near or _compared(features, norms, k, block or BLOCK, partial)


def _screened(features: Tensor, k: int, block: int, partial: PartialSearch) -> Neighbors | None:
    """Finds them by products of integers; None where that is not possible, or not faster."""
    loops = compiled_screening(features)
    if loops is None:
        return None
    screen = Screen(features)
    if not (screen.sound and screen.leaves_few(k)):
        return None
    search = ScreenedSearch(screen, k, loops, block or SCREENED_BLOCK)
    search.run(partial, features)
    size = len(features)
    near = Neighbors(
        torch.zeros((size, k), dtype=torch.int64), torch.empty((size, k)), torch.empty(size)
    )
    search.decide(features, near.index, near.sqdist, near.farthest)
    given_up = (near.index[:, 0] < 0) | (near.farthest < 0)
    for rows in torch.split(given_up.nonzero()[:, 0], 256):
        _compare_rows(features, rows, near)
    return near


def _compare_rows(features: Tensor, rows: Tensor, near: Neighbors) -> None:
    """Fills the lists of some rows, for which screening left too many candidates, in float64."""
    k = near.index.shape[1]
    some = features[rows].double()
    norm = some.square().sum(1, keepdim=True)
    dist = torch.empty((len(rows), len(features)), dtype=torch.float64)
    for start in range(0, len(features), BLOCK):
        others = features[start : start + BLOCK].double()
        dist[:, start : start + BLOCK] = others.square().sum(1) + norm - 2 * some @ others.T
    near.farthest[rows] = dist.amax(dim=1).clamp(min=0).float()
    dist[torch.arange(len(rows)), rows] = -torch.inf
    index = dist.topk(min(k + SPARE, len(features)), largest=False).indices.sort(dim=1).values
    exact, order = _exact(features, rows, index).sort(dim=1, stable=True)
    near.sqdist[rows] = exact[:, :k].clamp(min=0).float()
    near.index[rows] = index.gather(1, order)[:, :k]


def _compared(
    features: Tensor, norms: Tensor, k: int, step: int, partial: PartialSearch
) -> Neighbors:
    """Finds them by products of the features."""
    size = len(features)
    listed = min(k + SPARE, size)
    best = Neighbors(
        torch.zeros((size, listed), dtype=torch.int64, device=features.device),
        features.new_full((size, listed), torch.inf),
        features.new_full((size,), -torch.inf),
    )
    loops = compiled_loops(size * size) if features.device.type == "cpu" else None
    search = _Search(norms, best) if loops is None else _CompiledSearch(norms, best, loops)
    # One buffer for all blocks: allocating it anew costs more time than the product.
    buffer = features.new_empty(min(step, size) ** 2)
    pairs = [(i, j) for i in range(0, size, step) for j in range(i, size, step)]
    lists = {"index": best.index, "sqdist": best.sqdist, "farthest": best.farthest}
    done = partial.load(features, f"compared {k} {step}", lists)
    bar = tqdm(
        pairs[done:], "neighbors", len(pairs), initial=done, leave=False, delay=5, disable=None,
        unit="block",
    )  # fmt: skip
    for number, (i, j) in enumerate(bar, done + 1):
        a = slice(i, min(i + step, size))
        b = slice(j, min(j + step, size))
        shape = (a.stop - i, b.stop - j)
        product = torch.mm(features[a], features[b].T, out=buffer[: math.prod(shape)].view(shape))
        if i == j:
            product.fill_diagonal_(torch.inf)  # rounding must not move a row away from itself
        search.update(product, a, b)
        partial.after(number, lists, number == len(pairs))
    sqdist, order = best.sqdist.sort(dim=1)
    index = best.index.gather(1, order)
    noise = 16 * torch.finfo(norms.dtype).eps * (norms + norms[index].amax(dim=1))
    near = _refine(features, Neighbors(index, sqdist, best.farthest), noise)
    farthest = near.farthest.clamp(min=0)
    return Neighbors(near.index[:, :k], near.sqdist[:, :k].clamp(min=0), farthest)


class _Search:
    """Updates the nearest rows of each row with each block of products; works on any device.

    Args:
        norms: (N,) squared norms.
        best: Lists with infinite distances at the start, and farthest distances; changed.
    """

    def __init__(self, norms: Tensor, best: Neighbors) -> None:
        self.norms = norms
        self.best = best

    def update(self, product: Tensor, a: slice, b: slice) -> None:
        """Updates the lists of the rows ``a`` with the rows ``b``, and those of ``b`` with ``a``.

        Args:
            product: (A, B) inner products, +inf for a row with itself; overwritten.
            a: Feature rows of the rows of ``product``.
            b: Feature rows of its columns.
        """
        dist = product.mul_(-2).add_(self.norms[b]).add_(self.norms[a, None])
        self._merge(dist, a, b.start)
        if a.start != b.start:
            self._merge(dist.T, b, a.start)

    def _merge(self, dist: Tensor, rows: slice, first: int) -> None:
        """Merges the candidates ``first``, ``first`` + 1, ... into the lists of ``rows``."""
        farthest, sqdist, index = (
            values[rows] for values in (self.best.farthest, self.best.sqdist, self.best.index)
        )
        torch.maximum(farthest, dist.amax(dim=1), out=farthest)
        k = sqdist.shape[1]
        reach = sqdist.amax(dim=1)
        if bool(reach.isinf().any()):  # the lists are not full yet: any row may enter
            values, found = dist.topk(min(k, dist.shape[1]), largest=False, sorted=False)
            found += first
        else:
            values, found = _closer(dist, reach, first)
        values = torch.cat([sqdist, values], 1)
        found = torch.cat([index, found], 1)
        values, where = values.topk(k, largest=False, sorted=False)
        sqdist.copy_(values)
        index.copy_(found.gather(1, where))


def _closer(dist: Tensor, reach: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Returns (B, W) distances and rows of the candidates below ``reach``, padded with inf."""
    row, col = (dist < reach[:, None]).nonzero(as_tuple=True)
    count = row.bincount(minlength=len(dist))
    slot = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    values = dist.new_full((len(dist), int(count.max())), torch.inf)
    rows = row.new_zeros(values.shape)
    values[row, slot] = dist[row, col]
    rows[row, slot] = col + first
    return values, rows


class _CompiledSearch(_Search):
    """The same by compiled loops on the CPU; each thread processes some of the rows."""

    def __init__(self, norms: Tensor, best: Neighbors, loops: ModuleType) -> None:
        super().__init__(norms, best)
        self.loops = loops
        self.lists = (best.sqdist.numpy(), best.index.numpy(), best.farthest.numpy())

    def update(self, product: Tensor, a: slice, b: slice) -> None:
        """Updates the lists as :class:`_Search` does, but does not change ``product``."""
        norm = self.norms.numpy()
        threads = torch.get_num_threads()
        sides = [(self.loops.update_columns, a, b.start), (self.loops.update_rows, b, a.start)]
        tasks: list[tuple[Any, ...]] = []
        for update, rows, first in sides[: 1 if a.start == b.start else 2]:
            common = (update, product.numpy(), norm[a], norm[b], first)
            lists = [values[rows] for values in self.lists]
            size = rows.stop - rows.start
            step = -(-size // threads)
            for start in range(0, size, step):
                tasks.append((*common, *lists, start, min(start + step, size)))
        with ThreadPoolExecutor(threads) as pool:  # the loops release the GIL
            list(pool.map(lambda task: task[0](*task[1:]), tasks))


def _refine(features: Tensor, near: Neighbors, noise: Tensor) -> Neighbors:
    """Sorts by float64 distances the lists whose order rounding may have changed.

    Args:
        features: (N, D).
        near: Lists in the order of their rounded distances; changed.
        noise: (N,) two distances of a list may be in the wrong order if they differ by at most
            this.
    """
    unsure = (near.sqdist.diff(dim=1) <= noise[:, None]).any(dim=1).nonzero()[:, 0]
    for rows in torch.split(unsure, 64):
        index = near.index[rows].sort(dim=1).values  # equal distances stay in order of the rows
        exact, order = _exact(features, rows, index).sort(dim=1, stable=True)
        near.sqdist[rows] = exact.to(near.sqdist.dtype)
        near.index[rows] = index.gather(1, order)
    return near


def _exact(features: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """Returns the float64 squared distances of rows to others, (R, k); -1 for a row to itself."""
    parts: list[Tensor] = []
    for some, others in zip(rows.split(64), index.split(64), strict=True):
        dist = (features[others].double() - features[some, None].double()).square_().sum(dim=2)
        dist[others == some[:, None]] = -1  # it comes first, before its duplicates
        parts.append(dist)
    return torch.cat(parts)
