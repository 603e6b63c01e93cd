"""What a study costs before it runs: cells, images, hours, disk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders import attack as build_attack
from reid.builders.common import build_device
from reid.builders.model import build_criterion
from reid.config import load_cfg
from reid.jobs.ablation.forecast import Forecast, clock
from reid.jobs.ablation.plan import Cell, Step, by_variant, data_sets, load_data, synthetic_folder
from reid.jobs.ablation.record import DONE, CellRecord
from reid.jobs.ablation.study import Study
from reid.synthetic.presets import PRESETS
from reid.utils.environment import choose_precision
from reid.utils.memory import as_gib, free_disk

_START = 6.0  # seconds until a command has loaded torch, the data and the model
_ROUNDS = 2  # timed steps, behind one that is not timed
_REST = 2 << 20  # bytes of a run without its weights: logs, curves, rankings


@dataclass(frozen=True)
class Counts:
    """Numbers of images.

    Attributes:
        train: For training.
        ids: Identities among them.
        query: Queries.
        gallery: Gallery images.
    """

    train: int
    ids: int
    query: int
    gallery: int


@dataclass(frozen=True)
class Speed:
    """Seconds for one image, and bytes of the model.

    Attributes:
        train: In a training step.
        embed: For its feature.
        attack: For a gradient with respect to its pixels.
        weights: Bytes of the model.
    """

    train: float
    embed: float
    attack: float
    weights: int


def costs(study: Study, cells: Sequence[Cell], jobs: int, threads: int) -> str:
    """Returns the cells of a study, their states and their cost, as a text.

    Steps whose like has ended take what that took. For the others a few training steps, features
    and gradients of each variant are timed, on random images.

    Args:
        study: The study.
        cells: The cells that are asked for.
        jobs: Number of cells at a time.
        threads: Number of threads of a cell.
    """
    forecast = Forecast(cells)
    rows: list[tuple[str, int, int, str, str]] = []
    seconds, disk, measured = 0.0, 0, False
    for variant, group in by_variant(cells).items():
        states = [CellRecord(cell).state() for cell in group]
        undone = [c for c, state in zip(group, states, strict=True) if state != DONE]
        guess = _Guess(group[0], threads)
        spent = [sum(_seconds(forecast, guess, c, s) for s in CellRecord(c).missing())
                 for c in undone]  # fmt: skip
        measured = measured or guess.used
        seconds += sum(spent)
        disk = max([disk, *(_size(c.folder) for c in group if c not in undone)])
        disk = max(disk, guess.disk(study.keep) if guess.used else 0)
        each = clock(sum(spent) / len(spent)) if spent else ""
        images = sum(guess.images(cell) for cell in undone)
        rows.append((variant, len(group), states.count(DONE), f"{images:,}", each))
    cells_left = sum(row[1] - row[2] for row in rows)
    source = "measured on random images just now" if measured else "of cells that are done"
    table = tabulate(
        rows,
        ("variant", "cells", "done", "training images", "time a cell"),
        colalign=("left", "right", "right", "right", "right"),
    )
    return "\n".join(
        [
            f"{study.file}: {len(cells)} cells, {len(cells) - cells_left} of them done;"
            f" each runs {', '.join(study.steps)}",
            "",
            table,
            "",
            f"about {clock(seconds / jobs)} for {cells_left} cells, {jobs} at a time with"
            f" {threads} threads each; times are {source}",
            f"about {as_gib(disk * cells_left)} of disk (KEEP {study.keep}),"
            f" {_free(study.output)} are free",
        ]
    )


def _seconds(forecast: Forecast, guess: "_Guess", cell: Cell, step: Step) -> float:
    known = forecast.of(cell, step.name)
    return guess.seconds(step) if known is None else known


class _Guess:
    """The cost of a variant by its config; its speed is measured when it is first needed."""

    def __init__(self, cell: Cell, threads: int) -> None:
        self.cell = cell
        self.threads = threads
        self.used = False
        self.cfgs = {step.name: _config(step) for step in cell.steps}
        self.cfg = next(iter(self.cfgs.values()))
        self.counts = count_images(self.cfg)
        self._speed: Speed | None = None

    @property
    def speed(self) -> Speed:
        if self._speed is None:
            self._speed = measure(self.cfg, self.counts.ids, self.threads)
        return self._speed

    def disk(self, keep: str) -> int:
        """Returns the bytes of a finished cell: last.pth, the one before it, and best.pth."""
        return _REST + (7 * self.speed.weights if keep == "weights" else 0)

    def images(self, cell: Cell) -> int:
        """Returns the number of images that a training sees."""
        return self.counts.train * cell.epochs

    def seconds(self, step: Step) -> float:
        self.used = True
        cfg = self.cfgs[step.name]
        images = self.counts.query + self.counts.gallery
        embed = images * self.speed.embed * (2 if cfg.TEST.FLIP else 1)
        if step.name == "train":
            s = cfg.SOLVER
            times = 0 if s.EVAL_PERIOD < 0 else 1
            if s.EVAL_PERIOD > 0:
                times = -(-s.MAX_EPOCHS // s.EVAL_PERIOD)
            return _START + self.images(self.cell) * self.speed.train + times * embed
        if step.name == "test":
            return _START + embed
        queries = min(cfg.ATTACK.NUM_QUERIES or self.counts.query, self.counts.query)
        gradients, features = attack_passes(cfg)
        spent = gradients * self.speed.attack + features * self.speed.embed
        return _START + embed + queries * spent


def _config(step: Step) -> CfgNode:
    words = [word for word in step.arguments if word != "--resume"]
    return load_cfg(words[1], words[2:])


def count_images(cfg: CfgNode) -> Counts:
    """Returns the numbers of images of a config; synthetic people need not be drawn for it."""
    if data_sets(cfg) == {"synthetic"} and not synthetic_folder(cfg).is_dir():
        preset = PRESETS[cfg.DATASETS.SYNTHETIC.PRESET]
        return Counts(preset.train, preset.train_ids, preset.query, preset.gallery)
    splits = load_data(cfg, train=True)
    ids = len({record.pid for record in splits.train})
    return Counts(len(splits.train), ids, len(splits.query), len(splits.gallery))


def attack_passes(cfg: CfgNode) -> tuple[float, float]:
    """Returns the gradients and the features that each attacked query costs.

    Args:
        cfg: The config, whose ATTACK section counts.
    """
    attacks = build_attack.build_attacks(cfg)
    methods = [one.method for one in attacks]
    methods += [one.method for _, one in build_attack.build_step_curve(cfg, attacks)]
    gradients, features = 0.0, 0.0
    for method in methods:
        passes = getattr(method, "steps", 1) * getattr(method, "restarts", 1)
        if method.uses_gradient:
            gradients += passes
        else:
            features += getattr(method, "queries", 1)
        features += 1
    gradients *= cfg.ATTACK.EOT
    features += len(build_attack.corruption_names(cfg)) * len(cfg.ATTACK.SEVERITIES)
    return gradients, features


def measure(cfg: CfgNode, ids: int, threads: int) -> Speed:
    """Times training steps, features and gradients of a config's model on random images.

    Args:
        cfg: The config.
        ids: Number of training identities.
        threads: Number of threads that it computes with.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _measure(cfg, ids)
    finally:
        torch.set_num_threads(before)


def _measure(cfg: CfgNode, ids: int) -> Speed:
    device = build_device(cfg)
    model: Any = builders.build_model(cfg, ids, pretrained=False)
    model.reseed(0)
    perturb = builders.build_perturb(cfg, model)
    criterion = build_criterion(cfg, ids, model.feat_dim)
    precision = choose_precision(cfg.SOLVER.PRECISION, device)
    count = cfg.SOLVER.IMS_PER_BATCH
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, *cfg.INPUT.SIZE_TRAIN, generator=rng).to(device)
    labels = (torch.arange(count) // cfg.DATALOADER.NUM_INSTANCES % ids).to(device)

    def train() -> None:
        model.train()
        seen = images if perturb is None else perturb(images, 0)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            output = model(seen)
        criterion(output, labels)["total"].backward()
        model.zero_grad(set_to_none=True)

    embed = builders.build_embedding(cfg, model)

    def features() -> None:
        model.eval()
        with torch.no_grad():
            embed(images)

    def gradient() -> None:
        model.eval()
        asked = images.clone().requires_grad_()
        torch.autograd.grad(embed(asked).square().sum(), asked)

    train_seconds = _timed(train, device) / count
    model.requires_grad_(False)
    return Speed(
        train=train_seconds,
        embed=_timed(features, device) / count,
        attack=_timed(gradient, device) / count,
        weights=sum(value.nbytes for value in model.state_dict().values()),
    )


def _timed(work: Callable[[], None], device: torch.device) -> float:
    """Returns the seconds of one call, behind a first one that is not timed."""
    work()
    _wait(device)
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        work()
    _wait(device)
    return (time.perf_counter() - began) / _ROUNDS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _size(folder: Path) -> int:
    """Returns the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _free(folder: Path) -> str:
    """Returns the free bytes of the disk that a folder is on, or will be."""
    places = (folder, *folder.absolute().parents)
    return as_gib(free_disk(next(path for path in places if path.exists())))
