"""Ranks of the true matches of a query, and the scores that follow from them.

A metric needs the ranks of the few true matches of a query, not the order of the whole gallery.
The rank of a match is the number of gallery rows before it, so it is counted: one compiled pass
compares each distance with that of the farthest match, and a binary search among the matches finds
the position of each nearer gallery row. The result equals that of a stable sort of the whole row,
ties included. A small evaluation, or one without numba, sorts.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from reid.evaluation.checks import ArrayLike, as_ids
from reid.evaluation.loops import compiled_loops
from reid.evaluation.protocol import CROSS_CAMERA, Pictures, junk_keys
from reid.utils.errors import InputError

RankRows: TypeAlias = Callable[..., int]


class Matches:
    """Which gallery rows are matches and which are junk, for any range of queries.

    Args:
        q_pids: (Q,) integer identities of the queries.
        g_pids: (G,) integer identities of the gallery.
        q_camids: (Q,) integer cameras of the queries.
        g_camids: (G,) integer cameras of the gallery.
        num_query: Number of rows of the distance matrix, Q.
        num_gallery: Number of its columns, G.
        protocol: Which images of the same identity are junk; see :mod:`reid.evaluation.protocol`.
        pictures: (Q,) and (G,) integers, the same for the same picture, for ``any_camera``.

    Raises:
        ArgumentError: Ids of another length, ids that are no integers, or an unknown protocol.
    """

    def __init__(
        self,
        q_pids: ArrayLike,
        g_pids: ArrayLike,
        q_camids: ArrayLike | None,
        g_camids: ArrayLike | None,
        num_query: int,
        num_gallery: int,
        protocol: str = CROSS_CAMERA,
        pictures: Pictures | None = None,
    ) -> None:
        q_pid = as_ids(q_pids, "q_pids", num_query)
        g_pid = as_ids(g_pids, "g_pids", num_gallery)
        self.num_query = num_query
        self.num_gallery = num_gallery
        self.protocol = protocol
        self.q_key, self.g_key = junk_keys(
            num_query, num_gallery, q_camids, g_camids, protocol, pictures
        )
        self.junk_for_all = np.flatnonzero(g_pid == -1)
        self.by_pid = np.argsort(g_pid, kind="stable")
        grouped = g_pid[self.by_pid]
        self.first = np.searchsorted(grouped, q_pid, "left")
        self.count = np.searchsorted(grouped, q_pid, "right") - self.first
        self.count[q_pid == -1] = 0

    def pairs(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns (begin, match, junk_begin, junk) of the queries ``start`` to ``stop`` - 1.

        With B queries, begin is (B + 1,) and match (M,) int64: match[begin[r]:begin[r + 1]] are the
        gallery indices of the matches of query ``start`` + r, ascending. junk_begin (B + 1,) and
        junk (J,) hold in the same way the images of its identity that the protocol leaves out.

        Args:
            start: First query.
            stop: The query after the last.
        """
        count = self.count[start:stop]
        row = np.repeat(np.arange(stop - start), count)
        first = self.first[start:stop] - np.cumsum(count) + count
        col = self.by_pid[np.arange(len(row)) + first[row]]
        is_match = self.g_key[col] != self.q_key[start:stop][row]
        bounds = np.arange(stop - start + 1)
        begin, junk_begin = (row[mask].searchsorted(bounds) for mask in (is_match, ~is_match))
        return begin, col[is_match], junk_begin, col[~is_match]


class Scores(NamedTuple):
    """Scores of the valid queries of a block; the fields are those of ``Ranking``."""

    query_index: np.ndarray
    ap: np.ndarray
    inp: np.ndarray
    first_hit: np.ndarray
    places: np.ndarray
    distances: np.ndarray


def rank_rows_for(size: int) -> RankRows:
    """Returns the fastest function that ranks the rows of an evaluation of ``size`` distances."""
    loops = compiled_loops(size)
    return sort_ranks if loops is None else loops.count_ranks


def sort_ranks(
    dist: np.ndarray,
    begin: np.ndarray,
    match: np.ndarray,
    junk_begin: np.ndarray,
    junk: np.ndarray,
    junk_for_all: np.ndarray,
    rank: np.ndarray,
) -> int:
    """Ranks the matches of each row; equal distances rank by gallery index.

    Args:
        dist: (B, G) float32 or float64, contiguous; not written to.
        begin: (B + 1,) bounds of each row's slice of ``match``.
        match: (M,) gallery indices, ascending within a row.
        junk_begin: (B + 1,) bounds of each row's slice of ``junk``.
        junk: (J,) gallery indices to leave out of that row.
        junk_for_all: (K,) gallery indices to leave out of every row.
        rank: (M,) int64, filled with the 0-based ranks, ascending within a row.

    Returns:
        -1, or the first row that holds a distance that is not finite; ``rank`` is then undefined.
    """
    for r, row in enumerate(dist):
        if not np.isfinite(row).all():
            return r
        kept = np.ones(len(row), bool)
        is_match = np.zeros(len(row), bool)
        kept[junk_for_all] = kept[junk[junk_begin[r] : junk_begin[r + 1]]] = False
        is_match[match[begin[r] : begin[r + 1]]] = True
        order = np.argsort(row, kind="stable")
        rank[begin[r] : begin[r + 1]] = np.flatnonzero(is_match[order[kept[order]]])
    return -1


def score_rows(
    dist: np.ndarray, start: int, matches: Matches, rank_rows: RankRows, keep: int = 0
) -> Scores:
    """Scores a block of queries.

    Args:
        dist: (B, G) finite distances; not written to.
        start: Index of the query of the first row.
        matches: Matches and junk of all queries.
        rank_rows: :func:`sort_ranks`, or a function with the same arguments and result.
        keep: Number of first places of each query that are kept.

    Raises:
        InputError: A distance is NaN or infinite.
    """
    exact = {"f2": np.float32, "f4": np.float32}.get(f"{dist.dtype.kind}{dist.itemsize}")
    block = np.ascontiguousarray(dist, exact or np.float64)
    begin, *pairs = matches.pairs(start, start + len(block))
    rank = np.empty(begin[-1], np.int64)
    bad = rank_rows(block, begin, *pairs, matches.junk_for_all, rank)
    if bad >= 0:
        raise InputError(f"distances hold NaN or infinite values, first for query {start + bad}")
    count = np.diff(begin)
    valid = np.flatnonzero(count)
    begin = begin[valid]
    count = count[valid]
    first = first_places(block, valid, pairs[1], pairs[2], matches.junk_for_all, keep)
    if len(valid) == 0:
        return Scores(valid, np.empty(0), np.empty(0), valid, *first)
    # Number of matches up to each match, itself included.
    found = np.arange(1, len(rank) + 1) - np.repeat(begin, count)
    ap = np.add.reduceat(found / (rank + 1), begin) / count
    inp = count / (rank[begin + count - 1] + 1)
    return Scores(valid + start, ap, inp, rank[begin], *first)


def first_places(
    dist: np.ndarray,
    rows: np.ndarray,
    junk_begin: np.ndarray,
    junk: np.ndarray,
    junk_for_all: np.ndarray,
    keep: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first gallery images of some queries, nearest first, and their distances.

    Junk is left out; equal distances rank by gallery index. (V, K) int32 indices, -1 where the
    ranking is shorter, and (V, K) float32 distances, there infinite.

    Args:
        dist: (B, G) finite distances; not written to.
        rows: (V,) rows of ``dist`` that are wanted.
        junk_begin: (B + 1,) bounds of each row's slice of ``junk``.
        junk: (J,) gallery indices to leave out of that row.
        junk_for_all: (N,) gallery indices to leave out of every row.
        keep: K.
    """
    places = np.full((len(rows), keep), -1, np.int32)
    distances = np.full((len(rows), keep), np.inf, np.float32)
    for place, distance, row in zip(places, distances, rows if keep else (), strict=False):
        left = dist[row].copy()
        left[junk_for_all] = left[junk[junk_begin[row] : junk_begin[row + 1]]] = np.inf
        near = np.arange(len(left))
        if keep < len(left):  # all that are as near as the last one that is kept
            near = np.flatnonzero(left <= np.partition(left, keep - 1)[keep - 1])
        best = near[np.argsort(left[near], kind="stable")][:keep]
        best = best[np.isfinite(left[best])]
        place[: len(best)] = best
        distance[: len(best)] = left[best]
    return places, distances
