"""The job of ``reid ablate``: a study from its file to finished cells."""

import logging
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reid.jobs.ablation import cluster
from reid.jobs.ablation.costs import costs
from reid.jobs.ablation.export import misfit, restore, told, write_export
from reid.jobs.ablation.plan import Cell, DataFingerprints, Step, chosen, plan
from reid.jobs.ablation.processes import (
    CellLock,
    Process,
    StepProcess,
    cuda_devices,
    log_of,
    usable_cores,
)
from reid.jobs.ablation.record import (
    CHANGED,
    DONE,
    CellRecord,
    drop_weights,
    move_aside,
    study_threads,
    write_study,
)
from reid.jobs.ablation.scheduler import Scheduler
from reid.jobs.ablation.study import Study
from reid.jobs.ablation.study_file import read_study
from reid.jobs.exported import read_export
from reid.utils.errors import InputError
from reid.utils.logs import get_logger, make_dir
from reid.utils.signals import Stopped, StopSignals


@dataclass(frozen=True)
class Options:
    """How a study is run; nothing here changes which cells there are.

    Attributes:
        only: Patterns of the cells to run; none is all.
        jobs: Number of cells at a time.
        threads: Number of threads of a cell; 0 chooses.
        replace: Move runs of other recipes aside instead of refusing their cells.
        again: What is typed behind ``reid ablate`` to mean the same study.
        where: ``here``, or the engine that runs the cells: ``slurm`` or ``local``.
        engine: Options of the engine.
        known: An exported study, whose cells are not run again; None for none.
    """

    only: Sequence[str] = ()
    jobs: int = 1
    threads: int = 0
    replace: bool = False
    again: Sequence[str] = ()
    where: str = "here"
    engine: Sequence[str] = ()
    known: Path | None = None


def dry_run(
    file: str, preset: str = "", typed: Sequence[str] = (), options: Options | None = None
) -> str:
    """Returns, as a text, the cells of a study, their states and what they cost; runs nothing.

    Args:
        file: The study's file.
        preset: One of its presets, or "".
        typed: ``[KEY, VALUE, ...]`` of the command line.
        options: How it would be run.
    """
    options = options or Options()
    study = read_study(file, preset, typed)
    cells = plan(study, DataFingerprints("train" in study.steps, make_missing=False))
    threads = options.threads or choose_threads(study.output, options.jobs)
    wanted = chosen(cells, options.only)
    if options.known is None:
        return costs(study, wanted, options.jobs, threads)
    known = read_export(options.known)
    rest = [cell for cell in wanted if misfit(known.cells.get(cell.name, {}), cell)]
    taken = told(known, wanted)
    return f"{taken}\n{costs(study, rest, options.jobs, threads)}" if rest else taken


def export(file: str, preset: str, typed: Sequence[str], target: Path) -> tuple[int, int]:
    """Writes the finished cells of a study to a file; runs nothing.

    Args:
        file: The study's file.
        preset: One of its presets, or "".
        typed: ``[KEY, VALUE, ...]`` of the command line.
        target: The file; cells of the study that it has and that are not done here stay in it.

    Returns:
        The number of cells that it holds, and of cells of the study.
    """
    study = read_study(file, preset, typed)
    cells = plan(study, DataFingerprints("train" in study.steps, make_missing=True))
    return write_export(target, study, cells), len(cells)


def ablate(
    file: str, preset: str = "", typed: Sequence[str] = (), options: Options | None = None
) -> bool:
    """Runs every cell of a study that is not done; returns whether all of them are done then.

    Args:
        file: The study's file.
        preset: One of its presets, or "".
        typed: ``[KEY, VALUE, ...]`` of the command line.
        options: How it is run.

    Raises:
        InputError: The file is wrong, or a cell's folder holds the run of another recipe.
        Stopped: A signal asked for it; each cell ended where it loses nothing.
    """
    options = options or Options()
    study = read_study(file, preset, typed)
    trains = "train" in study.steps
    # A wrong setting or name is told before synthetic people are drawn, which takes a while.
    chosen(plan(study, DataFingerprints(trains, make_missing=False)), options.only)
    cells = plan(study, DataFingerprints(trains, make_missing=True))
    wanted = chosen(cells, options.only)
    make_dir(study.output)
    logger = get_logger(study.output, "ablate")
    threads = options.threads or choose_threads(study.output, options.jobs)
    clear_way(study, wanted, options.replace, logger)
    if options.known is not None:
        known = read_export(options.known)
        restore(known, wanted)
        logger.info(told(known, wanted))
    done = sum(CellRecord(cell).state() == DONE for cell in wanted)
    logger.info(
        f"{study.file}: {len(wanted)} cells, {done} of them done; {options.jobs} at a time with"
        f" {threads} threads each, in {study.output}"
    )
    _warn_of_threads(wanted, threads, logger)
    study_of = _Study(study, cells, wanted, threads, logger)
    study_of.note()
    if options.where != "here":
        cluster.run(
            study_of.undone(), study.output, options.where, options.engine,
            [*options.again, "--threads", str(threads)], logger, options.jobs,
        )  # fmt: skip
        return study_of.end(())
    return study_of.run_here(options)


class _Study:
    """A study that runs."""

    def __init__(
        self,
        study: Study,
        cells: Sequence[Cell],
        wanted: Sequence[Cell],
        threads: int,
        logger: logging.Logger,
    ) -> None:
        self.study = study
        self.cells = cells
        self.wanted = wanted
        self.threads = threads
        self.logger = logger
        self.devices = cuda_devices()

    def note(self) -> Counter[str]:
        """Brings study.json up to date."""
        return write_study(self.study, self.cells, self.threads)

    def undone(self) -> list[Cell]:
        return [cell for cell in self.wanted if CellRecord(cell).state() != DONE]

    def run_here(self, options: Options) -> bool:
        """Runs the cells as processes of this machine."""
        with StopSignals() as signals:
            scheduler = Scheduler(
                self.undone(),
                options.jobs,
                self.threads,
                self.start,
                self.logger.info,
                self.note,
                signals,
                done=self.finish,
            )
            before = len(self.wanted) - scheduler.total  # are done already, and count as well
            scheduler.finished += before
            scheduler.total += before
            try:
                with signals.deferred():
                    scheduler.run()
            except Stopped:
                done = sum(CellRecord(cell).state() == DONE for cell in self.wanted)
                self.logger.info(
                    f"stopped: {done} of {len(self.wanted)} cells are done; go on with:"
                    f" reid ablate {shlex.join(options.again)}"
                )
                raise
        return self.end([f"{cell.name} {line}" for cell, line in scheduler.failed])

    def start(self, cell: Cell, step: Step, place: int, lock: CellLock) -> Process:
        """Starts a step; with several GPUs, each place has its own."""
        device = self.devices[place % len(self.devices)] if len(self.devices) > 1 else None
        return StepProcess(step, log_of(cell, step), self.threads, lock.handles, device)

    def finish(self, cell: Cell) -> None:
        """Drops what is not kept of a cell that is done."""
        if self.study.keep == "results":
            drop_weights(cell)

    def end(self, failed: Sequence[str]) -> bool:
        """Says what became of the cells; returns whether all are done."""
        for cell in self.wanted:
            if CellRecord(cell).state() == DONE:
                self.finish(cell)
        self.note()
        undone = self.undone()
        for line in failed:
            self.logger.error(f"failed: {line}")
        done = len(self.wanted) - len(undone)
        self.logger.info(
            f"{done} of {len(self.wanted)} cells are done; `reid results {self.study.output}` shows"
            " them"
        )
        return not undone


def choose_threads(output: Path, jobs: int) -> int:
    """Returns the number of threads of a cell: that which the study began with, or its share.

    The bits of a run depend on it, so that it belongs to the study.

    Args:
        output: Folder of the study.
        jobs: Number of cells at a time.
    """
    typed = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, usable_cores() // jobs)
    limit = int(typed) if typed.isdigit() and int(typed) else share
    return study_threads(output) or min(share, limit)


def clear_way(study: Study, cells: Sequence[Cell], replace: bool, logger: logging.Logger) -> None:
    """Moves runs of other recipes aside.

    Args:
        study: The study.
        cells: The cells that are to be run.
        replace: Whether runs may be moved.
        logger: Logger that is told of them.

    Raises:
        InputError: They may not, or another process writes to one.
    """
    changed = [cell for cell in cells if CellRecord(cell).state() == CHANGED]
    if changed and not replace:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{changed[0].folder}{more} holds a run of another recipe or of other images than"
            f" {study.file} asks for; add --replace to move it to {study.output / '.replaced'}, or"
            " set another OUTPUT_DIR"
        )
    for cell in changed:
        lock = CellLock(cell)
        if not lock.acquire():
            raise InputError(f"{cell.folder} is being written by another process; wait for it")
        lock.release()
        aside = move_aside(cell, study.output)
        logger.info(f"{cell.folder} was of another recipe, and is now {aside}")


def _warn_of_threads(cells: Sequence[Cell], threads: int, logger: logging.Logger) -> None:
    """Says that numbers of threads are mixed."""
    others = Counter(
        entry["threads"]
        for cell in cells
        for entry in CellRecord(cell).steps.values()
        if entry.get("threads") not in (None, threads)
    )
    for other, count in sorted(others.items()):
        logger.warning(
            f"warning: {count} steps so far had {other} threads, now a cell has {threads}: another"
            f" number rounds otherwise; --threads {other} goes on as before"
        )
