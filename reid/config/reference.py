"""The table of all keys, for people, and a JSON Schema of them, for editors."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from tabulate import tabulate

from reid.config.defaults import MOST_COUNT
from reid.utils.checks import Range, number
from reid.utils.errors import InputError
from reid.utils.logs import write_text
from reid.utils.settings import Setting

BEGIN, END = (
    "<!-- keys: begin; `reid keys --write configs` makes this table -->",
    "<!-- keys: end -->",
)
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def as_text(settings: Mapping[str, Setting]) -> str:
    """Returns the keys as a table for a terminal.

    Args:
        settings: By dotted key.
    """
    # Not tabulate's maxcolwidths: it reads the text "False" as a truth value, and prints True.
    rows = [
        (key, fill(_shown(s.default), 30), _range(s), fill(_meaning(s), 60))
        for key, s in settings.items()
    ]
    return tabulate(rows, ("key", "default", "range", "meaning"), disable_numparse=True)


def as_markdown(settings: Mapping[str, Setting]) -> str:
    """Returns the keys as a Markdown table.

    Args:
        settings: By dotted key.
    """
    lines = ["| key | default | range | meaning |", "|---|---|---|---|"]
    for key, setting in settings.items():
        default = _shown(setting.default)
        cell = f"`{default}`" if default else ""
        meaning = _meaning(setting).replace("|", "\\|")
        lines.append(f"| `{key}` | {cell} | {_range(setting)} | {meaning} |")
    return "\n".join(lines)


def json_schema(settings: Mapping[str, Setting]) -> str:
    """Returns a JSON Schema (draft 7) of a config file.

    Args:
        settings: By dotted key.
    """
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "reid config",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "_BASE_": {
                "type": "string",
                "description": "The file that this one starts from, relative to this one.",
            }
        },
    }
    for key, setting in settings.items():
        *sections, name = key.split(".")
        node = root
        for section in sections:
            empty = {"type": ["object", "null"], "additionalProperties": False, "properties": {}}
            node = node["properties"].setdefault(section, empty)
        node["properties"][name] = _schema(setting)
    return json.dumps(root, indent=1) + "\n"


def write_reference(folder: Path, settings: Mapping[str, Setting]) -> None:
    """Writes the table into README.md, between its two marks, and schema.json beside it.

    Args:
        folder: That of the configs.
        settings: By dotted key.

    Raises:
        InputError: README.md is not there, or has no marks.
    """
    readme = folder / "README.md"
    write_text(readme, updated(readme, settings))
    write_text(folder / "schema.json", json_schema(settings))


def updated(readme: Path, settings: Mapping[str, Setting]) -> str:
    """Returns the text of a README.md with the present table between its marks.

    Args:
        readme: The file.
        settings: By dotted key.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{readme} cannot be read: {error.strerror}") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{readme} has no lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n{as_markdown(settings)}\n{END}{after}"


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _range(setting: Setting) -> str:
    """Returns the numbers that a setting allows, as an interval: a round bracket is left out."""
    r = setting.allowed
    if setting.item not in (int, float) or r == Range():
        return ""
    if not math.isfinite(r.most) or r.most >= MOST_COUNT:
        return f"{'>' if r.above else '>='} {number(r.least)}"
    return f"{'[('[r.above]}{number(r.least)}, {number(r.most)}{'])'[r.below]}"


def _bounds(allowed: Range) -> dict[str, float]:
    """Returns a range in the words of JSON Schema."""
    words = {
        "exclusiveMinimum" if allowed.above else "minimum": allowed.least,
        "exclusiveMaximum" if allowed.below else "maximum": allowed.most,
    }
    return {word: bound for word, bound in words.items() if math.isfinite(bound)}


def _meaning(setting: Setting) -> str:
    text = setting.meaning.replace("``", "`").removesuffix(".")
    if any(f"`{word}`" not in text for word in setting.choices):
        words = (*setting.choices, *(f"{begin}NAME" for begin in setting.beginnings))
        text += ": " + ", ".join(f"`{word}`" for word in words)
    return text


def _schema(setting: Setting) -> dict[str, Any]:
    item: dict[str, Any] = {"type": TYPES[setting.item]} if setting.item else {}
    if setting.item in (int, float):
        item |= _bounds(setting.allowed)
    if setting.item is float:  # YAML 1.1 takes 1e-4 for text
        item = {"anyOf": [item, {"type": "string", "pattern": r"^[-+.\deE]+$"}]}
    if setting.choices:
        item["enum"] = list(setting.choices)
    if setting.beginnings:
        pattern = f"^({'|'.join(setting.beginnings)}).+$"
        item = {"anyOf": [item, {"type": "string", "pattern": pattern}]}
    found = item
    if setting.many:
        size = {"minItems": setting.length, "maxItems": setting.length} if setting.length else {}
        many = {"type": "array", "items": item, **size}
        found = {"anyOf": [many, item]} if not setting.length else many
    if setting.optional:
        found = {"anyOf": [found, {"type": "null"}]}
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return {**found, "description": _meaning(setting), "default": default}
