"""Loops that numba compiles; imported only where there is enough work to pay for loading it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

WIDE = 128  # distances compared at a time, without a branch, so that they fill vector registers


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles on the first call and keeps the machine code for the next process."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the package nor the home folder can be written to
        return njit(nogil=True)(function)


@_compiled
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


@_compiled
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


@_compiled
def count_ranks(
    dist: np.ndarray,
    begin: np.ndarray,
    match: np.ndarray,
    junk_begin: np.ndarray,
    junk: np.ndarray,
    never: np.ndarray,
    rank: np.ndarray,
) -> int:
    """Does what :func:`reid.evaluation.counting.sort_ranks` says, by counting."""
    for r in range(len(dist)):
        row, own = dist[r], match[begin[r] : begin[r + 1]]
        column = own[np.argsort(row[own], kind="mergesort")]
        value = row[column]
        count = np.zeros(len(own) + 1, np.int64)
        if not _scan(row, value, column, count):
            return r
        for g in junk[junk_begin[r] : junk_begin[r + 1]]:
            count[_place(value, column, row[g], g)] -= 1
        for g in never:
            count[_place(value, column, row[g], g)] -= 1
        rank[begin[r] : begin[r + 1]] = np.cumsum(count)[:-1] - 1
    return -1
