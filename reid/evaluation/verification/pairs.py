"""Scores of all pairs of a query and a gallery image, block by block, and what is kept of them.

The score of a pair is the cosine similarity of its two features. A pair of one person is a true
pair if the protocol takes it for a match, and left out if it is junk; see
:mod:`reid.evaluation.protocol`. A pair of two people is an impostor pair, whatever their cameras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reid.evaluation.checks import feature_pair
from reid.evaluation.counting import Matches, rank_rows_for
from reid.evaluation.expansion import l2_normalize
from reid.evaluation.features import Features, pictures_of
from reid.utils.errors import InputError

MOST_PAIRS = 1_000_000_000  # of more pairs, those of evenly spaced queries are taken
BLOCK = 1 << 21  # pairs at a time
BINS = 1 << 13  # of the histograms of scores in [-1, 1]
TAIL = 0.015  # share of the impostor pairs, those of the highest scores, that are kept
LEAST_KEPT = 1 << 20  # so many are kept in any case, if there are so many
_OUT = np.float32(-2.0)  # in the place of the score of a pair that is no impostor pair


class Block(NamedTuple):
    """The pairs of B queries with all G gallery images.

    Attributes:
        start: Number of the first query.
        scores: (B, G) float32 in [-1, 1]; -2 where the two images are of one person.
        rows: (T,) rows of the true pairs.
        columns: (T,) columns of the true pairs.
        true: (T,) float32 their scores.
        ahead: (T,) int64, how many impostor pairs of its query come before a true pair; empty
            where it was not asked for.
    """

    start: int
    scores: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    true: np.ndarray
    ahead: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """Query and gallery images whose person is known, and which pairs count.

    Attributes:
        query: Their features have unit length.
        gallery: The same.
        matches: Which pairs of one person are true pairs, and which are junk.
        q_person: (Q,) int64, number of the person of each query among all P people.
        g_person: (G,) int64, the same for the gallery.
        num_true: Number of true pairs.
        num_impostor: Number of impostor pairs.
        num_given: Number of queries that were given; Q is less if there were too many pairs.
    """

    query: Features
    gallery: Features
    matches: Matches
    q_person: np.ndarray
    g_person: np.ndarray
    num_true: int
    num_impostor: int
    num_given: int

    @property
    def num_people(self) -> int:
        """Number of people on both sides together, P."""
        return int(max(self.q_person.max(), self.g_person.max())) + 1

    def blocks(self, ahead: bool = False) -> Iterator[Block]:
        """Yields all pairs, in the order of the queries.

        Args:
            ahead: Whether to count the impostor pairs before each true pair.
        """
        num_query, num_gallery = len(self.q_person), len(self.g_person)
        step = max(1, BLOCK // num_gallery)
        for start in range(0, num_query, step):
            stop = min(start + step, num_query)
            product = self.query.feats[start:stop] @ self.gallery.feats.T
            scores = product.float().clamp_(-1, 1).cpu().numpy()
            yield _block(self.matches, start, stop, scores, ahead)


def make_pairs(query: Features, gallery: Features, protocol: str) -> Pairs:
    """Returns which pairs count; images whose pid is -1 are left out.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        protocol: One of :data:`reid.evaluation.protocol.PROTOCOLS`.

    Raises:
        InputError: There is no true pair or no impostor pair, or a feature is all zeros.
    """
    given = int(np.count_nonzero(query.pids != -1))
    gallery = _chosen(gallery, np.flatnonzero(gallery.pids != -1))
    query = _chosen(query, _spaced(np.flatnonzero(query.pids != -1), len(gallery.pids)))
    sizes = (len(query.pids), len(gallery.pids))
    if not all(sizes):
        raise InputError("verification needs images of known people on both sides")
    q_feats, g_feats = feature_pair(query.feats, gallery.feats)
    query = query._replace(feats=l2_normalize(q_feats, "query"))
    gallery = gallery._replace(feats=l2_normalize(g_feats, "gallery"))
    ids = (query.pids, gallery.pids, query.camids, gallery.camids)
    matches = Matches(*ids, *sizes, protocol, pictures_of(query, gallery))
    _, person = np.unique(np.concatenate([query.pids, gallery.pids]), return_inverse=True)
    q_person, g_person = person[: sizes[0]], person[sizes[0] :]
    num_true = int(matches.pairs(0, sizes[0])[0][-1])
    num_impostor = sizes[0] * sizes[1] - int(matches.count.sum())
    for number, kind in ((num_true, "true pair"), (num_impostor, "impostor pair")):
        if not number:
            raise InputError(f"verification needs pairs of both kinds: there is no {kind}")
    return Pairs(query, gallery, matches, q_person, g_person, num_true, num_impostor, given)


def _spaced(indices: np.ndarray, num_gallery: int) -> np.ndarray:
    """Returns as many of the indices, evenly spaced, as make at most MOST_PAIRS pairs."""
    most = max(1, MOST_PAIRS // max(1, num_gallery))
    if len(indices) <= most:
        return indices
    return indices[np.arange(most) * len(indices) // most]


def _chosen(side: Features, index: np.ndarray) -> Features:
    pictures = None if side.pictures is None else side.pictures[index]
    return Features(side.feats[index], side.pids[index], side.camids[index], pictures)


def _block(matches: Matches, start: int, stop: int, scores: np.ndarray, ahead: bool) -> Block:
    begin, match, junk_begin, junk = matches.pairs(start, stop)
    rows = np.repeat(np.arange(stop - start), np.diff(begin))
    true = scores[rows, match]
    before = np.empty(0, np.int64)
    if ahead:
        before = _count_ahead(matches, scores, (begin, match, junk_begin, junk), rows)
    scores[rows, match] = _OUT
    scores[np.repeat(np.arange(stop - start), np.diff(junk_begin)), junk] = _OUT
    return Block(start, scores, rows, match, true, before)


def _count_ahead(
    matches: Matches, scores: np.ndarray, pairs: tuple[np.ndarray, ...], rows: np.ndarray
) -> np.ndarray:
    """Returns how many impostor pairs of its query come before each true pair.

    Equal scores rank by gallery index, as in every ranking here.
    """
    begin, match = pairs[:2]
    rank = np.empty(len(match), np.int64)
    rank_rows = rank_rows_for(matches.num_query * matches.num_gallery)
    if rank_rows(-scores, *pairs, matches.junk_for_all, rank) >= 0:
        raise InputError("features hold NaN or infinite values")
    order = np.lexsort((match, -scores[rows, match], rows))
    ahead = np.empty(len(match), np.int64)
    ahead[order] = rank - (np.arange(len(match)) - begin[rows])
    return ahead


@dataclass(frozen=True, eq=False)
class PairScores:
    """What is kept of the scores of all pairs.

    Attributes:
        true: (T,) float32 scores of all true pairs.
        true_query: (T,) int32 their queries.
        true_gallery: (T,) int32 their gallery images.
        ahead: (T,) int64, how many impostor pairs of its query come before a true pair.
        high: (K,) float32, the K highest scores of impostor pairs, the highest first.
        high_query: (K,) int32 their queries.
        high_gallery: (K,) int32 their gallery images.
        true_counts: (3, BINS) int64, histograms of the scores of true pairs: of the people of an
            even number, of an odd number, and (none) of both.
        impostor_counts: (3, BINS) int64, the same for impostor pairs.
        best_true: (Q,) float32, the highest score of a true pair of a query; -inf if it has none.
        best_impostor: (Q,) float32, the highest score of an impostor pair of it; -inf if none.
    """

    true: np.ndarray
    true_query: np.ndarray
    true_gallery: np.ndarray
    ahead: np.ndarray
    high: np.ndarray
    high_query: np.ndarray
    high_gallery: np.ndarray
    true_counts: np.ndarray
    impostor_counts: np.ndarray
    best_true: np.ndarray
    best_impostor: np.ndarray


def collect(pairs: Pairs) -> PairScores:
    """Scores all pairs; memory is that of a block, of the true pairs, and of the kept tail.

    Args:
        pairs: From :func:`make_pairs`.
    """
    keep = min(pairs.num_impostor, max(LEAST_KEPT, int(TAIL * pairs.num_impostor)))
    high = _Highest(keep)
    counts = np.zeros((2, 3, BINS), np.int64)
    best = np.full((2, len(pairs.q_person)), -np.inf, np.float32)
    parts = []
    for block in pairs.blocks(ahead=True):
        high.add(block)
        here = slice(block.start, block.start + len(block.scores))
        halves = (pairs.q_person[here] % 2, pairs.g_person % 2)
        counts[0] += _count_true(block, halves[0])
        counts[1] += _count_impostors(block.scores, *halves)
        np.maximum.at(best[0], block.rows + block.start, block.true)
        top = block.scores.max(axis=1)
        best[1, here] = np.where(top > _OUT, top, -np.inf)
        parts.append((block.true, block.rows + block.start, block.columns, block.ahead))
    kinds = (np.float32, np.int32, np.int32, np.int64)
    columns = zip(zip(*parts, strict=True), kinds, strict=True)
    true, query, gallery, before = (np.concatenate(c).astype(kind) for c, kind in columns)
    kept = (true, query, gallery, before, *high.sorted())
    return PairScores(*kept, *counts, *best)


def bin_of(scores: np.ndarray) -> np.ndarray:
    """Returns the number of the bin of each score in [-1, 1]; scores below are in the first one."""
    numbers = ((scores + np.float32(1)) * np.float32(BINS / 2)).astype(np.int32)
    return np.clip(numbers, 0, BINS - 1, out=numbers)


def _count_true(block: Block, half: np.ndarray) -> np.ndarray:
    cells = bin_of(block.true) + BINS * half[block.rows]
    return np.bincount(cells, minlength=3 * BINS).reshape(3, BINS)


def _count_impostors(scores: np.ndarray, q_half: np.ndarray, g_half: np.ndarray) -> np.ndarray:
    """Counts a block; a pair of people of both halves is in the third histogram."""
    counts = np.zeros((3, BINS), np.int64)
    columns = [np.flatnonzero(g_half == half) for half in (0, 1)]
    for half in (0, 1):
        rows = scores[q_half == half]
        for other in (0, 1):
            part = rows[:, columns[other]]
            found = np.bincount(bin_of(part).ravel(), minlength=BINS)
            found[0] -= np.count_nonzero(part == _OUT)
            counts[half if half == other else 2] += found
    return counts


class _Highest:
    """Keeps the highest scores of impostor pairs; of equal scores any.

    Args:
        keep: How many.
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.bound = np.float32(-1.5)  # only scores above it are taken: -2 is no impostor pair
        self.parts: list[tuple[np.ndarray, ...]] = []
        self.count = 0

    def add(self, block: Block) -> None:
        """Takes what of a block may be among the highest."""
        flat = np.flatnonzero(block.scores.ravel() > self.bound)
        width = block.scores.shape[1]
        row, column = np.divmod(flat, width)
        part = (block.scores.ravel()[flat], row + block.start, column)
        kinds = (np.float32, np.int32, np.int32)
        self.parts.append(tuple(v.astype(k) for v, k in zip(part, kinds, strict=True)))
        self.count += len(flat)
        if self.count > 2 * self.keep:
            self._compact()

    def _compact(self) -> None:
        scores, rows, columns = (np.concatenate(c) for c in zip(*self.parts, strict=True))
        if len(scores) > self.keep:
            best = np.argpartition(scores, -self.keep)[-self.keep :]
            scores, rows, columns = scores[best], rows[best], columns[best]
            self.bound = scores.min()
        self.parts = [(scores, rows, columns)]
        self.count = len(scores)

    def sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns scores, queries and gallery images, the highest score first."""
        self._compact()
        scores, rows, columns = self.parts[0]
        order = np.argsort(-scores, kind="stable")
        return scores[order], rows[order], columns[order]


class Counts(NamedTuple):
    """How many pairs have a score above a threshold.

    Attributes:
        true: Number of true pairs above it.
        impostor: Number of impostor pairs above it.
    """

    true: int
    impostor: int


def count_above(pairs: Pairs, thresholds: Sequence[float]) -> list[Counts]:
    """Returns for each threshold how many pairs are above it.

    Args:
        pairs: From :func:`make_pairs`.
        thresholds: Scores, each above -1.
    """
    bounds = np.array(thresholds, np.float32)
    counts = np.zeros((len(bounds), 2), np.int64)
    for block in pairs.blocks():
        for number, bound in enumerate(bounds):
            counts[number, 0] += np.count_nonzero(block.true > bound)
            counts[number, 1] += np.count_nonzero(block.scores > bound)
    return [Counts(int(true), int(impostor)) for true, impostor in counts]
