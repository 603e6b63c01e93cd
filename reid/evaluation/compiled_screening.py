"""Loops of :mod:`reid.evaluation.screening` that numba compiles; imported only by it.

What they know of an image i, of feature x_i = y_i + mean, is a row of ``facts``, float32:

    scale     s_i, where y_i is about s_i q_i and q_i holds integers in -127 .. 127
    length    n_i = |y_i|
    rounded   h_i = |s_i q_i|
    rest      r_i = |y_i - s_i q_i|
    low       (1 - SLACK) |y_i|^2
    high      (1 + SLACK) |y_i|^2

With P = q_i . q_j, which is exact, and e = 2 (r_i n_j + h_i r_j) by Cauchy and Schwarz,

    low_i + low_j - 2 s_i s_j P - e  <=  |x_i - x_j|^2  <=  high_i + high_j - 2 s_i s_j P + e.

SLACK covers the rounding of these formulas, of the numbers in ``facts``, and of y.
"""

import numpy as np

from reid.evaluation.compiled import insert
from reid.utils.compiling import compiled, compiled_inside, compiled_sums

SCALE, LENGTH, ROUNDED, REST, LOW, HIGH = range(6)


@compiled
def _prune_near(
    low: np.ndarray, high: np.ndarray, index: np.ndarray, count: int, k: int, reach: float
) -> tuple[int, float]:
    """Drops the candidates that are farther than k others; returns their number, and the reach."""
    if count >= k:
        least = np.full(k, np.inf, np.float32)
        for c in range(count):
            if high[c] < least[-1]:
                insert(least, index[:0], high[c], 0)
        reach = min(reach, least[-1])
    kept = 0
    for c in range(count):
        if low[c] <= reach:
            low[kept] = low[c]
            high[kept] = high[c]
            index[kept] = index[c]
            kept += 1
    return kept, reach


@compiled
def _prune_far(high: np.ndarray, index: np.ndarray, count: int, far: float) -> int:
    """Drops the candidates that are nearer than another one; returns how many are left."""
    kept = 0
    for c in range(count):
        if high[c] >= far:
            high[kept] = high[c]
            index[kept] = index[c]
            kept += 1
    return kept


@compiled
def _make_room_near(
    owner: int,
    k: int,
    near_low: np.ndarray,
    near_high: np.ndarray,
    near_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
) -> None:
    """Prunes the full list of an image; where too many candidates are left, it gives up."""
    n, bound = _prune_near(
        near_low[owner], near_high[owner], near_index[owner], count[owner, 0], k, reach[owner, 0]
    )
    count[owner, 0] = n
    reach[owner, 0] = bound if 4 * n <= 3 * near_low.shape[1] else -np.inf


@compiled
def _make_room_far(
    owner: int,
    far_high: np.ndarray,
    far_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
) -> None:
    n = _prune_far(far_high[owner], far_index[owner], count[owner, 1], reach[owner, 1])
    count[owner, 1] = n
    if 4 * n > 3 * far_high.shape[1]:
        reach[owner, 1] = np.inf


@compiled_inside
def _push(  # noqa: PLR0913 - the lists of one image
    low: float,
    high: float,
    other: int,
    k: int,
    owner: int,
    near_low: np.ndarray,
    near_high: np.ndarray,
    near_index: np.ndarray,
    far_high: np.ndarray,
    far_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
) -> None:
    """Offers an image to the lists of another."""
    if low <= reach[owner, 0]:
        if count[owner, 0] == near_low.shape[1]:
            _make_room_near(owner, k, near_low, near_high, near_index, count, reach)
        if low <= reach[owner, 0]:
            n = count[owner, 0]
            near_low[owner, n] = low
            near_high[owner, n] = high
            near_index[owner, n] = other
            count[owner, 0] = n + 1
    if high >= reach[owner, 1]:
        reach[owner, 1] = max(reach[owner, 1], low)
        if count[owner, 1] == far_high.shape[1]:
            _make_room_far(owner, far_high, far_index, count, reach)
        if high >= reach[owner, 1]:
            n = count[owner, 1]
            far_high[owner, n] = high
            far_index[owner, n] = other
            count[owner, 1] = n + 1


@compiled
def _mask(  # noqa: PLR0913
    product: np.ndarray,
    scales: np.ndarray,
    lengths: np.ndarray,
    rests: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    scale: float,
    rest: float,
    rounded: float,
    less_near: float,
    less_far: float,
    mask: np.ndarray,
) -> None:
    """Marks the pairs of a row that a list may take; without a branch, for wide registers.

    All arrays begin at 0 and are of one length: otherwise the compiler, which must allow for
    negative indices, gathers element by element.
    """
    for c in range(len(mask)):
        spread = rest * lengths[c] + rounded * rests[c]
        dot = scale * (scales[c] * np.float32(product[c]))
        mask[c] = (near[c] - less_near + dot + spread >= 0) | (
            far[c] - less_far + dot - spread <= 0
        )


@compiled
def offer_columns(  # noqa: PLR0913
    product: np.ndarray,
    a: int,
    b: int,
    columns: np.ndarray,
    facts: np.ndarray,
    k: int,
    near_low: np.ndarray,
    near_high: np.ndarray,
    near_index: np.ndarray,
    far_high: np.ndarray,
    far_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Offers all columns of a block to the lists of some of its rows.

    Args:
        product: (A, B) int32 products of the integers.
        a: Index of the first row, in the whole set.
        b: Index of the first column.
        columns: (6, B) the facts of the columns.
        facts: (N, 6) the facts of all images.
        k: Length of the lists asked for.
        near_low: (N, C) lower bounds of the candidates' squared distances; changed, as all below.
        near_high: (N, C) upper bounds.
        near_index: (N, C) their indices.
        far_high: (N, F) upper bounds of the candidates for the farthest.
        far_index: (N, F) their indices.
        count: (N, 2) numbers of candidates.
        reach: (N, 2) what a lower bound has to be below, and an upper bound above.
        start: First row of the block to work on.
        stop: The row after the last.
    """
    width = product.shape[1]
    two = np.float32(2)
    scales, lengths, rests = columns[SCALE], columns[LENGTH], columns[REST]
    lows, highs = columns[LOW], columns[HIGH]
    near, far = -lows, -highs
    words = np.zeros(-(-width // 8), np.uint64)
    mask = words.view(np.uint8)[:width]
    for r in range(start, stop):
        i = a + r
        row = product[r]
        scale, rest, rounded = two * facts[i, SCALE], two * facts[i, REST], two * facts[i, ROUNDED]
        low_i, high_i = facts[i, LOW], facts[i, HIGH]
        less_near, less_far = low_i - reach[i, 0], high_i - reach[i, 1]
        _mask(
            row, scales, lengths, rests, near, far, scale, rest, rounded, less_near, less_far, mask
        )
        for word in range(len(words)):
            if words[word]:
                for c in range(8 * word, min(8 * word + 8, width)):
                    if mask[c]:
                        spread = rest * lengths[c] + rounded * rests[c]
                        dot = scale * (scales[c] * np.float32(row[c]))
                        low = low_i + lows[c] - dot - spread
                        high = high_i + highs[c] - dot + spread
                        _push(
                            low, high, b + c, k, i,
                            near_low, near_high, near_index, far_high, far_index, count, reach,
                        )  # fmt: skip


@compiled
def offer_rows(  # noqa: PLR0913
    product: np.ndarray,
    a: int,
    b: int,
    columns: np.ndarray,
    facts: np.ndarray,
    k: int,
    near_low: np.ndarray,
    near_high: np.ndarray,
    near_index: np.ndarray,
    far_high: np.ndarray,
    far_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Offers all rows of a block to the lists of some of its columns.

    It does for columns what :func:`offer_columns` does for rows. The loop still goes row by row,
    because the block lies in memory so.

    Args:
        product: (A, B) int32 products of the integers.
        a: Index of the first row, in the whole set.
        b: Index of the first column.
        columns: (6, B) the facts of the columns.
        facts: (N, 6) the facts of all images.
        k: Length of the lists asked for.
        near_low: (N, C) lower bounds of the candidates' squared distances; changed, as all below.
        near_high: (N, C) upper bounds.
        near_index: (N, C) their indices.
        far_high: (N, F) upper bounds of the candidates for the farthest.
        far_index: (N, F) their indices.
        count: (N, 2) numbers of candidates.
        reach: (N, 2) what a lower bound has to be below, and an upper bound above.
        start: First column of the block to work on.
        stop: The column after the last.
    """
    width = stop - start
    two = np.float32(2)
    scales, lengths, rests = columns[SCALE, start:], columns[LENGTH, start:], columns[REST, start:]
    lows, highs = columns[LOW, start:], columns[HIGH, start:]
    first = b + start
    near = reach[first : first + width, 0] - lows[:width]
    far = reach[first : first + width, 1] - highs[:width]
    words = np.zeros(-(-width // 8), np.uint64)
    mask = words.view(np.uint8)[:width]
    for r in range(len(product)):
        i = a + r
        row = product[r, start:]
        scale, rest, rounded = two * facts[i, SCALE], two * facts[i, REST], two * facts[i, ROUNDED]
        low_i, high_i = facts[i, LOW], facts[i, HIGH]
        _mask(row, scales, lengths, rests, near, far, scale, rest, rounded, low_i, high_i, mask)
        for word in range(len(words)):
            if words[word]:
                for c in range(8 * word, min(8 * word + 8, width)):
                    if mask[c]:
                        spread = rest * lengths[c] + rounded * rests[c]
                        dot = scale * (scales[c] * np.float32(row[c]))
                        low = low_i + lows[c] - dot - spread
                        high = high_i + highs[c] - dot + spread
                        _push(
                            low, high, i, k, first + c,
                            near_low, near_high, near_index, far_high, far_index, count, reach,
                        )  # fmt: skip
                        near[c] = reach[first + c, 0] - lows[c]
                        far[c] = reach[first + c, 1] - highs[c]


@compiled_sums
def _squared_distance(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for d in range(len(x)):
        rest = np.float64(x[d]) - np.float64(y[d])
        total += rest * rest
    return total


@compiled
def _decide_near(
    i: int,
    features: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    candidates: np.ndarray,
    count: int,
    reach: float,
    index: np.ndarray,
    sqdist: np.ndarray,
) -> None:
    n, _ = _prune_near(low, high, candidates, count, len(index), reach)
    index[:] = -1
    nearest = np.full(len(index), np.inf)
    for c in range(n):  # they are in the order of their indices, and so are equal distances
        other = candidates[c]
        dist = -1.0 if other == i else _squared_distance(features[i], features[other])
        if dist < nearest[-1]:
            insert(nearest, index, dist, other)
    for c in range(len(index)):
        sqdist[c] = max(nearest[c], 0.0)


@compiled
def decide(  # noqa: PLR0913
    features: np.ndarray,
    near_low: np.ndarray,
    near_high: np.ndarray,
    near_index: np.ndarray,
    far_index: np.ndarray,
    count: np.ndarray,
    reach: np.ndarray,
    index: np.ndarray,
    sqdist: np.ndarray,
    farthest: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fills the lists of some images by float64 distances to their candidates.

    Where the list of an image gave up, its first index is -1, or its farthest distance.

    Args:
        features: (N, D) float32.
        near_low: (N, C) lower bounds; see :func:`offer_columns`.
        near_high: (N, C) upper bounds.
        near_index: (N, C) candidates.
        far_index: (N, F) candidates for the farthest.
        count: (N, 2) numbers of candidates.
        reach: (N, 2) what a bound has to be below and above.
        index: (N, k) int64, filled with the nearest, by distance and then by index.
        sqdist: (N, k) float32, filled with their squared distances.
        farthest: (N,) float32, filled.
        start: First image to work on.
        stop: The image after the last.
    """
    for i in range(start, stop):
        index[i, 0] = -1
        if reach[i, 0] != -np.inf:
            _decide_near(
                i, features, near_low[i], near_high[i], near_index[i], count[i, 0], reach[i, 0],
                index[i], sqdist[i],
            )  # fmt: skip
        farthest[i] = -1
        if reach[i, 1] != np.inf:
            largest = 0.0
            for c in range(count[i, 1]):
                other = far_index[i, c]
                largest = max(largest, _squared_distance(features[i], features[other]))
            farthest[i] = largest
