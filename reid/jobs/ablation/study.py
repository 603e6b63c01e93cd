"""What a study is, and how the values of its file are written and named."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.jobs.comparing.question import Primary

STEPS = ("train", "test", "attack")
KEEP = ("weights", "results")
WEIGHTS = ("last", "best")
DATA_KEY = "DATASETS.SYNTHETIC.SEED"

Overrides = tuple[tuple[str, str], ...]  # (key, value as it is typed behind a command)


@dataclass(frozen=True)
class Variant:
    """One of the configs that are compared.

    Attributes:
        name: What it is called; its folder has the same name.
        base: The config file that it starts from.
        overrides: What it changes.
    """

    name: str
    base: Path
    overrides: Overrides


@dataclass(frozen=True)
class Study:
    """What a study's file says, with a preset and the command line.

    Attributes:
        file: The file.
        output: Folder of the study.
        baseline: Name of the variant that the others are compared with.
        variants: The variants.
        common: Overrides of all variants, which a variant may override again.
        typed: Overrides of the command line, which go before all others.
        seeds: Training seeds.
        data_key: The config key that each of ``data_seeds`` is put into.
        data_seeds: Seeds, or numbers of splits, of the data; empty leaves the key alone.
        steps: Overrides of each command that a cell runs, in their order.
        weight: Which weights are tested and attacked: ``last`` or ``best``.
        keep: What is kept of a finished cell: ``weights``, or only ``results``.
        interactions: Names of variants (and of a ranking) whose interactions are asked for.
        primary: The comparisons that the study is made for, if its file names some.
    """

    file: Path
    output: Path
    baseline: str
    variants: tuple[Variant, ...]
    common: Overrides
    typed: Overrides
    seeds: tuple[int, ...]
    data_key: str
    data_seeds: tuple[int, ...]
    steps: Mapping[str, Overrides]
    weight: str
    keep: str
    interactions: tuple[tuple[str, ...], ...] = ()
    primary: tuple[Primary, ...] = ()


def without(pairs: Overrides, later: Overrides) -> Overrides:
    """Returns the overrides that no later one replaces.

    Args:
        pairs: Overrides.
        later: Overrides that go before them.
    """
    keys = {key for key, _ in later}
    return tuple(pair for pair in pairs if pair[0] not in keys)


def as_typed(value: Any) -> str:
    """Returns a value of a YAML file as it is typed behind a command.

    Args:
        value: Text, a number, a truth value, None, or a list of them.
    """
    if isinstance(value, str):
        # A command reads text that begins like this as a list, or takes the quotes off.
        return repr(value) if value[:1] in ("[", "(", "'", '"') else value
    if isinstance(value, list):
        return f"[{', '.join(repr(v) if isinstance(v, str) else as_typed(v) for v in value)}]"
    return "null" if value is None else str(value)


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of a section.

    Args:
        tree: The section, whose keys may have dots themselves.
        prefix: What each key begins with.
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def short_names(keys: Sequence[str]) -> list[str]:
    """Returns the last word of each key, or the last two where two keys have the same last one."""
    last = [key.rpartition(".")[2] for key in keys]
    alike = len(set(last)) < len(last)
    words = ["_".join(key.split(".")[-2:]) for key in keys] if alike else last
    return [word.lower().replace("_", "-") for word in words]


def label(value: Any) -> str:
    """Returns a value as part of a folder's name: 0.15, 0.02-0.4, lfm."""
    return re.sub(r"[^\w.+-]+", "-", as_typed(value)).strip("-")


def shown(value: Any) -> str:
    """Returns a value for a message, cut to a length that fits into it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
