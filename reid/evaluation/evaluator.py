"""Evaluation of a model on a data set's query and gallery: features, ranking, files."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reid.evaluation import Ranking
from reid.evaluation.collapse import collapse_warning
from reid.evaluation.features import Features, extract, gathered
from reid.evaluation.files import save_features
from reid.evaluation.lists import prefix_of
from reid.evaluation.places import METRICS_FILE, RANKING_FILE
from reid.evaluation.retrieval import Retrieval
from reid.utils import distributed
from reid.utils.batch import Batch
from reid.utils.logs import write_text, write_whole


@dataclass
class TestResult:
    """What a test found.

    Attributes:
        rankings: By name ("plain", "re-ranked", ...).
        seconds: By the same names, and of "features".
        warning: Why the rankings mean little; "" if nothing was found.
        sides: Features of query and gallery, where images were evaluated.
    """

    __test__ = False  # pytest would take a class of this name for a test case

    rankings: dict[str, Ranking] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warning: str = ""
    sides: tuple[Features, Features] | None = None

    def rows(self) -> list[list[object]]:
        """Returns rows [ranking, mAP, mINP, Rank-1, Rank-5, Rank-10], in percent."""
        names = ("mAP", "mINP", "rank1", "rank5", "rank10")
        summaries = {key: ranking.summary() for key, ranking in self.rankings.items()}
        return [[key, *(100 * s[name] for name in names)] for key, s in summaries.items()]


HEADERS = ("ranking", "mAP %", "mINP %", "Rank-1 %", "Rank-5 %", "Rank-10 %")


def evaluate_retrieval(
    embed: nn.Module,
    query: Iterable[Batch],
    gallery: Iterable[Batch],
    device: torch.device,
    protocol: Retrieval,
    save: Path | None = None,
    pictures: tuple[np.ndarray, np.ndarray] | None = None,
) -> TestResult:
    """Ranks the gallery for every query.

    With several processes, each extracts features, and the first one ranks them; the others return
    an empty result.

    Args:
        embed: Maps (B, 3, H, W) float32 in [0, 1] to (B, D) float32.
        query: Loader of the query split, or of the shard of this process.
        gallery: Loader of the gallery split, or of the shard of this process.
        device: Device of ``embed``.
        protocol: The rankings to compute.
        save: File to which the features are written, for
            :func:`reid.evaluation.files.load_features`; None writes none.
        pictures: (Q,) and (G,) int64, the same for the same picture; None: not known.
    """
    start = time.perf_counter()
    q, g = (gathered(extract(embed, loader, device)) for loader in (query, gallery))
    seconds = _seconds_since(start)
    if not distributed.is_main():
        return TestResult()
    if pictures is not None:
        q, g = q._replace(pictures=pictures[0]), g._replace(pictures=pictures[1])
    if save is not None:
        save_features(save, q, g)
    result = rank_features(q, g, protocol)
    result.seconds = {"features": seconds, **result.seconds}
    result.sides = (q, g)
    return result


def rank_features(query: Features, gallery: Features, protocol: Retrieval) -> TestResult:
    """Ranks the gallery for every query, from features.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        protocol: The rankings to compute.
    """
    result = TestResult(warning=collapse_warning(query.feats, gallery.feats))
    start = time.perf_counter()
    for name, ranking in protocol.rankings(query, gallery):
        result.rankings[name] = ranking
        result.seconds[name] = _seconds_since(start)
        start = time.perf_counter()
    return result


def _seconds_since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def write_results(
    result: TestResult,
    folder: Path,
    facts: dict[str, Any],
    lists: Mapping[str, np.ndarray],
) -> None:
    """Writes metrics.json and ranking.npz.

    metrics.json: the plain ranking's mAP, mINP, rank1, rank5, rank10 (fractions) and counts at the
    top; "re_ranked", "aqe" and "aqe_re_ranked" with the same keys, if they were computed;
    "seconds" by phase; "warning", if the features hardly differ; and ``facts``.
    ranking.npz: ``lists``, compressed; it contains no pickle.

    Args:
        result: Rankings and seconds of the evaluation.
        folder: Folder of the two files.
        facts: Further entries of metrics.json.
        lists: From :func:`reid.evaluation.lists.list_arrays`.
    """
    metrics: dict[str, Any] = dict(result.rankings["plain"].summary())
    for name, ranking in result.rankings.items():
        if name != "plain":
            metrics[prefix_of(name).rstrip("_")] = ranking.summary()
    if result.warning:
        metrics["warning"] = result.warning
    metrics |= {"seconds": result.seconds, **facts}
    write_text(folder / METRICS_FILE, json.dumps(metrics, indent=2) + "\n")
    write_whole(
        folder / RANKING_FILE,
        lambda file: np.savez_compressed(file, **lists),  # type: ignore[arg-type]
    )
