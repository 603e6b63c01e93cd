"""Config files: found, read, and put in the order in which they inherit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reid.utils.errors import InputError, suggest

# The shipped configs: beside the package in a clone, inside it in an installed wheel.
SHIPPED = (Path(__file__).parents[1] / "_configs", Path(__file__).parents[2] / "configs")


def find_config(path: str | Path) -> Path:
    """Returns the file that a user means.

    Args:
        path: A path, or the name of a shipped config: ``market_lfm.yml``, ``defences/lfm.yml``.

    Raises:
        InputError: There is no such file; names the nearest shipped one.
    """
    given = Path(path).expanduser()
    if given.exists():
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
        tree = dict(_read_yaml(current, asked_by=chain[-1][0] if chain else ""))
        base = tree.pop("_BASE_", None)
        if base is not None and not isinstance(base, str):
            raise InputError(f"{current}: _BASE_ is one relative path, got {base!r}")
        chain.append((str(current), tree))
        current = _base(current, base) if base is not None else None
    return chain[::-1]


def _base(path: Path, name: str) -> Path:
    """Returns the file that ``path`` names as its base."""
    beside = path.parent / Path(name).expanduser()
    shipped = [folder / name for folder in SHIPPED if (folder / name).is_file()]
    return beside if beside.exists() or not shipped else shipped[0]


def _read_yaml(path: Path, asked_by: str) -> Mapping[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        because = f", which {asked_by} names as _BASE_" if asked_by else ""
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"config file {path}{because} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if tree is not None and not isinstance(tree, dict):
        raise InputError(f"{path}: a config is KEY: value lines, got a {type(tree).__name__}")
    return tree or {}
