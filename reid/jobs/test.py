"""Testing, from a config to files: what ``reid test`` and ``reid reference`` run."""

import hashlib
from pathlib import Path

from tabulate import tabulate
from torch import nn
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import build_device, output_dir
from reid.config import dump, imported_files
from reid.data.records import Splits
from reid.evaluation.evaluator import HEADERS, TestResult, rank_features, write_results
from reid.evaluation.files import load_features
from reid.utils import distributed
from reid.utils.code_state import code_state
from reid.utils.environment import describe
from reid.utils.errors import InputError
from reid.utils.logs import get_logger

FEATURES = "features.npz"  # in OUTPUT_DIR, with TEST.SAVE_FEATURES


def test(cfg: CfgNode, weight: Path) -> TestResult:
    """Evaluates the checkpoint ``weight``; writes metrics.json and ranking.npz to OUTPUT_DIR.

    Of several processes the first one writes and has the rankings.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        weight: The checkpoint.
    """
    builders.check_alike(cfg)
    logger = get_logger(output_dir(cfg), "test")
    logger.info(describe(build_device(cfg)))
    model = builders.load_trained(cfg, weight, logger)
    splits = builders.load_splits(cfg, False, logger)
    embed = builders.build_embedding(cfg, model)
    return _evaluate(cfg, embed, splits, {"weight": str(weight)})


def test_reference(cfg: CfgNode, name: str, embed: nn.Module) -> TestResult:
    """Evaluates an embedding that needs no checkpoint, as :func:`test` does.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        name: What metrics.json calls the reference.
        embed: Images (B, 3, H, W) in [0, 1] to (B, D).

    Raises:
        InputError: In several processes: one that draws at random would draw the same in each.
    """
    if distributed.active():
        raise InputError("a reference is evaluated by one process; start it without torchrun")
    logger = get_logger(output_dir(cfg), "test")
    return _evaluate(cfg, embed, builders.load_splits(cfg, False, logger), {"reference": name})


def test_features(cfg: CfgNode, path: Path) -> TestResult:
    """Evaluates saved features as :func:`test` does; needs neither model nor images.

    Of several processes the first one does it alone.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        path: An npz; see :func:`reid.evaluation.files.load_features`.
    """
    if not distributed.is_main():
        return TestResult()
    output = output_dir(cfg)
    logger = get_logger(output, "test")
    device = build_device(cfg)
    logger.info(describe(device))
    query, gallery = load_features(path, device, cfg.TEST.FEAT_NORM)
    protocol = builders.build_retrieval(cfg, len(query.pids), len(gallery.pids))
    result = rank_features(query, gallery, protocol)
    _report(cfg, result, len(gallery.pids), {"features": str(path)})
    return result


def _evaluate(cfg: CfgNode, embed: nn.Module, splits: Splits, facts: dict[str, str]) -> TestResult:
    protocol = builders.build_retrieval(cfg, len(splits.query), len(splits.gallery))
    save = Path(cfg.OUTPUT_DIR) / FEATURES if cfg.TEST.SAVE_FEATURES else None
    result = builders.evaluate(cfg, embed, splits, protocol, save)
    if not distributed.is_main():
        return result
    if save is not None:
        get_logger(Path(cfg.OUTPUT_DIR), "test").info(f"features written: {save}")
    _report(cfg, result, len(splits.gallery), {**facts, "dataset": cfg.DATASETS.NAMES[0]})
    return result


def _report(cfg: CfgNode, result: TestResult, num_gallery: int, facts: dict[str, str]) -> None:
    """Writes what a test found, and prints it."""
    output = Path(cfg.OUTPUT_DIR)
    logger = get_logger(output, "test")
    plain = result.rankings["plain"]
    if plain.num_skipped:
        logger.warning(
            f"warning: {plain.num_skipped} queries have no match in the gallery and are left out"
        )
    code = code_state(imported_files(cfg.IMPORTS))
    found = {
        **facts,
        "config_hash": hashlib.sha256(dump(cfg).encode()).hexdigest()[:12],
        "commit": code["commit"],
        "code": code,
    }
    write_results(result, output, {"num_gallery": num_gallery, **found})
    table = tabulate(result.rows(), HEADERS, floatfmt=".1f")
    logger.info(f"{plain.num_queries} queries, {num_gallery} gallery images\n{table}")
    logger.info(f"written: {output}/metrics.json, {output}/ranking.npz")
