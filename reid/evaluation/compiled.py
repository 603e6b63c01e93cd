"""Loops that numba compiles; imported only for large evaluations, as loading takes time."""

import numpy as np

from reid.utils.compiling import compiled

# Distances compared at a time, without a branch, so that vector registers are full. They are taken
# as slices from 0 on: where an index could be negative, the compiler gathers element by element.
WIDE = 128


@compiled
def _count_before(value: np.ndarray, column: np.ndarray, dist: float, g: int) -> int:
    """Returns how many of the matches, sorted by (value, column), come before (dist, g)."""
    low = 0
    high = len(value)
    while low < high:
        middle = (low + high) // 2
        if value[middle] < dist or (value[middle] == dist and column[middle] < g):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _scan(row: np.ndarray, value: np.ndarray, column: np.ndarray, count: np.ndarray) -> bool:
    """Counts the gallery rows between the matches; returns whether all distances are finite."""
    largest = row.dtype.type(np.inf)
    farthest = row.dtype.type(-np.inf)
    if len(value):
        farthest = value[-1]
    for start in range(0, len(row), WIDE):
        stop = min(start + WIDE, len(row))
        near = False
        finite = True
        if stop - start == WIDE:  # the compiler vectorises only a constant number of iterations
            part = row[start:stop]
            for g in range(WIDE):
                near |= part[g] <= farthest
                finite &= abs(part[g]) < largest
        else:
            for g in range(start, stop):
                near |= row[g] <= farthest
                finite &= abs(row[g]) < largest
        if not finite:
            return False
        if near:
            for g in range(start, stop):
                if row[g] <= farthest:
                    count[_count_before(value, column, row[g], g)] += 1
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
    """Ranks the matches of each row by counting the gallery rows before them.

    The arguments and the result are those of :func:`reid.evaluation.counting.sort_ranks`.

    Args:
        dist: (B, G) float32 or float64, contiguous.
        begin: (B + 1,) bounds of each row's slice of ``match``.
        match: (M,) gallery indices, ascending within a row.
        junk_begin: (B + 1,) bounds of each row's slice of ``junk``.
        junk: (J,) gallery indices to leave out of that row.
        junk_for_all: (K,) gallery indices to leave out of every row.
        rank: (M,) int64, filled with the 0-based ranks.
    """
    for r in range(len(dist)):
        row = dist[r]
        matches = match[begin[r] : begin[r + 1]]
        column = matches[np.argsort(row[matches], kind="mergesort")]
        value = row[column]
        count = np.zeros(len(matches) + 1, np.int64)
        if not _scan(row, value, column, count):
            return r
        for g in junk[junk_begin[r] : junk_begin[r + 1]]:
            count[_count_before(value, column, row[g], g)] -= 1
        for g in junk_for_all:
            count[_count_before(value, column, row[g], g)] -= 1
        rank[begin[r] : begin[r + 1]] = np.cumsum(count)[:-1] - 1
    return -1


@compiled
def insert(sqdist: np.ndarray, index: np.ndarray, dist: float, row: int) -> None:
    """Inserts a row into an ascending list, behind its equals, and drops the last entry.

    Args:
        sqdist: (k,) distances, ascending; changed.
        index: (k,) their rows; changed. Or empty, where they are not needed.
        dist: A distance below the last one.
        row: Its row.
    """
    position = len(sqdist) - 1
    named = len(index) > 0
    while position > 0 and sqdist[position - 1] > dist:
        sqdist[position] = sqdist[position - 1]
        if named:
            index[position] = index[position - 1]
        position -= 1
    sqdist[position] = dist
    if named:
        index[position] = row


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
    """Updates the lists of some rows of a block with all its columns.

    Args:
        product: (A, B) inner products, +inf for a row with itself.
        row_norm: (A,) squared norms of the features of the rows.
        column_norm: (B,) squared norms of the features of the columns.
        first: Index, in the whole set, of the first column.
        sqdist: (A, k) squared distances so far, ascending; changed.
        index: (A, k) indices of the nearest so far, in the whole set; changed.
        farthest: (A,) largest squared distances so far; changed.
        start: First row to work on.
        stop: The row after the last.
    """
    width = product.shape[1]
    two = product.dtype.type(2)
    for r in range(start, stop):
        row = product[r]
        norm = row_norm[r]
        reach = sqdist[r, -1] - norm
        far = farthest[r] - norm
        for begin in range(0, width, WIDE):
            end = min(begin + WIDE, width)
            near = end < begin + WIDE
            if not near:
                part = row[begin:end]
                norms = column_norm[begin:end]
                for c in range(WIDE):
                    dist = norms[c] - two * part[c]
                    near |= (dist < reach) | (dist > far)
            if near:
                for c in range(begin, end):
                    dist = column_norm[c] - two * row[c]
                    far = max(far, dist)
                    if dist < reach:
                        insert(sqdist[r], index[r], dist + norm, first + c)
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
    """Updates the lists of some columns of a block with all its rows.

    It does for columns what :func:`update_columns` does for rows. The loop still goes row by row,
    because the block lies in memory so.

    Args:
        product: (A, B) inner products, +inf for a row with itself.
        row_norm: (A,) squared norms of the features of the rows.
        column_norm: (B,) squared norms of the features of the columns.
        first: Index, in the whole set, of the first row.
        sqdist: (B, k) squared distances so far, ascending; changed.
        index: (B, k) indices of the nearest so far, in the whole set; changed.
        farthest: (B,) largest squared distances so far; changed.
        start: First column to work on.
        stop: The column after the last.
    """
    two = product.dtype.type(2)
    reach = sqdist[:, -1] - column_norm
    far = farthest - column_norm
    for r in range(len(product)):
        row = product[r]
        norm = row_norm[r]
        for begin in range(start, stop, WIDE):
            end = min(begin + WIDE, stop)
            near = end < begin + WIDE
            if not near:
                part = row[begin:end]
                nears = reach[begin:end]
                fars = far[begin:end]
                for c in range(WIDE):
                    dist = norm - two * part[c]
                    near |= (dist < nears[c]) | (dist > fars[c])
            if near:
                for c in range(begin, end):
                    dist = norm - two * row[c]
                    far[c] = max(far[c], dist)
                    if dist < reach[c]:
                        insert(sqdist[c], index[c], dist + column_norm[c], first + r)
                        reach[c] = sqdist[c, -1] - column_norm[c]
    farthest[start:stop] = far[start:stop] + column_norm[start:stop]
