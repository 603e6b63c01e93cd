"""Ranks of the true matches of a query, by counting.

A metric needs to know where the few true matches of a query stand, not the order of all the rest.
The rank of a match is the number of gallery rows before it, so it is counted: the rows that are
no farther than the farthest match are picked out and sorted by value, and a binary search finds
each match among them. The result is that of a stable sort of the whole row, ties included.
"""

from typing import NamedTuple

import numpy as np

from reid.evaluation.checks import ArrayLike, as_ids
from reid.utils.errors import InputError


class Truth:
    """Which gallery rows are matches and which are junk, for any run of queries.

    Args:
        q_pids: (Q,) integers, like the three that follow.
        g_pids: (G,).
        q_camids: (Q,).
        g_camids: (G,).
        num_query: Q, as the distances have it.
        num_gallery: G, as the distances have it.
    """

    def __init__(
        self,
        q_pids: ArrayLike,
        g_pids: ArrayLike,
        q_camids: ArrayLike,
        g_camids: ArrayLike,
        num_query: int,
        num_gallery: int,
    ) -> None:
        q_pid = as_ids(q_pids, "q_pids", num_query)
        g_pid = as_ids(g_pids, "g_pids", num_gallery)
        self.num_query, self.num_gallery = num_query, num_gallery
        self.q_cam = as_ids(q_camids, "q_camids", num_query)
        self.g_cam = as_ids(g_camids, "g_camids", num_gallery)
        self.never = np.flatnonzero(g_pid == -1)
        self.by_pid = np.argsort(g_pid, kind="stable")
        grouped = g_pid[self.by_pid]
        self.first = np.searchsorted(grouped, q_pid, "left")
        self.count = np.searchsorted(grouped, q_pid, "right") - self.first
        self.count[q_pid == -1] = 0

    def same_pid(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns (row, gallery index, is a match) of all pairs of one identity, row-major.

        Rows count from ``start``. Pairs that are no match share the camera: junk.
        """
        count = self.count[start:stop]
        row = np.repeat(np.arange(stop - start), count)
        begin = self.first[start:stop] - np.cumsum(count) + count
        col = self.by_pid[np.arange(len(row)) + begin[row]]
        return row, col, self.g_cam[col] != self.q_cam[start:stop][row]


class Scores(NamedTuple):
    """What the valid queries of a block of rows scored; see :class:`reid.evaluation.Ranking`."""

    query_index: np.ndarray
    ap: np.ndarray
    inp: np.ndarray
    first_hit: np.ndarray


def score_rows(dist: np.ndarray, start: int, truth: Truth) -> Scores:
    """Scores a block of queries.

    Args:
        dist: (B, G) finite distances; not written to.
        start: Query that the first row stands for.
        truth: The matches.
    """
    block = np.ascontiguousarray(dist)
    block = block if block.dtype.kind == "f" else block.astype(np.float64)
    if not np.isfinite([block.min(), block.max()]).all():  # both propagate NaN
        bad = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
        raise InputError(f"distances hold NaN or infinite values, first for query {bad}")
    row, col, match = truth.same_pid(start, start + len(block))
    kept = np.flatnonzero(match)
    if len(kept) == 0:
        return Scores(kept, np.empty(0), np.empty(0), kept)
    value = block[row[kept], col[kept]]
    farthest = np.full(len(block), -np.inf, block.dtype)
    np.maximum.at(farthest, row[kept], value)
    near = block <= farthest[:, None]
    near[row[~match], col[~match]] = False
    near[:, truth.never] = False
    row, col = row[kept], col[kept]
    rank = _ranks(block, true_positions(near), row, col, value)
    first_of_row = row * block.shape[1]
    rank = np.sort(first_of_row + rank) - first_of_row  # ascending within each row
    begin = np.flatnonzero(np.diff(row, prepend=-1))
    count = np.diff(begin, append=len(row))
    found = np.arange(1, len(rank) + 1) - np.repeat(begin, count)  # matches up to and with this one
    ap = np.add.reduceat(found / (rank + 1), begin) / count
    return Scores(row[begin] + start, ap, count / (rank[begin + count - 1] + 1), rank[begin])


def true_positions(mask: np.ndarray) -> np.ndarray:
    """Returns np.flatnonzero(mask); where few are true in half the time, eight looked at at once.

    Args:
        mask: Contiguous booleans.
    """
    if mask.size % 8 or np.count_nonzero(mask) > mask.size // 10:
        return np.flatnonzero(mask)
    eights = mask.reshape(-1, 8)
    hit = np.flatnonzero(eights.view(np.uint64).ravel() != 0)
    inside = np.flatnonzero(eights.take(hit, axis=0))
    return hit.take(inside >> 3) * 8 + (inside & 7)


def _ranks(
    block: np.ndarray, near: np.ndarray, row: np.ndarray, col: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """Returns the 0-based rank of each match in its row, equal distances by gallery index.

    Args:
        block: (B, G) distances.
        near: (K,) flat positions in ``block``, ascending, of what is ranked: at least all rows
            that are no farther than the farthest match, without junk.
        row: (M,) rows of the matches, ascending.
        col: (M,) their columns, ascending within a row.
        value: (M,) their distances.
    """
    width = block.shape[1]
    begin = near.searchsorted(np.arange(len(block) + 1) * width)
    line, dist = np.repeat(np.arange(len(block)), np.diff(begin)), block.ravel()[near]
    if block.dtype == np.float32:
        keys, wanted = _sort_keys(line, dist), _sort_keys(row, value)
        keys.sort()
        rank = keys.searchsorted(wanted)
        tied = np.unique(row[keys.searchsorted(wanted, "right") - rank > 1])
        rank -= begin[row]
    else:
        rank, tied = np.empty(len(row), np.int64), np.unique(row)
    for i in tied.tolist():
        own, here = slice(*row.searchsorted([i, i + 1])), slice(begin[i], begin[i + 1])
        place = np.empty(begin[i + 1] - begin[i], np.int64)
        place[np.argsort(dist[here], kind="stable")] = np.arange(len(place))
        rank[own] = place[near[here].searchsorted(col[own] + i * width)]
    return rank


def _sort_keys(line: np.ndarray, dist: np.ndarray) -> np.ndarray:
    """Returns int64 that sort by line, then by float32 distance: one fast sort for all lines."""
    bits = (dist + np.float32(0)).view(np.int32)  # the sum turns -0.0 into 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # negative floats count backwards
    return (line << 32) + ordered
