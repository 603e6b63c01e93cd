"""Studies for tests: files, cells without configs, and processes that only pretend."""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from fabricated import scores, write_attacked, write_tested

from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.ablation.processes import CellLock
from reid.jobs.ablation.record import CellRecord, write_study
from reid.jobs.ablation.scheduler import Scheduler
from reid.jobs.ablation.study import Study, Variant

STUDY = {
    "_BASE_": "synthetic_baseline.yml",
    "VARIANTS": {"plain": {}, "lfm": {"MODEL.REGULARIZER.NAME": "lfm"}},
    "SEEDS": [0, 1],
}


def write(folder: Path, **changes: object) -> Path:
    """Writes a study of two variants and two seeds, with changed keys; None leaves one out."""
    tree = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def cells(folder: Path, *names: str, steps: str = "train test", key: str = "k") -> list[Cell]:
    """Cells that need no config."""
    return [
        Cell(
            variant=name,
            seed=0,
            data=None,
            folder=folder / name / "seed0",
            recipe=f"r-{name}",
            fingerprint="f",
            steps=tuple(Step(step, (), f"{key}-{step}") for step in steps.split()),
            epochs=3,
            weight="last.pth",
        )
        for name in names
    ]


def study(folder: Path, cells: list[Cell]) -> Study:
    """The study of such cells."""
    variants = tuple(Variant(cell.variant, Path("base.yml"), ()) for cell in cells)
    names = {"baseline": cells[0].variant, "data_key": "", "weight": "last", "keep": "weights"}
    return Study(
        file=folder / "s.yml", output=folder, variants=variants, common=(), typed=(), seeds=(0,),
        data_seeds=(), steps={}, **names,
    )  # fmt: skip


def finished(folder: Path, levels: Mapping[str, float], seeds: int = 3) -> list[Cell]:
    """Cells of a study, about so good, that were tested, re-ranked and attacked."""
    cells = []
    for name, level in levels.items():
        for seed in range(seeds):
            number = 10 * seed + len(name) + ord(name[0])
            out = folder / name / f"seed{seed}"
            write_tested(out, scores(level, number), seed, scores(level / 2, number + 50))
            aps = {("clean", "clean", 0.0): scores(level, number)}
            aps |= {("attack", "x", eps): scores(0.1, number + 90) for eps in (2.0, 4.0)}
            write_attacked(out, aps, seed, command="reid attack --to /home/me", seconds=1 / 3)
            steps = tuple(Step(step, (), f"k-{step}") for step in ("test", "attack"))
            cell = Cell(name, seed, None, out, f"r-{name}", "f", steps, 0, "")
            record = CellRecord(cell)
            for step in steps:
                record.begin(step, 1)
                record.end(step, 2.5)
            cells.append(cell)
    return cells


class Stop:
    """Nobody asks to stop, until a test does."""

    signum: int | None = None


class Pretended:
    """A step that ends at the given look with a code; a training leaves weights."""

    def __init__(self, cell: Cell, step: Step, code: int = 0, looks: int = 2) -> None:
        self.cell = cell
        self.step = step
        self.code = code
        self.looks = looks
        self.ended: list[str] = []

    def poll(self) -> int | None:
        self.looks -= 1
        if self.looks > 0:
            return None
        if self.code == 0 and self.step.name == "train":
            (self.cell.folder / "last.pth").write_text("weights")
        return self.code

    def interrupt(self) -> None:
        self.ended.append("interrupt")
        self.code, self.looks = 130, 1

    def kill(self) -> None:
        self.ended.append("kill")


class Runs:
    """Runs cells with pretended processes, and keeps what happened."""

    def __init__(self, cells: list[Cell], jobs: int = 1) -> None:
        self.cells = cells
        self.jobs = jobs
        self.stop = Stop()
        self.started: list[str] = []
        self.most = 0
        self.alive: list[Pretended] = []
        self.said: list[str] = []
        self.codes: dict[str, int] = {}
        self.at: dict[str, Callable[[], object]] = {}  # what happens when a step starts
        self.scheduler: Scheduler | None = None

    def start(self, cell: Cell, step: Step, place: int, lock: CellLock) -> Pretended:
        name = f"{cell.variant}:{step.name}"
        self.started.append(name)
        process = Pretended(cell, step, self.codes.get(name, 0))
        self.alive = [one for one in self.alive if one.looks > 0] + [process]
        self.most = max(self.most, len(self.alive))
        self.at.get(name, lambda: None)()
        return process

    def run(self) -> Scheduler:
        undone = [cell for cell in self.cells if CellRecord(cell).state() != "done"]
        self.scheduler = Scheduler(
            undone, self.jobs, 1, self.start, self.said.append, lambda: None, self.stop,
            sleep=lambda seconds: None,
        )  # fmt: skip
        self.scheduler.run()
        return self.scheduler

    def states(self) -> dict[str, str]:
        return {cell.variant: CellRecord(cell).state() for cell in self.cells}


def states_in_file(folder: Path, cells: list[Cell]) -> dict[str, int]:
    return dict(write_study(study(folder, cells), cells, 1))
