"""Evaluation of a model on a data set's query and gallery: features, ranking, files."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reid.evaluation import Ranking, evaluate_features, evaluate_reranked
from reid.evaluation.features import extract
from reid.utils.batch import Batch
from reid.utils.logs import write_text, write_whole


@dataclass
class TestResult:
    """Rankings by name ("plain", "re-ranked") and seconds by phase."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    rankings: dict[str, Ranking] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def rows(self) -> list[list[object]]:
        """Returns rows [ranking, mAP, mINP, Rank-1, Rank-5, Rank-10], in percent."""
        names = ("mAP", "mINP", "rank1", "rank5", "rank10")
        summaries = {key: ranking.summary() for key, ranking in self.rankings.items()}
        return [[key, *(100 * s[name] for name in names)] for key, s in summaries.items()]


HEADERS = ("ranking", "mAP %", "mINP %", "Rank-1 %", "Rank-5 %", "Rank-10 %")


@dataclass(frozen=True)
class ReRanking:
    """Settings of the k-reciprocal re-ranking."""

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3


def evaluate_retrieval(
    embed: nn.Module,
    query: Iterable[Batch],
    gallery: Iterable[Batch],
    device: torch.device,
    metric: str = "euclidean",
    rerank: ReRanking | None = None,
) -> TestResult:
    """Ranks the gallery for every query.

    Args:
        embed: (B, 3, H, W) in [0, 1] -> (B, D).
        query: Loader of the query split.
        gallery: Loader of the gallery split.
        device: Where ``embed`` lives.
        metric: Name of the distance.
        rerank: If given, a second ranking "re-ranked" is made beside the "plain" one.
    """
    result = TestResult()
    start = time.perf_counter()
    q, g = extract(embed, query, device), extract(embed, gallery, device)
    start = _lap(result, "features", start)
    sides = (q.feats, g.feats, q.pids, g.pids, q.camids, g.camids)
    result.rankings["plain"] = evaluate_features(*sides, metric=metric)
    start = _lap(result, "ranking", start)
    if rerank is not None:
        result.rankings["re-ranked"] = evaluate_reranked(
            *sides, k1=rerank.k1, k2=rerank.k2, lambda_value=rerank.lambda_value
        )
        _lap(result, "re-ranking", start)
    return result


def _lap(result: TestResult, phase: str, start: float) -> float:
    now = time.perf_counter()
    result.seconds[phase] = round(now - start, 3)
    return now


def write_results(result: TestResult, folder: Path, facts: dict[str, Any]) -> None:
    """Writes metrics.json and ranking.npz.

    metrics.json: the plain ranking's mAP, mINP, rank1, rank5, rank10 (fractions) and counts at the
    top, "re_ranked" with the same keys where it was made, "seconds" by phase, and ``facts``.
    ranking.npz: per valid query ``query_index``, ``ap``, ``inp``, ``first_hit`` (0-based), and the
    same with the prefix ``re_ranked_``; no pickle in it.
    """
    metrics: dict[str, Any] = dict(result.rankings["plain"].summary())
    arrays: dict[str, np.ndarray] = {}
    for name, ranking in result.rankings.items():
        prefix = "" if name == "plain" else name.replace("-", "_") + "_"
        if prefix:
            metrics[prefix.rstrip("_")] = ranking.summary()
        for key in ("query_index", "ap", "inp", "first_hit"):
            arrays[prefix + key] = np.asarray(getattr(ranking, key))
    metrics |= {"seconds": result.seconds, **facts}
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    write_whole(folder / "ranking.npz", lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
