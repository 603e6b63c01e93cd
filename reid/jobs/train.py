"""Training, from a config to files: what ``reid train`` runs."""

import logging
from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import build_device, output_dir
from reid.config import default_cfg, difference, dump, imported_files, unused_settings
from reid.engine import run_files
from reid.engine.meter import DivergedError
from reid.engine.trainer import Trainer
from reid.utils import distributed
from reid.utils.code_state import code_state, describe_code
from reid.utils.environment import command_line, describe, deterministic
from reid.utils.errors import InputError
from reid.utils.lock import FolderLock
from reid.utils.logs import get_logger, remove_strays, write_text
from reid.utils.signals import Stopped, StopSignals


def train(cfg: CfgNode, resume: bool = False, accept_changes: bool = False) -> Trainer:
    """Trains what ``cfg`` describes into OUTPUT_DIR.

    SIGTERM and SIGINT end it after the step at hand, and SIGUSR1 makes it save; see
    :class:`reid.utils.signals.StopSignals`.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        resume: Go on from OUTPUT_DIR/last.pth; starts afresh where there is none.
        accept_changes: Resume although settings, data or precision are not those of the checkpoint.

    Raises:
        InputError: If OUTPUT_DIR holds a run and ``resume`` is False, or holds another run, or
            another run writes to it.
        Stopped: A signal asked for it; the state is saved.
    """
    builders.check_alike(cfg)
    output = Path(cfg.OUTPUT_DIR)
    _check_folder(output, resume)
    lock = FolderLock(output_dir(cfg))
    with StopSignals() as signals:
        if distributed.is_main():
            lock.acquire()
        try:
            return _train(cfg, output, signals, lock, resume, accept_changes)
        finally:
            lock.release()


def _check_folder(output: Path, resume: bool) -> None:
    """Raises InputError if a run would be overwritten."""
    found = run_files.checkpoints(output)
    distributed.check_same(f"the checkpoints in {output}", str([path.name for path in found]))
    if found and not resume:
        raise InputError(
            f"{output} already holds a run; go on with --resume, or set another OUTPUT_DIR"
        )


def _train(
    cfg: CfgNode,
    output: Path,
    signals: StopSignals,
    lock: FolderLock,
    resume: bool,
    accept: bool,
) -> Trainer:
    logger = get_logger(output, "train")
    logger.info(describe(build_device(cfg)))
    logger.info(f"command: {command_line()}")
    logger.info(describe_code(code_state(imported_files(cfg.IMPORTS))))
    rows = difference(cfg, default_cfg())
    logger.info(f"differs from the defaults\n{tabulate(rows, ('key', 'value', 'default'))}")
    for line in unused_settings(cfg, "train"):
        logger.warning(f"warning: {line}")
    if distributed.is_main():
        for stray in remove_strays(output, run_files.WRITTEN_WHOLE):
            logger.info(f"removed {stray}, which a killed run has left")
        if not run_files.checkpoints(output):
            run_files.make_way(output, resume, logger)
    trainer = _build(cfg, output, logger, accept)
    trainer.guard = lock.check
    if distributed.is_main():
        averaged = trainer.ema is not None
        run_files.check_room(output, trainer.model, trainer.keep_last, averaged)
        write_text(output / run_files.CONFIG, dump(cfg))
    with deterministic(trainer.device, cfg.SOLVER.DETERMINISTIC):
        try:
            trainer.fit(signals)
        except DivergedError as error:
            raise InputError(f"{error}; {_way_out(output)}") from error
        except Stopped as stop:
            logger.info(_how_to_go_on(stop, trainer, output))
            raise
    _say_best(trainer, output, logger)
    return trainer


def _build(cfg: CfgNode, output: Path, logger: logging.Logger, accept: bool) -> Trainer:
    """Builds the run, and brings it to where its newest checkpoint stands, if there is one."""
    if not run_files.checkpoints(output):
        return builders.build_trainer(cfg, logger)
    state, path = run_files.load_newest(output, logger)
    accepted = builders.check_resumable(cfg, state, path, logger, accept)
    trainer = builders.build_trainer(cfg, logger)
    now = {"facts": trainer.facts, "code": trainer.code}
    accepted += builders.check_same_run(now, state, path, logger, accept)
    trainer.resume(path, state)
    otherwise = builders.measured_otherwise(cfg, state, path)
    if otherwise and trainer.best:
        trainer.best = {}  # a mAP of another kind is no measure for those that follow
        if distributed.is_main():
            what = f"chosen under other {', '.join(otherwise)}"
            run_files.move_aside(output / run_files.BEST, what, logger)
    before = state.get("facts", {}).get("changes", [])
    changes = [f"after epoch {trainer.epoch}: {text}" for text in accepted]
    trainer.facts = {**trainer.facts, "changes": [*before, *changes]}
    distributed.check_same(f"the file {path}", trainer.position)
    logger.info(f"resumed {path}: {trainer.position} are done")
    return trainer


def _way_out(output: Path) -> str:
    """Says what to do after a training diverged."""
    again = "lower SOLVER.BASE_LR, set SOLVER.CLIP_NORM or SOLVER.PRECISION fp32"
    if run_files.checkpoints(output):
        return f"{again}, and go on from the last good state with --resume --accept-changes"
    return f"{again}, and start again"


def _how_to_go_on(stop: Stopped, trainer: Trainer, output: Path) -> str:
    if not run_files.checkpoints(output):
        return f"stopped by {stop.name}; nothing was saved yet"
    return (
        f"stopped by {stop.name}: {trainer.position} are saved in {output / run_files.LAST}; go on"
        " with the same command and --resume"
    )


def _say_best(trainer: Trainer, output: Path, logger: logging.Logger) -> None:
    best = trainer.best
    if best:
        logger.info(f"best mAP {best['mAP']:.1%} at epoch {best['epoch']:.0f}, written to {output}")
    else:
        logger.info(f"trained, and never evaluated; written to {output / run_files.LAST}")
