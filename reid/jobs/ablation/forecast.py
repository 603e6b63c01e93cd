"""How long the rest of a study takes, from what its steps took so far."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.ablation.record import DONE, CellRecord
from reid.utils.jsonfile import last_json_line

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Running:
    """A step that runs.

    Attributes:
        cell: Its cell.
        step: The step.
        seconds: How long it has run.
        share: Share of the work that was done in this time; None where that is not known.
    """

    cell: Cell
    step: Step
    seconds: float
    share: float | None = None


class Forecast:
    """Seconds of the steps of a study.

    A step is expected to take what it took for other cells of its variant, or else for all.

    Args:
        cells: Cells whose records are read.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._known: dict[tuple[str, str], list[float]] = {}
        for cell in cells:
            for name, entry in CellRecord(cell).steps.items():
                if isinstance(entry, dict) and entry.get("state") == DONE:
                    self.learn(cell, name, float(entry.get("spent", 0.0)))

    def learn(self, cell: Cell, step: str, seconds: float) -> None:
        """Takes note of a finished step.

        Args:
            cell: Its cell.
            step: Its name.
            seconds: How long it took.
        """
        self._known.setdefault((cell.variant, step), []).append(seconds)

    def of(self, cell: Cell, step: str) -> float | None:
        """Returns the expected seconds of a step; None where no such step has ended.

        Args:
            cell: Its cell.
            step: Its name.
        """
        own = self._known.get((cell.variant, step))
        if own:
            return statistics.fmean(own)
        others = [statistics.fmean(v) for (_, name), v in self._known.items() if name == step]
        return statistics.fmean(others) if others else None

    def remaining(
        self, waiting: Iterable[tuple[Cell, Step]], running: Sequence[Running], jobs: int
    ) -> tuple[float, bool] | None:
        """Returns the seconds until everything is done, and whether some steps are not in them.

        Args:
            waiting: Steps that have not begun.
            running: Steps that run.
            jobs: Number of cells at a time.

        Returns:
            None where nothing is known yet.
        """
        guessed = self._guesses(running)
        now = [self._left(one, guessed) for one in running]
        later = [
            guessed.get(step.name) if (known := self.of(cell, step.name)) is None else known
            for cell, step in waiting
        ]
        seconds = [value for value in (*now, *later) if value is not None]
        if not seconds and (now or later):
            return None
        longest = max((value for value in now if value is not None), default=0.0)
        total = max(sum(seconds) / max(1, jobs), longest)
        return total, len(seconds) < len(now) + len(later)

    def _left(self, one: Running, guessed: dict[str, float]) -> float | None:
        if one.share:
            return one.seconds * (1 - one.share) / one.share
        expected = self.of(one.cell, one.step.name) or guessed.get(one.step.name)
        return None if expected is None else max(0.0, expected - one.seconds)

    def _guesses(self, running: Sequence[Running]) -> dict[str, float]:
        """Returns the seconds of steps of which none has ended, judged by those that run."""
        found: dict[str, list[float]] = {}
        for one in running:
            if one.share:
                found.setdefault(one.step.name, []).append(one.seconds / one.share)
        return {name: statistics.fmean(values) for name, values in found.items()}


def epochs_done(cell: Cell) -> int:
    """Returns the number of epochs that the training of a cell has finished."""
    row = last_json_line(cell.folder / METRICS)
    epoch = row.get("epoch", 0)
    return epoch if isinstance(epoch, int) else 0


def clock(seconds: float) -> str:
    """Returns a time as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
