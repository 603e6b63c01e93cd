"""Exact nearest neighbours within one set of features, without its distance matrix."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.evaluation.distance import squared_norms

BLOCK = 4096  # rows per block: 64 MiB of distances; smaller ones spend more on starting threads
SPARE = 4  # candidates beyond the k-th: float64 has the last word on who is in


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


def nearest(features: Tensor, k: int, block: int = 0) -> Neighbors:
    """Returns the ``k`` nearest rows of each row, itself included.

    The distance matrix is symmetric, so each block of it is computed once and serves the rows of
    both its sides: half the products. Only candidates nearer than the k-th so far are looked at.
    Where float32 cannot tell which of two rows is nearer, float64 does: a neighbour more or less
    would change re-ranked distances by far more than rounding. Equal distances go by row, as long
    as no more than :data:`SPARE` rows beyond the k-th are as near as it is.

    Args:
        features: (N, D) finite, N >= k.
        k: Neighbours per row.
        block: Rows per block; 0 is :data:`BLOCK`.
    """
    size = len(features)
    step = block or BLOCK
    norms = squared_norms(features)
    listed = min(k + SPARE, size)
    sqdist = features.new_full((size, listed), torch.inf)
    index = torch.zeros((size, listed), dtype=torch.int64, device=features.device)
    farthest = features.new_zeros(size)
    pairs = [(i, j) for i in range(0, size, step) for j in range(i, size, step)]
    for i, j in tqdm(pairs, "neighbors", leave=False, delay=5, disable=None, unit="block"):
        a, b = slice(i, i + step), slice(j, j + step)
        dist = torch.addmm(norms[b], features[a], features[b].T, alpha=-2).add_(norms[a, None])
        torch.maximum(farthest[a], dist.amax(dim=1), out=farthest[a])
        if i == j:
            dist.fill_diagonal_(-torch.inf)  # a row is its own nearest, whatever rounding says
        else:
            torch.maximum(farthest[b], dist.amax(dim=0), out=farthest[b])
            _absorb(sqdist[b], index[b], dist.T, i)
        _absorb(sqdist[a], index[a], dist, j)
    sqdist, order = sqdist.sort(dim=1)
    index = index.gather(1, order)
    noise = 16 * torch.finfo(norms.dtype).eps * (norms + norms[index].amax(dim=1))
    near = _settle(features, Neighbors(index, sqdist, farthest), noise)
    return Neighbors(near.index[:, :k], near.sqdist[:, :k].clamp(min=0), farthest.clamp(min=0))


def _absorb(best: Tensor, index: Tensor, dist: Tensor, first: int) -> None:
    """Merges the candidates ``first``, ``first`` + 1, ... into the lists ``best`` and ``index``.

    Args:
        best: (B, k) distances so far, any order; changed.
        index: (B, k) their rows; changed.
        dist: (B, C) distances to the candidates.
        first: Row that the first column of ``dist`` stands for.
    """
    k = best.shape[1]
    reach = best.amax(dim=1)
    if bool(reach.isinf().any()):  # lists not full yet: any row may enter
        values, rows = dist.topk(min(k, dist.shape[1]), largest=False, sorted=False)
        rows += first
    else:
        values, rows = _closer(dist, reach, first)
    values, rows = torch.cat([best, values], 1), torch.cat([index, rows], 1)
    values, where = values.topk(k, largest=False, sorted=False)
    best.copy_(values)
    index.copy_(rows.gather(1, where))


def _closer(dist: Tensor, reach: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Returns (B, W) distances and rows of the candidates below ``reach``, padded with inf."""
    if dist.is_contiguous():
        row, col = _positions(dist < reach[:, None])
    else:  # a transposed view: scan it as it lies in memory, then put the few finds in row order
        col, row = _positions(reach[None] > dist.T)
        row, order = row.sort(stable=True)
        col = col[order]
    count = row.bincount(minlength=len(dist))
    slot = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    values = dist.new_full((len(dist), int(count.max())), torch.inf)
    rows = row.new_zeros(values.shape)
    values[row, slot], rows[row, slot] = dist[row, col], col + first
    return values, rows


def _positions(mask: Tensor) -> tuple[Tensor, Tensor]:
    if mask.device.type == "cpu":  # on a sparse mask numpy is several times as fast as torch
        flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    else:
        flat = mask.flatten().nonzero()[:, 0]
    return flat // mask.shape[1], flat % mask.shape[1]


def _settle(features: Tensor, near: Neighbors, noise: Tensor) -> Neighbors:
    """Orders anew, by float64 distances, the lists that rounding may have ordered.

    Args:
        features: (N, D).
        near: Lists in order of their rounded distances.
        noise: (N,) two distances of a list that differ by no more may be in the wrong order.
    """
    unsure = (near.sqdist.diff(dim=1) <= noise[:, None]).any(dim=1).nonzero()[:, 0]
    for rows in torch.split(unsure, 64):
        index = near.index[rows].sort(dim=1).values  # equal distances stay in order of the rows
        exact = (features[index].double() - features[rows, None].double()).square_().sum(dim=2)
        exact[index == rows[:, None]] = -1  # the row itself comes first, before its duplicates
        exact, order = exact.sort(dim=1, stable=True)
        near.sqdist[rows] = exact.to(near.sqdist.dtype)
        near.index[rows] = index.gather(1, order)
    return near
