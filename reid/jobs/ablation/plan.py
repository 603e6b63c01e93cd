"""The cells of a study: which commands each of them runs, and what decides their results."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from yacs.config import CfgNode

from reid.builders.datasets import load_splits, tested_names
from reid.config import imported_files, leaves, load_cfg, recipe_hash
from reid.config.loading import COMMAND_LINE
from reid.data.fingerprint import names_digest
from reid.data.records import Splits
from reid.jobs.ablation.study import Overrides, Study, Variant, without
from reid.synthetic import Style, folder_name
from reid.utils.code_state import code_state
from reid.utils.errors import InputError, suggest

_DIGITS = 12
# What a test and an attack are asked for besides what their recipe says.
_OF_A_STEP = {
    "train": (),
    "test": ("TEST.RE_RANKING", "TEST.AQE.ENABLED", "TEST.SAVE_FEATURES", "TEST.VERIFICATION"),
    "attack": ("ATTACK.", "TEST.RE_RANKING", "TEST.VERIFICATION"),
}
_NO_RESULT = ("ATTACK.IMS_PER_BATCH",)
# These keys came later:
_LATER = {
    "TEST.VERIFICATION": False,
    "ATTACK.SANITY": False,
}  # studies are older than these keys, and go on as begun

Fingerprint = Callable[[CfgNode], str]  # config -> digest of its images; "" where none are there


@dataclass(frozen=True)
class Step:
    """One command of a cell.

    Attributes:
        name: ``train``, ``test`` or ``attack``.
        arguments: What is typed behind it.
        key: Digest of all that decides its result: recipe, seed, data, what it is asked for.
    """

    name: str
    arguments: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        variant: Name of the variant.
        seed: Training seed.
        data: Seed or split of the data; None where the study names none.
        folder: Folder of the run.
        recipe: From :func:`reid.config.recipe_hash`.
        fingerprint: Digest of the images; "" where they are not there.
        steps: The commands, in their order.
        epochs: Length of its training.
        weight: Name of the file that it tests; "" where another one is named.
    """

    variant: str
    seed: int
    data: int | None
    folder: Path
    recipe: str
    fingerprint: str
    steps: tuple[Step, ...]
    epochs: int
    weight: str

    @property
    def name(self) -> str:
        """The name in a study: ``lfm/seed0/data1``."""
        return cell_name(self.variant, self.seed, self.data)


def cell_name(variant: str, seed: int, data: int | None) -> str:
    """Returns the name of a cell, which is also its path below the folder of the study.

    Args:
        variant: Name of the variant.
        seed: Training seed.
        data: Seed or split of the data, or None.
    """
    return f"{variant}/seed{seed}" + ("" if data is None else f"/data{data}")


def plan(study: Study, fingerprint: Fingerprint) -> list[Cell]:
    """Returns the cells of a study: all variants of a seed before the next seed.

    So a study that is not finished compares all variants.

    Args:
        study: From :func:`reid.jobs.ablation.study_file.read_study`.
        fingerprint: What identifies the images of a config.

    Raises:
        InputError: A config is wrong; names the file, the variant and the command.
    """
    numbers = study.data_seeds or (None,)
    loaded = {
        (variant.name, data): _Loaded(study, variant, data, fingerprint)
        for variant in study.variants
        for data in numbers
    }
    return [
        loaded[variant.name, data].cell(seed)
        for seed in study.seeds
        for data in numbers
        for variant in study.variants
    ]


class _Loaded:
    """A variant on one set of images; its seeds differ in nothing that needs a config."""

    def __init__(
        self, study: Study, variant: Variant, data: int | None, fingerprint: Fingerprint
    ) -> None:
        self.study = study
        self.variant = variant
        self.data = data
        self.pairs = {step: self._pairs(step) for step in study.steps}
        cfgs = {step: self._load(step) for step in study.steps}
        self.cfg = next(iter(cfgs.values()))
        if "train" not in cfgs and not self.cfg.TEST.WEIGHT:
            raise InputError(
                f"{study.file}: RUN trains nothing, and TEST.WEIGHT is empty for variant"
                f" {variant.name}; add train, or name the checkpoint"
            )
        self.recipe = recipe_hash(self.cfg)
        self.fingerprint = fingerprint(self.cfg)
        self.facts = {step: self._facts(step, cfg) for step, cfg in cfgs.items()}

    def cell(self, seed: int) -> Cell:
        folder = self.study.output / cell_name(self.variant.name, seed, self.data)
        weight = f"{self.study.weight}.pth" if "train" in self.study.steps else ""
        steps = tuple(self._step(name, seed, folder, weight) for name in self.study.steps)
        return Cell(
            variant=self.variant.name,
            seed=seed,
            data=self.data,
            folder=folder,
            recipe=self.recipe,
            fingerprint=self.fingerprint,
            steps=steps,
            epochs=self.cfg.SOLVER.MAX_EPOCHS if "train" in self.study.steps else 0,
            weight=weight,
        )

    def _step(self, name: str, seed: int, folder: Path, weight: str) -> Step:
        own = [("SEED", str(seed)), ("OUTPUT_DIR", str(folder))]
        if name != "train" and weight:
            own.append(("TEST.WEIGHT", str(folder / weight)))
        flat = [word for pair in (*self.pairs[name], *own) for word in pair]
        resume = ["--resume"] if name == "train" else []
        arguments = ("--config-file", str(self.variant.base), *resume, *flat)
        tested = "" if name == "train" else self.study.weight
        return Step(name, arguments, _digest([self.facts[name], seed, tested]))

    def _pairs(self, step: str) -> Overrides:
        pairs = self.study.common
        for later in (self.variant.overrides, self.study.steps[step], self.study.typed):
            pairs = without(pairs, later) + later
        if self.data is not None:
            pairs += ((self.study.data_key, str(self.data)),)
        return pairs

    def _load(self, step: str) -> CfgNode:
        flat = [word for pair in self.pairs[step] for word in pair]
        try:
            return load_cfg(self.variant.base, flat)
        except InputError as error:
            problem = str(error).removeprefix(f"{COMMAND_LINE}: ")
            raise InputError(
                f"{self.study.file}: variant {self.variant.name}, {step}: {problem}"
            ) from error

    def _facts(self, step: str, cfg: CfgNode) -> list[object]:
        """Returns what decides the result of a step, but for the seed."""
        trained = self.cfg if "train" in self.study.steps else None
        recipe = recipe_hash(cfg) if step == "train" else recipe_hash(cfg, trained)
        asked = {
            key: value
            for key, value in leaves(cfg)
            if _OF_A_STEP[step]
            and key.startswith(_OF_A_STEP[step])
            and key not in _NO_RESULT
            and _LATER.get(key) is not value
        }
        imports = sorted(code_state(imported_files(cfg.IMPORTS))["imports"].values())
        found: list[object] = [recipe, asked, imports, self.fingerprint]
        return found if trained is not None else [*found, cfg.TEST.WEIGHT]


def _digest(facts: object) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


class DataFingerprints:
    """Digests of the images of configs; each data set is looked at once.

    Args:
        train: Whether the training images count.
        make_missing: Whether synthetic people are drawn where they are not there.
    """

    def __init__(self, train: bool, make_missing: bool) -> None:
        self.train = train
        self.make_missing = make_missing
        self._known: dict[str, str] = {}

    def __call__(self, cfg: CfgNode) -> str:
        """Returns the digest; "" for synthetic people that are not there and are not drawn."""
        counted = ("DATASETS.", "DATALOADER.ON_ERROR")
        facts = {key: value for key, value in leaves(cfg) if key.startswith(counted)}
        key = json.dumps(facts, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._of(cfg)
        return self._known[key]

    def _of(self, cfg: CfgNode) -> str:
        missing = "synthetic" in data_sets(cfg) and not synthetic_folder(cfg).is_dir()
        if missing and not self.make_missing:
            return ""
        splits = load_data(cfg, self.train)
        parts = (splits.train, splits.query, splits.gallery)
        return _digest([names_digest(records) for records in parts])


def load_data(cfg: CfgNode, train: bool) -> Splits:
    """Loads the lists of images of a config, without a word.

    Args:
        cfg: The config.
        train: Whether the training images are needed.

    Raises:
        InputError: A data set is not there.
    """
    silent = logging.getLogger("reid.ablation.data")
    silent.propagate = False
    silent.handlers = [logging.NullHandler()]
    return load_splits(cfg, train, silent)


def data_sets(cfg: CfgNode) -> set[str]:
    """Returns the names of the data sets that a config trains or tests on."""
    return {*cfg.DATASETS.NAMES, *tested_names(cfg)}


def synthetic_folder(cfg: CfgNode) -> Path:
    """Returns where the synthetic people of a config are, or will be."""
    people = cfg.DATASETS.SYNTHETIC
    style = Style(people.COLORS, people.TEST_CAMERAS)
    return Path(cfg.DATASETS.ROOT_DIR) / folder_name(people.PRESET, people.SEED, style)


def chosen(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """Returns the cells that one of the patterns means.

    Args:
        cells: From :func:`plan`.
        patterns: ``VARIANT``, ``VARIANT/SEED`` or ``VARIANT/SEED/DATA``, in which ``*`` and ``?``
            stand for other letters: ``lfm*``, ``*/0``, ``plain/seed1/data0``. None is all.

    Raises:
        InputError: A pattern means no cell.
    """
    for pattern in patterns:
        if not any(_means(pattern, cell) for cell in cells):
            names = sorted({cell.variant for cell in cells})
            mend = suggest(pattern.split("/")[0], names) or f"; variants: {', '.join(names)}"
            raise InputError(f"--only {pattern} means no cell{mend}")
    if not patterns:
        return list(cells)
    return [cell for cell in cells if any(_means(pattern, cell) for pattern in patterns)]


def _means(pattern: str, cell: Cell) -> bool:
    words = pattern.split("/")
    parts = [{cell.variant}, {f"seed{cell.seed}", str(cell.seed)}]
    if cell.data is not None:
        parts.append({f"data{cell.data}", str(cell.data)})
    return len(words) <= len(parts) and all(
        any(fnmatchcase(name, word) for name in names)
        for word, names in zip(words, parts, strict=False)
    )


def by_variant(cells: Sequence[Cell]) -> Mapping[str, list[Cell]]:
    """Returns the cells of each variant, in the order in which they come."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.variant, []).append(cell)
    return found
