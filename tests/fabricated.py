"""Folders of runs without a training: numbers of queries, written by what writes real ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reid.evaluation.evaluator import TestResult, write_results
from reid.evaluation.lists import Images, list_arrays
from reid.evaluation.ranking import Ranking
from reid.robustness.report import records, with_worst_cases, write_report
from reid.robustness.result import Result

QUERIES = 60
PIDS = 7 + np.arange(QUERIES) // 3  # 20 identities
MARKET: dict[str, Any] = {"dataset": "market1501", "protocol": "cross_camera", "ids": "aaa"}
MARKET |= {"data": {"query": "q1", "gallery": "g1"}, "commit": "c0"}


def scores(level: float, seed: int, spread: float = 0.1) -> np.ndarray:
    """AP of each query: an identity is as hard in every run, and each run has its own luck."""
    hard = np.random.default_rng(99).random(20)[PIDS - 7] * 0.4
    rng = np.random.default_rng([1, seed])
    return np.clip(level + hard + spread * rng.standard_normal(QUERIES), 0, 1)


def ranking(ap: np.ndarray) -> Ranking:
    """A ranking with these AP, without places; an AP of at least one half is a hit at once."""
    hits = np.where(ap >= 0.5, 0, 3)
    none = np.zeros((len(ap), 0), np.int32)
    counts = (len(ap), 0, 50)
    return Ranking(ap, ap / 2, hits, np.arange(len(ap)), *counts, none, none.astype(np.float32))


def write_tested(
    folder: Path,
    ap: np.ndarray,
    seed: int | None,
    re_ranked: np.ndarray | None = None,
    **facts: Any,
) -> Path:
    """Writes metrics.json and ranking.npz as ``reid test`` does."""
    result = TestResult({"plain": ranking(ap)})
    if re_ranked is not None:
        result.rankings["re-ranked"] = ranking(re_ranked)
    about = {"weight": "x/last.pth", "seed": seed, "recipe_hash": folder.parent.name}
    folder.mkdir(parents=True, exist_ok=True)
    sides = (Images(PIDS, np.zeros_like(PIDS)), Images(PIDS[:0], PIDS[:0]))
    lists = list_arrays(result.rankings, *sides, folder)
    write_results(result, folder, {"num_gallery": 90, **about, **MARKET, **facts}, lists)
    return folder


def write_attacked(
    folder: Path, aps: Mapping[tuple[str, str, float], np.ndarray], seed: int, **facts: Any
) -> Path:
    """Writes robustness.json and per_query.npz as ``reid attack`` does.

    Args:
        folder: OUTPUT_DIR.
        aps: AP of each query by kind, name and level of what was done to the images.
        seed: Training seed.
        facts: Further entries of robustness.json.
    """
    results = with_worst_cases(
        [Result.of(*key, "plain", ranking(ap), PIDS, {}) for key, ap in aps.items()]
    )
    about = {"weight": "x/last.pth", "surrogate": None, "attack": {"ATTACK.SIDE": "query"}}
    about |= {"num_queries": QUERIES, "num_gallery": 90, "seed": seed}
    about |= {"recipe_hash": folder.parent.name, **MARKET, **facts}
    (folder / "attack").mkdir(parents=True, exist_ok=True)
    write_report(folder / "attack", results, records(results, 0), [], about)
    return folder
