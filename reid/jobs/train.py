"""Training, from a config to files: what ``reid train`` runs."""

from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import build_device, output_dir
from reid.config import default_cfg, difference, dump, imported_files
from reid.engine.trainer import LAST, DivergedError, Trainer
from reid.utils import distributed
from reid.utils.code_state import code_state, describe_code
from reid.utils.environment import describe, deterministic
from reid.utils.errors import InputError
from reid.utils.logs import get_logger, write_text


def train(cfg: CfgNode, resume: bool = False) -> Trainer:
    """Trains what ``cfg`` describes into OUTPUT_DIR.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        resume: Go on from OUTPUT_DIR/last.pth; starts afresh where there is none.

    Raises:
        InputError: If OUTPUT_DIR holds a run and ``resume`` is False, or holds another run.
    """
    builders.check_alike(cfg)
    output = Path(cfg.OUTPUT_DIR)
    last = output / LAST
    distributed.check_same(f"the file {last}", str(last.exists()))
    if last.exists() and not resume:
        raise InputError(
            f"{output} already holds a run; go on with --resume, or set another OUTPUT_DIR"
        )
    logger = get_logger(output_dir(cfg), "train")
    logger.info(describe(build_device(cfg)))
    logger.info(describe_code(code_state(imported_files(cfg.IMPORTS))))
    rows = difference(cfg, default_cfg())
    logger.info(f"differs from the defaults\n{tabulate(rows, ('key', 'value', 'default'))}")
    if last.exists():
        builders.check_resumable(cfg, last, logger)
    trainer = builders.build_trainer(cfg, logger)
    if last.exists():
        trainer.resume(last)
        distributed.check_same(f"the file {last}", str(trainer.epoch))
        logger.info(f"resumed {last}: {trainer.epoch} of {trainer.max_epochs} epochs are done")
    if distributed.is_main():
        write_text(output / "config.yml", dump(cfg))
    with deterministic(trainer.device, cfg.SOLVER.DETERMINISTIC):
        try:
            trainer.fit()
        except DivergedError as error:
            raise InputError(
                f"{error}; lower SOLVER.BASE_LR, set SOLVER.CLIP_NORM or SOLVER.PRECISION fp32"
            ) from error
    best = trainer.best
    logger.info(f"best mAP {best['mAP']:.1%} at epoch {best['epoch']:.0f}, written to {output}")
    return trainer
