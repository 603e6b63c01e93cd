"""Retrieval metrics of person re-identification: AP, INP, CMC per query and on average."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.evaluation.checks import ArrayLike, as_tensor, feature_pair, unlisted
from reid.evaluation.counting import Matches, Scores, rank_rows_for, score_rows
from reid.evaluation.distance import check_metric, distance_to
from reid.evaluation.protocol import CROSS_CAMERA, Pictures, no_match
from reid.utils.errors import ArgumentError, InputError

CHUNK = 512  # queries at a time; of a matrix on a GPU, half the rows that are copied at a time
BLOCK = 64  # rows that a thread ranks at a time


@dataclass(frozen=True, eq=False)
class Ranking:
    """Ranks of the true matches of each query, and the metrics computed from them, as fractions.

    A query without a match has no defined AP; it is left out and counted in ``num_skipped``.

    Attributes:
        ap: (V,) float64 average precision of each valid query, the mean over its matches of the
            precision at that match.
        inp: (V,) float64, number of matches / 1-based rank of the last one.
            Source: Ye et al., arXiv:2001.04193 (mINP).
        first_hit: (V,) int64, 0-based rank of the first match after junk is removed.
        query_index: (V,) int64, ascending: which rows of the query set the above belong to.
        num_queries: Queries given, valid or not.
        num_skipped: Queries without a match; V = num_queries - num_skipped.
        max_rank: Length of ``cmc``.
        places: (V, K) int32 gallery indices of the first K places of each valid query, junk left
            out; -1 where the ranking is shorter. K is 0 where no place was to be kept.
        distances: (V, K) float32 distances at these places, infinite where there is none.
    """

    ap: np.ndarray
    inp: np.ndarray
    first_hit: np.ndarray
    query_index: np.ndarray
    num_queries: int
    num_skipped: int
    max_rank: int
    places: np.ndarray
    distances: np.ndarray

    @property
    def mAP(self) -> float:  # noqa: N802 - the field's own spelling
        """Mean average precision."""
        return float(self.ap.mean())

    @property
    def mINP(self) -> float:  # noqa: N802
        """Mean inverse negative penalty."""
        return float(self.inp.mean())

    @property
    def cmc(self) -> np.ndarray:
        """CMC curve, (max_rank,) float64.

        Entry r is the fraction of valid queries with a match among their first r + 1.
        """
        hits = np.bincount(self.first_hit, minlength=self.max_rank)[: self.max_rank]
        return np.cumsum(hits) / len(self.first_hit)

    def summary(self) -> dict[str, float | int]:
        """Returns mAP, mINP, rank1, rank5, rank10 and the counts.

        If the CMC curve is shorter than a rank, its last entry is returned for that rank.
        """
        cmc = self.cmc
        ranks = {f"rank{r}": float(cmc[min(r, self.max_rank) - 1]) for r in (1, 5, 10)}
        counts = {"num_queries": self.num_queries, "num_skipped": self.num_skipped}
        return {"mAP": self.mAP, "mINP": self.mINP, **ranks, **counts}


def evaluate_rank(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike | None,
    g_camids: ArrayLike | None,
    max_rank: int = 50,
    protocol: str = CROSS_CAMERA,
    pictures: Pictures | None = None,
) -> Ranking:
    """Returns the metrics of a distance matrix under the Market-1501 protocol, or another one.

    For each query, gallery rows of its own identity *and* its own camera are junk, as are rows
    with pid -1: they are removed before ranking. Under ``any_camera`` only the query's own picture
    and rows with pid -1 are. Equal distances rank by gallery index.
    Source: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.

    Args:
        distmat: (Q, G) finite distances, smaller = more alike; numpy or torch, any device.
        q_pids: (Q,) integer identities. -1 marks junk, so a query of -1 has no match.
        g_pids: (G,) the same for the gallery.
        q_camids: (Q,) integer cameras; ``any_camera`` does not read them, and takes None.
        g_camids: (G,) the same for the gallery.
        max_rank: Length of the CMC curve; at most G are kept.
        protocol: ``cross_camera`` or ``any_camera``; see :mod:`reid.evaluation.protocol`.
        pictures: (Q,) and (G,) integers, the same for the same picture, by which ``any_camera``
            knows the query's own picture. None: no query lies in the gallery.

    Raises:
        InputError: For empty, ill-fitting or non-finite input, and if no query has a match.

    Examples:
        The query's matches are at places 1 and 3 of three: its AP is (1/1 + 2/3) / 2.

        >>> import numpy as np
        >>> found = evaluate_rank(np.array([[0.1, 0.2, 0.3]]), [7], [7, 8, 7], [0], [1, 1, 2])
        >>> round(found.mAP, 4)
        0.8333
        >>> found.cmc[:2].tolist()
        [1.0, 1.0]
    """
    table = unlisted(distmat, "distances")
    if np.ndim(table) != 2 or 0 in table.shape:
        raise InputError(f"distances must be (Q, G) and not empty, got shape {np.shape(table)}")
    num_query, num_gallery = table.shape
    ids = (q_pids, g_pids, q_camids, g_camids)
    matches = Matches(*ids, num_query, num_gallery, protocol, pictures)
    step = 2 * CHUNK
    chunks = ((i, table[i : i + step]) for i in range(0, len(table), step))
    return rank_chunks(chunks, matches, max_rank)


def evaluate_features(  # noqa: PLR0913 - the arrays of the protocol
    q_feats: ArrayLike,
    g_feats: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike | None,
    g_camids: ArrayLike | None,
    metric: str = "euclidean",
    chunk: int = CHUNK,
    max_rank: int = 50,
    protocol: str = CROSS_CAMERA,
    pictures: Pictures | None = None,
    keep: int = 0,
) -> Ranking:
    """Returns the metrics of features, ``chunk`` queries at a time: no (Q, G) matrix exists.

    Args:
        q_feats: (Q, D) query features; numpy or torch, any device.
        g_feats: (G, D) gallery features.
        q_pids: (Q,) integer identities; see :func:`evaluate_rank`.
        g_pids: (G,) integer identities.
        q_camids: (Q,) integer cameras.
        g_camids: (G,) integer cameras.
        metric: Name of the distance; see :func:`reid.evaluation.distance.pairwise_distance`.
        chunk: Queries at a time, at least 1; memory is chunk * G distances.
        max_rank: Length of the CMC curve; at most G are kept.
        protocol: ``cross_camera`` or ``any_camera``; see :func:`evaluate_rank`.
        pictures: (Q,) and (G,) numbers of the pictures, or None.
        keep: Number of first places of each query that are kept.

    Raises:
        InputError: For empty, ill-fitting or non-finite input, for an unknown metric, and if no
            query has a match.

    Examples:
        >>> import numpy as np
        >>> query, gallery = np.array([[0.0]]), np.array([[0.2], [0.1]])  # the match comes second
        >>> evaluate_features(query, gallery, [7], [7, 8], [0], [1, 1]).mAP
        0.5
    """
    query, gallery = feature_pair(q_feats, g_feats)
    ids = (q_pids, g_pids, q_camids, g_camids)
    matches = Matches(*ids, len(query), len(gallery), protocol, pictures)
    check_metric(metric, query, gallery)
    distance = distance_to(gallery, metric)
    starts = chunk_starts(len(query), chunk, "ranking")
    chunks = ((i, distance(query[i : i + chunk])) for i in starts)
    return rank_chunks(chunks, matches, max_rank, keep)


def chunk_starts(num_query: int, chunk: int, name: str) -> Iterable[int]:
    """Returns the first query of each chunk, with a progress bar if the loop takes seconds.

    Args:
        num_query: Number of queries.
        chunk: Queries at a time.
        name: Title of the bar.

    Raises:
        ArgumentError: ``chunk`` is below 1.
    """
    if chunk < 1:
        raise ArgumentError("chunk", f"must be at least 1 query, got {chunk}")
    starts = range(0, num_query, chunk)
    return tqdm(starts, name, leave=False, delay=5, disable=None, unit="chunk")


def rank_chunks(
    chunks: Iterable[tuple[int, ArrayLike]], matches: Matches, max_rank: int, keep: int = 0
) -> Ranking:
    """Returns the metrics of distances that come in chunks of consecutive queries.

    Args:
        chunks: (first query, (B, G) distances) pairs that cover all queries in order.
        matches: Matches and junk of all queries.
        max_rank: Length of the CMC curve; at most G are kept.
        keep: Number of first places of each query that are kept.

    Raises:
        ArgumentError: ``max_rank`` is below 1, or no query has a match.
        InputError: A distance is NaN or infinite.
    """
    if max_rank < 1:
        raise ArgumentError("max_rank", f"must be at least 1, got {max_rank}")
    rank_rows = rank_rows_for(matches.num_query * matches.num_gallery)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # ranking releases the GIL
        score = partial(score_rows, matches=matches, rank_rows=rank_rows, keep=keep)
        scores = [s for i, dist in chunks for s in _score(dist, i, score, pool)]
    query_index, ap, inp, first_hit, places, distances = (
        np.concatenate(column) for column in zip(*scores, strict=True)
    )
    if len(ap) == 0:
        raise no_match(matches.num_query, matches.protocol)
    skipped = matches.num_query - len(ap)
    limit = min(max_rank, matches.num_gallery)
    counts = (matches.num_query, skipped, limit)
    return Ranking(ap, inp, first_hit, query_index, *counts, places, distances)


def _score(
    dist: ArrayLike,
    start: int,
    score: Callable[[np.ndarray, int], Scores],
    pool: ThreadPoolExecutor,
) -> list[Scores]:
    rows = as_tensor(dist).cpu().numpy() if isinstance(dist, Tensor) else np.asarray(dist)
    apply = pool.map if len(rows) > BLOCK else map
    return list(
        apply(
            lambda i: score(rows[i : i + BLOCK], start + i),
            range(0, len(rows), BLOCK),
        )
    )
