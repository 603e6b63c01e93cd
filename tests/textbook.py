"""The slow way: ranking and k-reciprocal re-ranking as their formulas read, in plain loops."""

import numpy as np


def rank_by_sorting(
    dist, q_pids, g_pids, q_camids, g_camids, protocol="cross_camera", pictures=None
):
    """Returns one (query, ap, inp, first_hit) per query that has a match."""

    def is_junk(q, g):
        if protocol == "cross_camera":
            return g_camids[g] == q_camids[q]
        return pictures is not None and pictures[0][q] == pictures[1][g]

    results = []
    for q, row in enumerate(dist.tolist()):
        kept = [
            g
            for g in range(len(row))
            if g_pids[g] != -1 and not (g_pids[g] == q_pids[q] and is_junk(q, g))
        ]
        ranked = sorted(kept, key=lambda g: row[g])  # sorted() is stable: ties go by index
        hits = [rank for rank, g in enumerate(ranked) if g_pids[g] == q_pids[q]]
        if hits:
            precisions = [(found + 1) / (rank + 1) for found, rank in enumerate(hits)]
            ap = sum(precisions) / len(hits)
            results.append((q, ap, len(hits) / (hits[-1] + 1), hits[0]))
    return results


def dense_re_ranking(query, gallery, k1=20, k2=6, lambda_value=0.3, dtype=np.float64):
    """Returns the (Q, G) distances of Zhong et al. 2017, through full (N, N) matrices."""
    x = np.concatenate([query, gallery]).astype(dtype)
    n, num_query = len(x), len(query)
    square = (x * x).sum(1)
    dist = square[:, None] + square[None, :] - 2 * (x @ x.T)
    np.fill_diagonal(dist, 0)
    np.maximum(dist, 0, out=dist)
    dist /= dist.max(axis=1, keepdims=True)
    order = np.argsort(dist, axis=1, kind="stable")

    def reciprocal(i, k):
        return {int(j) for j in order[i, : k + 1] if i in order[j, : k + 1]}

    v = np.zeros((n, n), dtype)
    for i in range(n):
        core = reciprocal(i, k1)
        members = set(core)
        for candidate in core:
            theirs = reciprocal(candidate, round(k1 / 2))
            if 3 * len(theirs & core) > 2 * len(theirs):
                members |= theirs
        columns = sorted(members)
        weight = np.exp(-dist[i, columns])
        v[i, columns] = weight / weight.sum()
    if k2 > 1:
        v = np.stack([v[order[i, :k2]].mean(axis=0) for i in range(n)])
    result = np.empty((num_query, n - num_query), dtype)
    for q in range(num_query):
        columns = np.flatnonzero(v[q])  # elsewhere the minimum is 0
        least = np.minimum(v[q, columns], v[num_query:][:, columns]).sum(axis=1)
        most = v[q].sum() + v[num_query:].sum(axis=1) - least  # max(a, b) = a + b - min(a, b)
        result[q] = 1 - least / most
    return (1 - lambda_value) * result + lambda_value * dist[:num_query, num_query:]
