"""Sparse k-reciprocal encodings: steps 2 to 6 of the list in :mod:`reid.evaluation.rerank`."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from reid.evaluation.distance import squared_norms
from reid.evaluation.neighbors import Neighbors

PAIRS = 2048  # pairs whose features are gathered at a time
OVERLAPS_AT_ONCE = 1 << 20  # common entries of queries and gallery images processed at a time


def encode(features: Tensor, near: Neighbors, scale: Tensor, k1: int) -> sparse.csr_array:
    """Returns the encodings V of steps 2 to 4, (N, N) float32; each row sums to 1.

    Args:
        features: (N, D), queries first.
        near: The nearest rows of each row, at least k1 + 1 of them.
        scale: (N,) largest squared distance of each row.
        k1: Size of the neighbourhoods.
    """
    return encode_by(partial(_distances, features, near), near.index, scale, k1)


def encode_by(
    distances: Callable[[np.ndarray, np.ndarray], np.ndarray],
    neighbors: Tensor,
    scale: Tensor,
    k1: int,
) -> sparse.csr_array:
    """Returns the encodings as :func:`encode` does, (N, N) float32, from distances alone.

    Args:
        distances: Rows (P,) and columns (P,) to the squared distances of these pairs, (P,).
        neighbors: (N, at least k1 + 1) the nearest rows of each row, nearest first.
        scale: (N,) largest squared distance of each row.
        k1: Size of the neighbourhoods.
    """
    index = neighbors.cpu().numpy()
    members = expanded_sets(index, k1)
    row = np.repeat(np.arange(len(index)), np.diff(members.indptr))
    dist = distances(row, members.indices) / scale.cpu().numpy()[row]
    weight = np.exp(-dist)
    weight /= np.add.reduceat(weight, members.indptr[:-1])[row]
    return sparse.csr_array((weight, members.indices, members.indptr), shape=members.shape)


def expanded_sets(index: np.ndarray, k1: int) -> sparse.csr_array:
    """Returns the sets R* of steps 2 and 3 as an (N, N) matrix with an entry for each member.

    Args:
        index: (N, at least k1 + 1) neighbours, nearest first.
        k1: Size of the neighbourhoods.
    """
    whole = mutual(index[:, : k1 + 1])
    half = mutual(index[:, : round(k1 / 2) + 1])
    shared = (whole @ half).multiply(whole).tocsr()  # half is symmetric: |R(i) & H(c)| at (i, c)
    size = np.diff(half.indptr)
    shared.data = (3 * shared.data > 2 * size[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    members = (whole + shared @ half).tocsr()
    members.sort_indices()
    return members


def mutual(index: np.ndarray) -> sparse.csr_array:
    """Returns the symmetric (N, N) matrix with a 1 where two rows are in each other's list."""
    rows, k = index.shape
    ones = np.ones(rows * k, np.int32)
    lists = sparse.csr_array((ones, index.ravel(), np.arange(0, rows * k + 1, k)), (rows, rows))
    return lists.multiply(lists.T).tocsr()


def _distances(features: Tensor, near: Neighbors, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """Returns the squared distances of pairs, (P,); it computes only those not in ``near``."""
    index, by_column = near.index.sort(dim=1)
    size = len(index)
    first = torch.arange(size, device=index.device)[:, None] * size
    known = (index + first).flatten().cpu().numpy()  # keys row * N + col, ascending
    value = near.sqdist.gather(1, by_column).flatten().cpu().numpy()
    key = row.astype(np.int64) * size + col
    position = known.searchsorted(key).clip(max=len(known) - 1)
    dist = value[position]
    missing = np.flatnonzero(known[position] != key)
    for pairs in np.split(missing, range(PAIRS, len(missing), PAIRS)):
        one, other = (torch.from_numpy(ids[pairs]).to(index) for ids in (row, col))
        dist[pairs] = squared_norms(features[one] - features[other]).cpu().numpy()
    return dist


def expand_queries(encoding: sparse.csr_array, index: Tensor, k2: int) -> sparse.csr_array:
    """Returns, (N, N), the mean encoding of the ``k2`` nearest of each row: step 5.

    Args:
        encoding: (N, N) encodings.
        index: (N, at least k2) neighbours, nearest first.
        k2: Number of rows in the mean.
    """
    size = len(index)
    columns = index[:, :k2].flatten().cpu().numpy()
    weight = np.full(size * k2, 1 / k2, np.float32)
    mean = sparse.csr_array((weight, columns, np.arange(0, size * k2 + 1, k2)), (size, size))
    return mean @ encoding if k2 > 1 else encoding


class JaccardOverlaps:
    """Sums of minima of query and gallery encodings, step 6.

    The gallery is stored by columns: a query with an entry in column j has a non-zero minimum
    exactly with the gallery images that have an entry in column j.

    Args:
        encoding: (N, N) encodings, queries first.
        num_query: Number of queries, Q.
        device: Device on which the sums are computed.
    """

    def __init__(self, encoding: sparse.csr_array, num_query: int, device: torch.device) -> None:
        self.device = device
        self.query = encoding[:num_query]
        gallery = encoding[num_query:].tocsc()
        self.num_gallery = gallery.shape[0]
        self.start = gallery.indptr.astype(np.int64)
        self.row = torch.from_numpy(gallery.indices).to(device)
        self.weight = torch.from_numpy(gallery.data).to(device)

    def distances(self, rows: slice) -> Tensor:
        """Returns the Jaccard distances, (B, G) float32, of B consecutive queries.

        Rows of the encodings sum to 1, so that the sum of maxima is 2 less the overlap.
        """
        # 1 - overlap / (2 - overlap) = 2 - 2 / (2 - overlap), without a second matrix.
        return self.of(rows).neg_().add_(2).reciprocal_().mul_(-2).add_(2)

    def of(self, rows: slice) -> Tensor:
        """Returns sum_j min(V(q, j), V(g, j)), (B, G) float32, for B consecutive queries."""
        query = self.query[rows]
        row = np.repeat(np.arange(query.shape[0]), np.diff(query.indptr))
        begin = self.start[query.indices]
        count = np.diff(self.start)[query.indices]
        out = torch.zeros(query.shape[0] * self.num_gallery, device=self.device)
        # Columns differ much in length, so the work is cut by entries and not by queries.
        total = np.cumsum(count)
        cuts = np.searchsorted(total, np.arange(OVERLAPS_AT_ONCE, total[-1], OVERLAPS_AT_ONCE))
        for piece in map(slice, [0, *cuts], [*cuts, len(row)]):
            self._add(out, row[piece], query.data[piece], begin[piece], count[piece])
        return out.view(query.shape[0], self.num_gallery)

    def _add(
        self,
        out: Tensor,
        row: np.ndarray,
        weight: np.ndarray,
        begin: np.ndarray,
        count: np.ndarray,
    ) -> None:
        """Adds the minima of each query entry and the gallery entries of its column."""
        first = begin + count - np.cumsum(count)
        row_cell = row * self.num_gallery
        shift = torch.from_numpy(first).to(self.device)
        entry = torch.repeat_interleave(torch.from_numpy(count).to(self.device))
        position = shift[entry] + torch.arange(len(entry), device=self.device)
        smaller = torch.minimum(
            torch.from_numpy(weight).to(self.device)[entry], self.weight[position]
        )
        cell = torch.from_numpy(row_cell).to(self.device)[entry] + self.row[position]
        out.index_add_(0, cell, smaller)
