"""How a file and the command line become one frozen config."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from reid.config.checks import check_together
from reid.config.defaults import as_cfg, known_settings
from reid.config.files import find_config, read_chain
from reid.config.imports import load_parts, resolved
from reid.config.strict_yaml import YamlError, parse
from reid.config.trees import leaves
from reid.utils.errors import InputError, suggest
from reid.utils.settings import Setting, literal, shown

LONGEST_KEY = 100
_MOST_NAMED = 8  # keys that a suggestion names
COMMAND_LINE = "command line"
# key of an older version -> what to say
RENAMED = {
    "ATTACK.BIM.STEP_255": "ATTACK.BIM.STEP, in units of eps as for every other attack;"
    " 0 is one level of a pixel",
}


def load_cfg(path: str | Path | None, overrides: Sequence[str] = ()) -> CfgNode:
    """Reads a YAML file with its ``_BASE_`` chain, applies ``KEY VALUE`` pairs, checks and freezes.

    The modules and files of ``IMPORTS`` are loaded first: their parts have keys, too.

    Args:
        path: The file, or the name of a shipped one. ``_BASE_: other.yml`` in it is relative to it.
            None is the defaults alone.
        overrides: ``[KEY, VALUE, KEY, VALUE, ...]`` as typed behind a command.

    Raises:
        InputError: Unknown key, wrong type, unknown value: names the key, where it came from, and
            the nearest known one.
    """
    return _resolved(read_chain(find_config(path)) if path is not None else [], overrides)


def load_saved(
    tree: Mapping[str, Any],
    source: str,
    overrides: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> CfgNode:
    """Makes a config of one that was saved with a checkpoint, and ``KEY VALUE`` pairs.

    What the saved one says of IMPORTS is passed over, because nothing that a checkpoint names is
    ever imported. So are keys that are not known here: they are of another version, or of parts
    that are not loaded.

    Args:
        tree: The saved config.
        source: The checkpoint, for messages.
        overrides: As for :func:`load_cfg`.
        wanted: Beginnings of the keys that are read; None reads all.

    Raises:
        InputError: As from :func:`load_cfg`. A part is not in its table; the message says which
            IMPORTS the run had.
    """
    imports = tree.get("IMPORTS") or ()
    _load_imports([], _pairs(overrides))
    known = known_settings()
    keep = tuple(wanted) if wanted is not None else ("",)
    kept = {
        key: value
        for key, value in leaves(CfgNode(dict(tree)))
        if key in known and key.startswith(keep) and key != "IMPORTS"
    }
    try:
        return _resolved([(source, kept)], overrides)
    except InputError as error:
        if not imports or "IMPORTS" in overrides:
            raise
        raise InputError(
            f"{error}; the run had IMPORTS [{', '.join(imports)}], which is not imported by itself:"
            " add it if you trust it"
        ) from error


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what was typed as (KEY, VALUE) pairs."""
    if len(overrides) % 2:
        raise InputError(
            f"{COMMAND_LINE}: KEY VALUE pairs are expected, '{overrides[-1]}' has no partner"
        )
    return list(zip(overrides[::2], overrides[1::2], strict=True))


def _resolved(chain: Sequence[tuple[str, Mapping[str, Any]]], overrides: Sequence[str]) -> CfgNode:
    """Returns the frozen config of files, outermost base first, and of what was typed."""
    typed = _pairs(overrides)
    imports = _load_imports(chain, typed)
    settings = known_settings()
    values = {key: setting.default for key, setting in settings.items()}
    for source, tree in chain:
        for key, value in _flatten(tree, settings, source):
            values[key] = _fit(settings, key, value, source)
    for key, text in typed:
        setting = settings.get(key)
        value = _parse(text, setting) if setting is not None else text
        values[key] = _fit(settings, key, value, COMMAND_LINE)
    values["IMPORTS"] = imports
    cfg = as_cfg(values)
    check_together(cfg)
    cfg.freeze()
    return cfg


def _load_imports(
    chain: Sequence[tuple[str, Mapping[str, Any]]], typed: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Loads the last IMPORTS that is given; returns it with absolute paths."""
    setting = Setting((), str, many=True)
    found: tuple[tuple[str, ...], str] = ((), "")
    named = [(tree["IMPORTS"], source, Path(source).parent) for source, tree in chain
             if "IMPORTS" in tree]  # fmt: skip
    named += [(_parse(text, setting), COMMAND_LINE, Path.cwd()) for key, text in typed
              if key == "IMPORTS"]  # fmt: skip
    for value, source, folder in named:
        try:
            entries = setting.fit(() if value is None else value)
        except ValueError as error:
            raise InputError(f"{source}: IMPORTS {error}") from error
        found = tuple(resolved(entry, folder) for entry in entries), source
    load_parts(*found)
    return found[0]


def _flatten(
    tree: Mapping[str, Any], settings: Mapping[str, Setting], source: str, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of a parsed file; a section of comments only counts as empty."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flatten(value, settings, source, f"{key}.")
        elif value is not None or not _keys_below(settings, key):
            yield key, value


def _keys_below(settings: Mapping[str, Setting], section: str) -> list[str]:
    """Returns the names of what stands directly in a section; empty if there is no such section."""
    names = [k.removeprefix(f"{section}.") for k in settings if k.startswith(f"{section}.")]
    return sorted({name.partition(".")[0] for name in names})


def _fit(settings: Mapping[str, Setting], key: str, value: Any, source: str) -> Any:
    """Returns a value as its setting wants it; raises InputError with source and key in front."""
    if key in RENAMED:
        raise InputError(f"{source}: {key} is now {RENAMED[key]}")
    if key not in settings:
        inside = _keys_below(settings, key)
        if inside:
            raise InputError(
                f"{source}: {key} is a section, not a setting; it has {', '.join(inside)}"
            )
        word = key if len(key) <= LONGEST_KEY and key.isprintable() else shown(key)
        raise InputError(f"{source}: unknown key {word}{_nearest_key(settings, word)}")
    try:
        fitted = settings[key].fit(value)
    except ValueError as error:
        raise InputError(f"{source}: {key} {error}") from error
    return os.path.expanduser(fitted) if settings[key].path else fitted


def _nearest_key(settings: Mapping[str, Setting], key: str) -> str:
    """Suggests the nearest whole key, or keys of the same last word elsewhere in the tree."""
    section, _, last = key.upper().rpartition(".")
    if not section or _keys_below(settings, section):  # a known section: the key may be elsewhere
        same_word = [name for name in settings if name.rpartition(".")[2] == last]
        if same_word:
            return f"; did you mean {' or '.join(same_word[:_MOST_NAMED])}?"
    return _nearest_by_parts(settings, key) or "; configs/README.md lists every key"


def _nearest_by_parts(settings: Mapping[str, Setting], key: str) -> str:
    """Suggests a key each of whose parts is near to the typed one."""
    typed = key.split(".")
    for name in settings:
        parts = name.split(".")
        if len(parts) == len(typed) and all(
            a.upper() == b or suggest(a, [b]) for a, b in zip(typed, parts, strict=True)
        ):
            return f"; did you mean '{name}'?"
    return ""


def _parse(text: str, setting: Setting) -> Any:
    """Reads a value typed on the command line as YAML reads it in a file.

    Text stays text, whatever YAML would make of it; a Python literal is read, too.
    """
    if setting.item is str and text[:1] not in ("[", "("):
        unquoted = literal(text) if text[:1] in ("'", '"') else text
        return unquoted if isinstance(unquoted, str) else text
    try:
        return parse(text)
    except YamlError:
        return text
