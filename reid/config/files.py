"""Config files: found, read, and put in the order in which they inherit."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.config.strict_yaml import YamlError, parse
from reid.utils.errors import InputError, suggest
from reid.utils.settings import check_path

MOST_BYTES = 1 << 20  # the longest config has 6 KB
# The shipped configs: beside the package in a clone, inside it in an installed wheel.
SHIPPED = (Path(__file__).parents[1] / "_configs", Path(__file__).parents[2] / "configs")


def find_config(path: str | Path) -> Path:
    """Returns the file that a user means.

    Args:
        path: A path, or the name of a shipped config: ``market_lfm.yml``, ``defences/lfm.yml``.

    Raises:
        InputError: There is no such file; names the nearest shipped one.
    """
    try:
        check_path(str(path))
    except ValueError as error:
        raise InputError(f"the name of the config file {error}") from error
    given = Path(os.path.expanduser(path))
    if os.path.exists(given):
        return given
    for folder in SHIPPED:
        if not given.is_absolute() and (folder / given).is_file():
            return folder / given
    known = [str(p.relative_to(f)) for f in SHIPPED for p in sorted(f.rglob("*.yml"))]
    raise InputError(
        f"config file {path} cannot be read: No such file, and no shipped config of that name"
        f"{suggest(given.name, known)}"
    )


def read_chain(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Reads a file and those it inherits from.

    Args:
        path: The file. ``_BASE_: other.yml`` in it is relative to it, or the name of a shipped one.

    Returns:
        (path, content) pairs; the outermost base comes first.
    """
    chain: list[tuple[str, Mapping[str, Any]]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            names = " -> ".join(str(p) for p in [*seen, current.resolve()])
            raise InputError(f"{path}: _BASE_ goes in a circle: {names}")
        seen.append(current.resolve())
        tree = dict(read_yaml(current, asked_by=chain[-1][0] if chain else ""))
        base = tree.pop("_BASE_", None)
        if base is not None and not isinstance(base, str):
            raise InputError(f"{current}: _BASE_ is one relative path, got {base!r}")
        chain.append((str(current), tree))
        current = base_file(current, base) if base is not None else None
    return chain[::-1]


def base_file(path: Path, name: str) -> Path:
    """Returns the file that another one names as its ``_BASE_``.

    Args:
        path: The file that names it.
        name: A path relative to that file, or the name of a shipped config.
    """
    try:
        check_path(name)
    except ValueError as error:
        raise InputError(f"{path}: _BASE_ {error}") from error
    beside = path.parent / os.path.expanduser(name)
    shipped = [folder / name for folder in SHIPPED if (folder / name).is_file()]
    return beside if os.path.exists(beside) or not shipped else shipped[0]


def read_yaml(path: Path, asked_by: str = "") -> Mapping[str, Any]:
    """Reads one file as it is.

    Args:
        path: The file.
        asked_by: The file that names it as its base, for the message.

    Raises:
        InputError: It cannot be read, or does not consist of KEY: value lines.
    """
    try:
        tree = parse(_read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        because = f", which {asked_by} names as _BASE_" if asked_by else ""
        reason = getattr(error, "strerror", None) or f"it is no UTF-8 text: {error}"
        raise InputError(f"config file {path}{because} cannot be read: {reason}") from error
    except YamlError as error:
        raise InputError(f"{path} {error}") from error
    if tree is not None and not isinstance(tree, dict):
        raise InputError(f"{path}: a config is KEY: value lines, got a {type(tree).__name__}")
    return tree or {}


def _read_text(path: Path) -> str:
    """Reads a text file; raises OSError for what is no file (a FIFO would wait for ever)."""
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if facts.st_size > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has {facts.st_size} bytes, a config at most {MOST_BYTES}")
    return path.read_text(encoding="utf-8")
