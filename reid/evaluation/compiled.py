"""Loops that numba compiles; imported only where there is enough work to pay for loading it."""

import numpy as np

from reid.utils.compiling import compiled

WIDE = 128  # distances compared at a time, without a branch, so that they fill vector registers


@compiled
def _place(value: np.ndarray, column: np.ndarray, dist: float, g: int) -> int:
    """Returns how many of the matches, sorted by (value, column), come before (dist, g)."""
    low, high = 0, len(value)
    while low < high:
        middle = (low + high) // 2
        if value[middle] < dist or (value[middle] == dist and column[middle] < g):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _scan(row: np.ndarray, value: np.ndarray, column: np.ndarray, count: np.ndarray) -> bool:
    """Counts the gallery rows by their place among the matches; says if all are finite."""
    largest, farthest = row.dtype.type(np.inf), row.dtype.type(-np.inf)
    if len(value):
        farthest = value[-1]
    for start in range(0, len(row), WIDE):
        stop = min(start + WIDE, len(row))
        near, finite = False, True
        if stop - start == WIDE:  # a constant number of turns, else nothing is vectorised
            for g in range(start, start + WIDE):
                near |= row[g] <= farthest
                finite &= abs(row[g]) < largest
        else:
            for g in range(start, stop):
                near |= row[g] <= farthest
                finite &= abs(row[g]) < largest
        if not finite:
            return False
        if near:
            for g in range(start, stop):
                if row[g] <= farthest:
                    count[_place(value, column, row[g], g)] += 1
    return True


@compiled
def count_ranks(
    dist: np.ndarray,
    begin: np.ndarray,
    match: np.ndarray,
    junk_begin: np.ndarray,
    junk: np.ndarray,
    junk_for_all: np.ndarray,
    rank: np.ndarray,
) -> int:
    """Does what :func:`reid.evaluation.counting.sort_ranks` says, by counting.

    Args:
        dist: (B, G) float32 or float64, contiguous.
        begin: (B + 1,) bounds of each row's part of ``match``.
        match: (M,) gallery indices, ascending within a row.
        junk_begin: (B + 1,) bounds of each row's part of ``junk``.
        junk: (J,) gallery indices to leave out of that row.
        junk_for_all: (K,) gallery indices to leave out of every row.
        rank: (M,) int64, filled with the 0-based ranks.
    """
    for r in range(len(dist)):
        row, own = dist[r], match[begin[r] : begin[r + 1]]
        column = own[np.argsort(row[own], kind="mergesort")]
        value = row[column]
        count = np.zeros(len(own) + 1, np.int64)
        if not _scan(row, value, column, count):
            return r
        for g in junk[junk_begin[r] : junk_begin[r + 1]]:
            count[_place(value, column, row[g], g)] -= 1
        for g in junk_for_all:
            count[_place(value, column, row[g], g)] -= 1
        rank[begin[r] : begin[r + 1]] = np.cumsum(count)[:-1] - 1
    return -1


@compiled
def _insert(sqdist: np.ndarray, index: np.ndarray, dist: float, row: int) -> None:
    """Puts a row into an ascending list, whose last entry falls out."""
    place = len(sqdist) - 1
    while place > 0 and sqdist[place - 1] > dist:
        sqdist[place], index[place] = sqdist[place - 1], index[place - 1]
        place -= 1
    sqdist[place], index[place] = dist, row


@compiled
def update_columns(
    product: np.ndarray,
    row_norm: np.ndarray,
    column_norm: np.ndarray,
    first: int,
    sqdist: np.ndarray,
    index: np.ndarray,
    farthest: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Offers all columns of a block to the lists of some of its rows.

    Args:
        product: (A, B) inner products, +inf for a row with itself.
        row_norm: (A,) squared norms of what the rows stand for.
        column_norm: (B,) the same for the columns.
        first: Number of what the first column stands for.
        sqdist: (A, k) squared distances so far, ascending; changed.
        index: (A, k) numbers; changed.
        farthest: (A,) largest squared distances so far; changed.
        start: First row to work on.
        stop: The row after the last.
    """
    width, two = product.shape[1], product.dtype.type(2)
    for r in range(start, stop):
        row, norm = product[r], row_norm[r]
        reach, far = sqdist[r, -1] - norm, farthest[r] - norm
        for begin in range(0, width, WIDE):
            end = min(begin + WIDE, width)
            near = end < begin + WIDE
            if not near:
                for c in range(begin, begin + WIDE):
                    dist = column_norm[c] - two * row[c]
                    near |= (dist < reach) | (dist > far)
            if near:
                for c in range(begin, end):
                    dist = column_norm[c] - two * row[c]
                    far = max(far, dist)
                    if dist < reach:
                        _insert(sqdist[r], index[r], dist + norm, first + c)
                        reach = sqdist[r, -1] - norm
        farthest[r] = far + norm


@compiled
def update_rows(
    product: np.ndarray,
    row_norm: np.ndarray,
    column_norm: np.ndarray,
    first: int,
    sqdist: np.ndarray,
    index: np.ndarray,
    farthest: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Updates the lists of some columns of a block with all its rows, as :func:`update_columns`
    does.

    Row by row, as the block lies in memory. ``sqdist``, ``index`` and ``farthest`` are those of the
    columns, ``first`` is the number of the first row, ``start`` and ``stop`` are columns.

    Args:
        product: (A, B) inner products, +inf for a row with itself.
        row_norm: (A,) squared norms of what the rows stand for.
        column_norm: (B,) the same for the columns.
        first: Number of what the first row stands for.
        sqdist: (B, k) squared distances so far, ascending; changed.
        index: (B, k) numbers; changed.
        farthest: (B,) largest squared distances so far; changed.
        start: First column to work on.
        stop: The column after the last.
    """
    two = product.dtype.type(2)
    reach = sqdist[:, -1] - column_norm
    far = farthest - column_norm
    for r in range(len(product)):
        row, norm = product[r], row_norm[r]
        for begin in range(start, stop, WIDE):
            end = min(begin + WIDE, stop)
            near = end < begin + WIDE
            if not near:
                for c in range(begin, begin + WIDE):
                    dist = norm - two * row[c]
                    near |= (dist < reach[c]) | (dist > far[c])
            if near:
                for c in range(begin, end):
                    dist = norm - two * row[c]
                    far[c] = max(far[c], dist)
                    if dist < reach[c]:
                        _insert(sqdist[c], index[c], dist + column_norm[c], first + r)
                        reach[c] = sqdist[c, -1] - column_norm[c]
    farthest[start:stop] = far[start:stop] + column_norm[start:stop]
