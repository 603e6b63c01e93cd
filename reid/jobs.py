"""The jobs, from a config to files: what tools/train.py and tools/test.py run."""

import hashlib
from pathlib import Path

from tabulate import tabulate
from torch import nn
from yacs.config import CfgNode

from reid import wiring
from reid.config import default_cfg, difference, dump
from reid.data.records import Splits
from reid.engine.tester import HEADERS, TestResult, rank_features, write_results
from reid.engine.trainer import LAST, Trainer
from reid.evaluation.files import load_features
from reid.utils import distributed
from reid.utils.environment import choose_device, describe, deterministic, git_commit
from reid.utils.errors import InputError
from reid.utils.logs import get_logger, make_dir, write_text

FEATURES = "features.npz"  # in OUTPUT_DIR, with TEST.SAVE_FEATURES


def train(cfg: CfgNode, resume: bool = False) -> Trainer:
    """Trains what ``cfg`` describes into OUTPUT_DIR.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        resume: Go on from OUTPUT_DIR/last.pth; starts afresh where there is none.

    Raises:
        InputError: If OUTPUT_DIR holds a run and ``resume`` is False, or holds another run.
    """
    wiring.check_alike(cfg)
    output = Path(cfg.OUTPUT_DIR)
    last = output / LAST
    distributed.check_same(f"the file {last}", str(last.exists()))
    if last.exists() and not resume:
        raise InputError(
            f"{output} already holds a run; go on with --resume, or set another OUTPUT_DIR"
        )
    logger = get_logger(make_dir(output), "train")
    logger.info(describe(choose_device(cfg.MODEL.DEVICE)))
    rows = difference(cfg, default_cfg())
    logger.info(f"differs from the defaults\n{tabulate(rows, ('key', 'value', 'default'))}")
    if last.exists():
        wiring.check_resumable(cfg, last, logger)
    trainer = wiring.build_trainer(cfg, logger)
    if last.exists():
        trainer.resume(last)
        distributed.check_same(f"the file {last}", str(trainer.epoch))
        logger.info(f"resumed {last}: {trainer.epoch} of {trainer.max_epochs} epochs are done")
    if distributed.is_main():
        write_text(output / "config.yml", dump(cfg))
    with deterministic(trainer.device, cfg.SOLVER.DETERMINISTIC):
        trainer.fit()
    best = trainer.best
    logger.info(f"best mAP {best['mAP']:.1%} at epoch {best['epoch']:.0f}, written to {output}")
    return trainer


def test(cfg: CfgNode, weight: Path) -> TestResult:
    """Evaluates the checkpoint ``weight``; writes metrics.json and ranking.npz to OUTPUT_DIR.

    Of several processes the first one writes and has the rankings.
    """
    wiring.check_alike(cfg)
    logger = get_logger(make_dir(Path(cfg.OUTPUT_DIR)), "test")
    logger.info(describe(choose_device(cfg.MODEL.DEVICE)))
    model = wiring.load_trained(cfg, weight, logger)
    splits = wiring.load_splits(cfg, False, logger)
    embed = wiring.build_embedding(cfg, model)
    return _evaluate(cfg, embed, splits, {"weight": str(weight)})


def test_reference(cfg: CfgNode, name: str, embed: nn.Module) -> TestResult:
    """Evaluates an embedding that needs no checkpoint, as :func:`test` does.

    Raises:
        InputError: In several processes: one that draws at random would draw the same in each.
    """
    if distributed.active():
        raise InputError("a reference is evaluated by one process; start it without torchrun")
    logger = get_logger(make_dir(Path(cfg.OUTPUT_DIR)), "test")
    return _evaluate(cfg, embed, wiring.load_splits(cfg, False, logger), {"reference": name})


def test_features(cfg: CfgNode, path: Path) -> TestResult:
    """Evaluates saved features as :func:`test` does; needs neither model nor images.

    Of several processes the first one does it alone.
    """
    if not distributed.is_main():
        return TestResult()
    output = make_dir(Path(cfg.OUTPUT_DIR))
    logger = get_logger(output, "test")
    device = choose_device(cfg.MODEL.DEVICE)
    logger.info(describe(device))
    query, gallery = load_features(path, device, cfg.TEST.FEAT_NORM)
    how = wiring.build_retrieval(cfg, len(query.pids), len(gallery.pids))
    result = rank_features(query, gallery, how)
    _report(cfg, result, len(gallery.pids), {"features": str(path)})
    return result


def _evaluate(cfg: CfgNode, embed: nn.Module, splits: Splits, facts: dict[str, str]) -> TestResult:
    how = wiring.build_retrieval(cfg, len(splits.query), len(splits.gallery))
    save = Path(cfg.OUTPUT_DIR) / FEATURES if cfg.TEST.SAVE_FEATURES else None
    result = wiring.evaluate(cfg, embed, splits, how, save)
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
    facts = {
        **facts,
        "config_hash": hashlib.sha256(dump(cfg).encode()).hexdigest()[:12],
        "commit": git_commit(),
    }
    write_results(result, output, {"num_gallery": num_gallery, **facts})
    table = tabulate(result.rows(), HEADERS, floatfmt=".1f")
    logger.info(f"{plain.num_queries} queries, {num_gallery} gallery images\n{table}")
    logger.info(f"written: {output}/metrics.json, {output}/ranking.npz")
