"""Cells as jobs of submitit: on SLURM, or on this machine as a trial of that."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reid.config.strict_yaml import parse
from reid.jobs.ablation.cell_job import CellJob
from reid.jobs.ablation.plan import Cell
from reid.utils.errors import InputError, in_one_line
from reid.utils.signals import StopSignals

FOLDER = ".jobs"  # in the folder of the study: what submitit writes
_GLANCE = 2.0  # seconds between two looks at the jobs


def run(
    cells: Sequence[Cell],
    output: Path,
    where: str,
    options: Sequence[str],
    again: Sequence[str],
    logger: logging.Logger,
    jobs: int,
) -> None:
    """Submits a job for each cell, and waits until all have ended.

    SLURM gets all of them at once; how many it runs beside each other is its own affair
    (slurm_array_parallelism).

    Args:
        cells: Cells that are not done.
        output: Folder of the study.
        where: ``slurm`` or ``local``.
        options: Options of the engine, as NAME=VALUE.
        again: What is typed behind ``reid ablate`` to mean this study.
        logger: Logger that gets the numbers and the ends of the jobs.
        jobs: Number of jobs at a time on this machine.

    Raises:
        InputError: submitit or SLURM is not there, or does not take an option.
        Stopped: A signal asked for it; the jobs are cancelled.
    """
    executor = _executor(output / FOLDER, where, options)
    waiting = list(cells)
    running: dict[str, Any] = {}
    with StopSignals() as signals, signals.deferred():
        while (waiting or running) and not signals.signum:
            room = len(waiting) if where == "slurm" else jobs - len(running)
            running |= _submit(executor, waiting[:room], again, logger)
            del waiting[:room]
            time.sleep(_GLANCE)
            for name in [name for name, job in running.items() if job.done()]:
                ended = _end_of(running.pop(name))
                logger.info(f"{name}: {ended}; {len(waiting) + len(running)} cells left")
        for job in running.values():
            job.cancel()
        if running:
            logger.info(f"stopped: {len(running)} jobs are cancelled; the same command goes on")


def _submit(
    executor: Any, cells: Sequence[Cell], again: Sequence[str], logger: logging.Logger
) -> dict[str, Any]:
    """Submits a job for each cell, as one array; returns them by the names of the cells."""
    if not cells:
        return {}
    with executor.batch():
        jobs = [executor.submit(CellJob(["--only", cell.name, *again])) for cell in cells]
    for cell, job in zip(cells, jobs, strict=True):
        logger.info(f"{cell.name} is job {job.job_id}; its words: {job.paths.stdout}")
    return {cell.name: job for cell, job in zip(cells, jobs, strict=True)}


def _end_of(job: Any) -> str:
    """Says how a job ended."""
    try:
        code = job.result()
    except Exception as error:  # whatever the engine makes of a job that has vanished
        return f"job {job.job_id} failed, {in_one_line(error)}; see {job.paths.stderr}"
    return "done" if code == 0 else f"not done (exit code {code}); see {job.paths.stdout}"


def _executor(folder: Path, where: str, options: Sequence[str]) -> Any:
    """Builds the engine."""
    settings = _read(options)
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            f'--on {where} needs submitit; install it: pip install "reid-lfm[slurm]"'
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=where)
        executor.update_parameters(**settings)
    except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f"--on {where}: {in_one_line(error)}") from error
    return executor


def _read(options: Sequence[str]) -> dict[str, Any]:
    """Reads NAME=VALUE; a value is read as in a YAML file."""
    found = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not name or not equals:
            raise InputError(f"--engine {option}: write NAME=VALUE, such as timeout_min=60")
        found[name] = parse(text)
    return found
