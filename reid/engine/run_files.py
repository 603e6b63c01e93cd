"""The files of a run: which there are, and which of them is the newest whole checkpoint."""

import itertools
import logging
from pathlib import Path
from typing import Any

from torch import nn

from reid.engine import checkpoint as ckpt
from reid.utils.errors import InputError
from reid.utils.memory import as_gib, free_disk

LAST = "last.pth"
BEST = "best.pth"
DIVERGED = "diverged.pth"  # what a training that diverged leaves to be looked at
METRICS = "metrics.jsonl"
CONFIG = "config.yml"
WRITTEN_WHOLE = (LAST, "last.*.pth", BEST, DIVERGED, METRICS, CONFIG)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints that a run can go on from, newest first."""
    last = folder / LAST
    return [path for path in (last, *ckpt.earlier(last)) if path.exists()]


def make_way(folder: Path, resume: bool, logger: logging.Logger) -> None:
    """Sees that a run which begins overwrites nothing of an earlier one.

    Args:
        folder: Folder of the run, which holds no checkpoint to go on from.
        resume: Whether the run was to go on: what is there is then moved aside.
        logger: Logger that is told of what was moved aside.

    Raises:
        InputError: The folder holds the best weights of a run, and ``resume`` is False.
    """
    if (folder / BEST).exists() and not resume:
        raise InputError(
            f"{folder} holds {BEST} of a run, and no {LAST} to go on from; set another OUTPUT_DIR,"
            " move that run elsewhere, or add --resume: what is there is then renamed"
        )
    for name in (BEST, METRICS):
        move_aside(folder / name, f"of a run without {LAST}", logger)


def move_aside(file: Path, what: str, logger: logging.Logger) -> None:
    """Renames a file that would be overwritten, if it is there and not empty.

    Args:
        file: The file.
        what: Which file it is, in words, for the log.
        logger: Logger that is told the new name.
    """
    if file.exists() and file.stat().st_size > 0:
        aside = _free_name(file)
        file.rename(aside)
        logger.warning(f"warning: {file} {what} is now {aside}")


def _free_name(file: Path) -> Path:
    """Returns the first of ``best.1.pth``, ``best.2.pth``, ... that is not taken."""
    numbered = (file.with_name(f"{file.stem}.{n}{file.suffix}") for n in itertools.count(1))
    return next(path for path in numbered if not path.exists())


def check_room(folder: Path, model: nn.Module, keep_last: int, averaged: bool = False) -> None:
    """Checks that the checkpoints of a run fit on the disk.

    Adam keeps two numbers for each weight, so a checkpoint has about three times the bytes of the
    model, and four times with an average of the weights. A new one is written before the oldest is
    removed.

    Args:
        folder: Folder of the run, which exists.
        model: The model.
        keep_last: Number of earlier checkpoints that are kept.
        averaged: Whether checkpoints hold an average of the weights, too.

    Raises:
        InputError: There is too little room.
    """
    weights = sum(value.nbytes for value in model.state_dict().values())
    needed = (2 + keep_last) * (4 if averaged else 3) * weights + weights
    there = [*checkpoints(folder), folder / BEST]
    needed -= sum(path.stat().st_size for path in there if path.exists())
    free = free_disk(folder)
    if needed > free:
        raise InputError(
            f"{folder}: the checkpoints of this run need about {as_gib(needed)} of disk, and"
            f" {as_gib(free)} are free; make room, or set OUTPUT_DIR to another disk"
        )


def load_newest(folder: Path, logger: logging.Logger) -> tuple[dict[str, Any], Path]:
    """Reads the newest checkpoint that is whole.

    Args:
        folder: Folder of the run, which holds a checkpoint.
        logger: Logger that is told which files are damaged.

    Returns:
        The content, and the file that it is from.

    Raises:
        InputError: None of the files is whole; the message is that of the newest.
    """
    first: InputError | None = None
    for path in checkpoints(folder):
        try:
            state = ckpt.load(path)
        except InputError as error:
            first = first or error
            logger.warning(f"warning: {error}; looking for an earlier one")
            continue
        if first is not None:
            logger.warning(
                f"warning: the run goes on from {path}, epoch {state['epoch']}; what was done after"
                " it is done again"
            )
        return state, path
    raise first or InputError(f"{folder} holds no {LAST}")
