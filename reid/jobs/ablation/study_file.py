"""The file of a study, read and checked."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from reid.config import find_config
from reid.config.files import base_file, read_yaml
from reid.config.imports import resolved
from reid.config.strict_yaml import YamlError, parse
from reid.jobs.ablation.questions import read_interactions, read_primary
from reid.jobs.ablation.study import (
    DATA_KEY,
    KEEP,
    STEPS,
    WEIGHTS,
    Overrides,
    Study,
    Variant,
    as_typed,
    flat,
    label,
    short_names,
    shown,
    without,
)
from reid.utils.errors import InputError, suggest

_PRESET_KEYS = ("OUTPUT_DIR", "OVERRIDES", "VARIANTS", "SEEDS", "DATA_SEEDS", "RUN", "KEEP")
_ASKED = ("PRIMARY", "INTERACTIONS")
_STUDY_KEYS = ("_BASE_", "BASELINE", "DATA_KEY", "WEIGHT", "PRESETS", *_ASKED, *_PRESET_KEYS)
_TYPED_KEYS = ("OUTPUT_DIR", "KEEP", "SEEDS", "DATA_SEEDS")  # of a study, not of a config
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_MOST_CELLS = 100_000


def read_study(name: str | Path, preset: str = "", typed: Sequence[str] = ()) -> Study:
    """Reads a study.

    Args:
        name: The file, or the name of a shipped one: ``ablations/lfm_p.yml``.
        preset: One of the file's PRESETS; "" is the whole study.
        typed: ``[KEY, VALUE, ...]`` as typed behind the command. OUTPUT_DIR, KEEP, SEEDS and
            DATA_SEEDS are those of the study, all others go to every cell.

    Raises:
        InputError: Unknown key, wrong type, two variants of one name: names the file, the place in
            it, and the nearest known word.
    """
    file = find_config(name)
    return _Reader(file, dict(read_yaml(file)), preset).study(typed)


class _Reader:
    """Reads one file; every complaint names it."""

    def __init__(self, file: Path, tree: dict[str, Any], preset: str) -> None:
        self.file = file
        self.preset = preset
        self.check_keys(tree, _STUDY_KEYS, "")
        self.tree = tree
        self.small = self._preset(preset)

    def study(self, typed: Sequence[str]) -> Study:
        if len(typed) % 2:
            raise InputError(
                f"command line: KEY VALUE pairs are expected, '{typed[-1]}' has no partner"
            )
        behind = tuple(zip(typed[::2], typed[1::2], strict=True))
        own = {key: _read_typed(key, text) for key, text in behind if key in _TYPED_KEYS}
        self.small = {**self.small, **own}
        every = self._every_variant()
        variants = self._wanted(every)
        names, wanted = ([v.name for v in some] for some in (every, variants))
        baseline = self._word("BASELINE", wanted[0], wanted)
        study = Study(
            file=self.file,
            output=Path(self._output()).expanduser(),
            baseline=baseline,
            variants=tuple(variants),
            common=self._overrides("OVERRIDES"),
            typed=tuple(pair for pair in behind if pair[0] not in _TYPED_KEYS),
            seeds=self._numbers("SEEDS", (0,)),
            data_key=self._text("DATA_KEY", DATA_KEY),
            data_seeds=self._numbers("DATA_SEEDS", ()),
            steps=self._steps(),
            weight=self._word("WEIGHT", "last", WEIGHTS),
            keep=self._word("KEEP", "weights", KEEP),
            interactions=read_interactions(
                self.tree.get("INTERACTIONS"), names, wanted, baseline, self.fail
            ),
            primary=read_primary(self.tree.get("PRIMARY"), names, wanted, baseline, self.fail),
        )
        self._check_own(study)
        return study

    def fail(self, where: str, problem: str) -> InputError:
        place = f" {where}" if where else ""
        return InputError(f"{self.file}:{place} {problem}")

    def check_keys(self, tree: Any, known: Sequence[str], where: str) -> None:
        """Raises InputError unless ``tree`` is a mapping with known keys."""
        if not isinstance(tree, Mapping):
            raise self.fail(where, f"must be KEY: value lines, got {shown(tree)}")
        for key in tree:
            if key not in known:
                mend = suggest(key, known) or f"; known: {', '.join(sorted(known))}"
                raise self.fail(where, f"unknown key {key}{mend}")

    def value(self, key: str) -> Any:
        """Returns what the preset says, or else the study."""
        return self.small[key] if key in self.small else self.tree.get(key)

    def _preset(self, name: str) -> Mapping[str, Any]:
        presets = self.tree.get("PRESETS") or {}
        self.check_keys(presets, list(presets) if isinstance(presets, Mapping) else (), "PRESETS")
        for one, content in presets.items():
            self.check_keys(content, _PRESET_KEYS, f"PRESETS.{one}")
        if not name:
            return {}
        if name not in presets:
            mend = suggest(name, presets) or f"; it has {', '.join(presets) or 'none'}"
            raise InputError(f"{self.file} has no preset '{name}'{mend}")
        found: Mapping[str, Any] = presets[name]
        return found

    def _output(self) -> str:
        if "OUTPUT_DIR" in self.small:
            return self._text("OUTPUT_DIR", "")
        output = self._text("OUTPUT_DIR", f"outputs/ablations/{self.file.stem}")
        return f"{output}_{self.preset}" if self.preset else output

    def _text(self, key: str, default: str) -> str:
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self.fail(key, f"must be text, got {shown(value)}")
        return value

    def _word(self, key: str, default: str, known: Iterable[str]) -> str:
        value = self._text(key, default)
        if value not in known:
            mend = suggest(value, known) or f"; known: {', '.join(known)}"
            raise self.fail(key, f"is '{value}'{mend}")
        return value

    def _numbers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.value(key)
        if value is None:
            return default
        whole = isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
        if not whole or not value or len(set(value)) < len(value):
            wanted = "a list of different whole numbers of at least 0"
            raise self.fail(key, f"must be {wanted}, such as [0, 1, 2], got {shown(value)}")
        return tuple(value)

    def _overrides(self, key: str) -> Overrides:
        """Returns the study's overrides under a key, and those of the preset behind them."""
        own = self._pairs(self.tree.get(key), key)
        more = self._pairs(self.small.get(key), f"PRESETS.{self.preset}.{key}")
        return without(own, more) + more

    def _pairs(self, tree: Any, where: str) -> Overrides:
        if tree is None:
            return ()
        if not isinstance(tree, Mapping):
            raise self.fail(where, f"must be KEY: value lines, got {shown(tree)}")
        return tuple((key, self._typed(key, value)) for key, value in flat(tree))

    def _typed(self, key: str, value: Any) -> str:
        """Returns a value as it is typed behind a command; IMPORTS are relative to the file."""
        if key == "IMPORTS":
            entries = value if isinstance(value, list) else [value]
            value = [resolved(str(entry), self.file.parent) for entry in entries]
        return as_typed(value)

    def _steps(self) -> dict[str, Overrides]:
        run = self.value("RUN")
        if run is None:
            run = ["train", "test"]
        if isinstance(run, list):
            run = dict.fromkeys(map(str, run))
        self.check_keys(run, STEPS, "RUN")
        merged = self.tree.get("RUN") if self.preset else None
        own = merged if isinstance(merged, Mapping) else {}
        found = {}
        for step in (step for step in STEPS if step in run):
            first = self._pairs(own.get(step), f"RUN.{step}")
            last = self._pairs(run[step], f"RUN.{step}")
            found[step] = without(first, last) + last
        if not found:
            raise self.fail("RUN", f"names no command; known: {', '.join(STEPS)}")
        return found

    def _every_variant(self) -> list[Variant]:
        tree = self.tree.get("VARIANTS")
        if not isinstance(tree, Mapping) or not tree:
            raise self.fail("VARIANTS", "must name the variants, a line each, such as `plain: {}`")
        variants = [v for name, content in tree.items() for v in self._variant(name, content)]
        names = [v.name for v in variants]
        for name in names:
            if names.count(name) > 1:
                raise self.fail("VARIANTS", f"has two variants of the name {name}")
        return variants

    def _wanted(self, variants: Sequence[Variant]) -> list[Variant]:
        """Returns the variants that the preset runs."""
        names = [v.name for v in variants]
        wanted = self.small.get("VARIANTS", names)
        if not isinstance(wanted, list) or not wanted:
            where = f"PRESETS.{self.preset}.VARIANTS"
            raise self.fail(where, f"must be a list of variants, got {shown(wanted)}")
        for name in wanted:
            if name not in names:
                mend = suggest(str(name), names) or f"; there are {', '.join(names)}"
                raise self.fail(f"PRESETS.{self.preset}.VARIANTS", f"names '{name}'{mend}")
        return [v for v in variants if v.name in wanted]

    def _variant(self, name: str, content: Any) -> Iterator[Variant]:
        where = f"VARIANTS.{name}"
        if isinstance(content, str):
            content = {"_BASE_": content}
        if content is not None and not isinstance(content, Mapping):
            wanted = "a config's name or KEY: value lines"
            raise self.fail(where, f"must be {wanted}, got {shown(content)}")
        tree = dict(content or {})
        base = self._base(tree.pop("_BASE_", None), where)
        grid = tree.pop("GRID", None)
        own = self._pairs(tree, where)
        for suffix, more in self._grid(grid, f"{where}.GRID"):
            full = "_".join(filter(None, (name, suffix)))
            if not _NAME.fullmatch(full):
                raise self.fail(where, f"cannot name a folder '{full}'; use letters, digits, _.+-")
            yield Variant(full, base, without(own, more) + more)

    def _base(self, own: Any, where: str) -> Path:
        name = self.tree.get("_BASE_") if own is None else own
        where = "_BASE_" if own is None else f"{where}._BASE_"
        if not isinstance(name, str) or not name:
            raise self.fail(where, "must name the config that is varied, such as market_lfm.yml")
        try:
            return find_config(base_file(self.file, name))
        except InputError as error:
            raise self.fail(where, str(error)) from error

    def _grid(self, grid: Any, where: str) -> Iterator[tuple[str, Overrides]]:
        """Yields a suffix of the name and the overrides for every point of a grid."""
        if grid is None:
            yield "", ()
            return
        if not isinstance(grid, Mapping) or not grid:
            raise self.fail(where, f"must be KEY: [value, ...] lines, got {shown(grid)}")
        words = short_names(list(grid))
        axes = [
            [(label, key, value) for label, value in self._axis(key, word, values, where)]
            for (key, values), word in zip(grid.items(), words, strict=True)
        ]
        for point in product(*axes):
            name = "_".join(label for label, _, _ in point)
            yield name, tuple((key, self._typed(key, value)) for _, key, value in point)

    def _axis(self, key: str, word: str, values: Any, where: str) -> list[tuple[str, Any]]:
        """Returns (label, value) of each value of a grid's key."""
        if isinstance(values, Mapping) and values:
            return list(values.items())
        if not isinstance(values, list) or not values:
            wanted = "a list of values, or label: value lines"
            raise self.fail(f"{where}.{key}", f"must be {wanted}, got {shown(values)}")
        return [(f"{word}{label(value)}", value) for value in values]

    def _check_own(self, study: Study) -> None:
        """Raises InputError where an override sets what the study itself sets."""
        owned = {"OUTPUT_DIR": "OUTPUT_DIR", "SEED": "SEEDS"}
        if study.data_seeds:
            owned[study.data_key] = "DATA_SEEDS"
        if "train" in study.steps:
            owned["TEST.WEIGHT"] = "WEIGHT"
        places = {"OVERRIDES": study.common, "command line:": study.typed}
        places |= {f"VARIANTS.{v.name}": v.overrides for v in study.variants}
        places |= {f"RUN.{step}": pairs for step, pairs in study.steps.items()}
        for where, pairs in places.items():
            for key, _ in pairs:
                if key in owned:
                    raise self.fail(where, f"sets {key}, which {owned[key]} of the study sets")
        count = len(study.variants) * len(study.seeds) * max(1, len(study.data_seeds))
        if count > _MOST_CELLS:
            raise self.fail("", f"asks for {count} cells; at most {_MOST_CELLS} are done")


def _read_typed(key: str, text: str) -> Any:
    """Reads the value of a study's key from the command line."""
    if key == "OUTPUT_DIR":
        return text
    try:
        return parse(text)
    except YamlError as error:
        raise InputError(f"command line: {key} {error}") from error
