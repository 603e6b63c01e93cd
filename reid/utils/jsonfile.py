"""JSON that a user hands in: its size is checked before it is read, its fields before use."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError

MAX_BYTES = 64 << 20  # a result of ours takes some KiB
NAMES = {float: "a number", int: "a whole number", str: "text", dict: "an object", list: "a list"}


def read_json(path: Path, what: str, max_bytes: int = MAX_BYTES) -> Any:
    """Reads a JSON file. NaN and Infinity are allowed, as Python writes them.

    Args:
        path: The file.
        what: What the file should be, for the message: "the result of a test".
        max_bytes: Size above which the file is not opened.

    Raises:
        InputError: The file is missing, no regular file, too large, no UTF-8, no JSON, or nested
            too deep; the message names it.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise InputError(f"{path} is {kind}; name a JSON file with {what}")
        if found.st_size > max_bytes:
            raise InputError(
                f"{path} has {found.st_size} bytes, {what} has at most {max_bytes} bytes: another"
                " file?"
            )
        with path.open("rb") as file:
            content = file.read(max_bytes)
        return json.loads(content.decode("utf-8-sig"))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; it should be {what}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not {what}: byte {error.start} is no UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{path} is not {what}: it is nested too deep") from error
    except ValueError as error:  # a JSONDecodeError, a number of too many digits, NUL in the path
        raise InputError(f"{str(path)!r} is not {what}: {error}") from error


def fields(
    value: Any,
    where: str,
    required: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """Returns the named entries of a JSON object, each of the type that is asked for.

    Further entries are left out. ``float`` takes whole numbers, too; neither number takes a truth
    value. An optional entry that is missing, or null, is left out.

    Args:
        value: The object, as :func:`read_json` returned it or a part of it.
        where: What the object is, for the message: its file, and its place in it.
        required: float, int, str, bool, dict or list, by name.
        optional: The same for entries that may be missing.

    Raises:
        InputError: The value is no object, lacks an entry, or has one of another type.
    """
    if not isinstance(value, dict):
        raise InputError(
            f"{where} must be an object with {', '.join(required)}, got {_shown(value)}"
        )
    checked: dict[str, Any] = {}
    for name, kind in {**required, **(optional or {})}.items():
        entry = value.get(name)
        if name in required and name not in value:
            raise InputError(
                f"{where} has no '{name}'; it was written by something else, or cut off"
            )
        if entry is None and name not in required:
            continue
        try:
            checked[name] = _fit(entry, kind)
        except (TypeError, OverflowError) as error:
            wanted = NAMES.get(kind, kind.__name__)
            raise InputError(f"{where}: '{name}' must be {wanted}, got {_shown(entry)}") from error
    return checked


def _fit(entry: Any, kind: type) -> Any:
    allowed: tuple[type, ...] = (int, float) if kind is float else (kind,)
    if not isinstance(entry, allowed) or (isinstance(entry, bool) and kind is not bool):
        raise TypeError
    return kind(entry)


def _shown(value: Any) -> str:
    """Returns a value as JSON, cut to a length that fits into a message."""
    if isinstance(value, dict | list):
        return f"{NAMES[type(value)]} of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def last_json_line(path: Path, max_bytes: int = 1 << 16) -> dict[str, Any]:
    """Returns the last whole line of a file of JSON objects; {} if there is none.

    Args:
        path: The file; it may be missing, or end in half a line.
        max_bytes: Bytes at its end that are looked at.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - max_bytes))
            lines = file.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
