"""Runs cells beside each other, a step after the other in each, until all are done."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from reid.jobs.ablation.forecast import Forecast, Running, clock, epochs_done
from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.ablation.processes import CellLock, Process, log_of, why_failed
from reid.jobs.ablation.record import CellRecord

_GLANCE = 0.2  # seconds between two looks at the processes
_RETRY = 2.0  # seconds until a cell that another process has is tried again
_REPORT = 60.0  # seconds between two lines on what runs

Start = Callable[[Cell, Step, int, CellLock], Process]  # the int is the place, 0 ... jobs - 1


class StopRequest(Protocol):
    """Says whether somebody asked to stop."""

    signum: int | None


@dataclass
class _Job:
    """A cell that runs."""

    cell: Cell
    lock: CellLock
    record: CellRecord
    steps: list[Step]
    place: int
    process: Process | None = None
    began: float = 0.0
    epochs: int = 0  # that its training had done when it began


class Scheduler:
    """Runs cells.

    A cell that another process has is waited for, and run if that process leaves it undone.

    Args:
        cells: The cells to run, in their order.
        jobs: Number of cells at a time.
        threads: Number of threads of a cell.
        start: Starts a step.
        say: Gets the lines of the log.
        changed: Called after each change of a cell's state.
        stop: Whether to stop.
        sleep: Waits so many seconds.
        done: Called with a cell whose steps are all done, while it is still locked.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        jobs: int,
        threads: int,
        start: Start,
        say: Callable[[str], object],
        changed: Callable[[], object],
        stop: StopRequest,
        sleep: Callable[[float], object] = time.sleep,
        done: Callable[[Cell], object] = lambda cell: None,
    ) -> None:
        self.jobs = jobs
        self.threads = threads
        self.start = start
        self.say = say
        self.changed = changed
        self.stop = stop
        self.sleep = sleep
        self.done = done
        self.total = len(cells)
        self.queue = list(cells)
        self.running: list[_Job] = []
        self.elsewhere: dict[str, float] = {}  # cell -> when to try it again
        self.finished = 0
        self.failed: list[tuple[Cell, str]] = []
        self.stopping = False
        self.forecast = Forecast(cells)

    def run(self) -> None:
        """Runs all cells, or until it is asked to stop: then each step ends where it can."""
        reported = time.monotonic()
        try:
            while self.running or (self.queue and not self.stop.signum):
                self._heed_stop()
                self._fill()
                for job in list(self.running):
                    self._look_at(job)
                if time.monotonic() - reported >= _REPORT:
                    reported = time.monotonic()
                    self._report()
                if self.running or self.queue:
                    self.sleep(_GLANCE)
        finally:
            for job in self.running:  # only if the loop ended by an error or a third Ctrl-C
                if job.process is not None:
                    job.process.kill()
                job.lock.release()

    def _heed_stop(self) -> None:
        if self.stop.signum and not self.stopping:
            self.stopping = True
            self.say(f"stopping: {len(self.running)} cells end at their next safe point")
            for job in self.running:
                if job.process is not None:
                    job.process.interrupt()

    def _fill(self) -> None:
        """Begins cells in the places that are free."""
        now = time.monotonic()
        for cell in list(self.queue):
            if len(self.running) >= self.jobs or self.stop.signum:
                return
            if self.elsewhere.get(cell.name, 0.0) > now:
                continue
            lock = CellLock(cell)
            if not lock.acquire():
                if cell.name not in self.elsewhere:
                    self.say(f"{cell.name} is run by another process; waiting for it")
                self.elsewhere[cell.name] = now + _RETRY
                continue
            self.queue.remove(cell)
            record = CellRecord(cell)  # as the process that had it before left it
            free = set(range(self.jobs)) - {job.place for job in self.running}
            job = _Job(cell, lock, record, record.missing(), min(free))
            self.running.append(job)
            self._next_step(job)

    def _next_step(self, job: _Job) -> None:
        """Begins the next step of a cell, or ends the cell."""
        if not job.steps:
            self.finished += 1
            self.done(job.cell)
            self._leave(job)
            return
        step = job.steps[0]
        job.record.begin(step, self.threads)
        job.began = time.monotonic()
        job.epochs = epochs_done(job.cell)
        job.process = self.start(job.cell, step, job.place, job.lock)
        self.changed()

    def _look_at(self, job: _Job) -> None:
        code = job.process.poll() if job.process is not None else None
        if code is None:
            return
        step, seconds = job.steps[0], time.monotonic() - job.began
        job.process = None
        if code == 0:
            job.steps.pop(0)
            job.record.end(step, seconds)
            self.forecast.learn(job.cell, step.name, job.record.steps[step.name]["spent"])
            self._say_done(job, step, seconds)
            if self.stopping and job.steps:
                self._leave(job)
            else:
                self._next_step(job)
            return
        if self.stopping:
            job.record.stop(step, seconds)
        else:
            self._fail(job, step, seconds, code)
        self._leave(job)

    def _fail(self, job: _Job, step: Step, seconds: float, code: int) -> None:
        log = log_of(job.cell, step)
        error = why_failed(code, log)
        job.record.stop(step, seconds, {"error": error, "log": log.name, "code": code})
        line = f"{step.name}: {error}; see {log}"
        self.failed.append((job.cell, line))
        self.say(f"{job.cell.name} FAILED, {line}")

    def _leave(self, job: _Job) -> None:
        self.running.remove(job)
        job.lock.release()
        self.changed()

    def _say_done(self, job: _Job, step: Step, seconds: float) -> None:
        behind = len(job.steps)
        ended = self.finished + (not behind)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        self.say(
            f"{job.cell.name} {step.name} done in {clock(seconds)};"
            f" {ended} of {self.total} cells are done{failed}{self._rest(exclude=job)}"
        )

    def _report(self) -> None:
        if not self.running:
            return
        lines = [self._of_job(job) for job in self.running]
        self.say(
            f"running: {', '.join(lines)}; {self.finished} of {self.total} cells are done"
            f"{self._rest()}"
        )

    def _of_job(self, job: _Job) -> str:
        step = job.steps[0]
        epoch = f" epoch {epochs_done(job.cell)}/{job.cell.epochs}" if step.name == "train" else ""
        return f"{job.cell.name} {step.name}{epoch} {clock(time.monotonic() - job.began)}"

    def _rest(self, exclude: _Job | None = None) -> str:
        """Says when everything will be done, as far as that is known."""
        now = time.monotonic()
        running = [self._running(job, now) for job in self.running if job is not exclude]
        waiting = list(self._waiting(exclude))
        if not running and not waiting:
            return ""
        found = self.forecast.remaining(waiting, running, self.jobs)
        if found is None:
            return ""
        seconds, more = found
        end = time.strftime("%a %H:%M", time.localtime(time.time() + seconds))
        return f"; {'at least' if more else 'about'} {clock(seconds)} left, until {end}"

    def _running(self, job: _Job, now: float) -> Running:
        step, share = job.steps[0], None
        if step.name == "train" and job.cell.epochs > job.epochs:
            share = (epochs_done(job.cell) - job.epochs) / (job.cell.epochs - job.epochs)
        return Running(job.cell, step, now - job.began, share)

    def _waiting(self, current: _Job | None) -> Iterator[tuple[Cell, Step]]:
        for job in self.running:
            first = 0 if job is current else 1  # the step at hand runs, or is next
            yield from ((job.cell, step) for step in job.steps[first:])
        for cell in self.queue:
            yield from ((cell, step) for step in CellRecord(cell).missing())
