"""Average precision of queries of one camera among the matches of another."""

from typing import Any

import numpy as np

from reid.evaluation.verification.pairs import Pairs, PairScores


def camera_ap(pairs: Pairs, scores: PairScores) -> dict[str, Any] | None:
    """Returns the AP of each pair of cameras; None where there is one camera, or none is known.

    For a pair of cameras the gallery is that of all cameras, and matches of other cameras than the
    second one are left out, as if they were junk. "query" and "gallery" are the cameras, "ap" has a
    row for each of the first and "queries" the number of queries that it is the mean of; "ap" is
    None where that is 0.

    Args:
        pairs: The pairs.
        scores: Their scores.
    """
    gallery_cams, g_cam = np.unique(pairs.gallery.camids, return_inverse=True)
    query_cams, q_cam = np.unique(pairs.query.camids, return_inverse=True)
    if len(gallery_cams) < 2:
        return None
    query, camera = scores.true_query, g_cam[scores.true_gallery]
    order = np.lexsort((scores.ahead, camera, query))
    group = (query.astype(np.int64) * len(gallery_cams) + camera)[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(first, len(group)))
    found = np.arange(1, len(group) + 1) - np.repeat(first, size)  # matches up to each, with it
    precision = found / (found + scores.ahead[order])
    ap = np.add.reduceat(precision, first) / size
    cell = q_cam[group[first] // len(gallery_cams)] * len(gallery_cams)
    cell = cell + group[first] % len(gallery_cams)
    shape = (len(query_cams), len(gallery_cams))
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    total = np.bincount(cell, ap, shape[0] * shape[1]).reshape(shape)
    rows = [
        [float(t / c) if c else None for t, c in zip(*row, strict=True)]
        for row in zip(total, count, strict=True)
    ]
    return {
        "query": query_cams.tolist(),
        "gallery": gallery_cams.tolist(),
        "ap": rows,
        "queries": count.tolist(),
    }
