"""A user's own parts: modules and files that are loaded before the config is checked."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from reid.utils.errors import InputError
from reid.utils.part_files import module_name


def load_parts(entries: tuple[str, ...], source: str) -> None:
    """Imports each entry, so that its decorators put parts into the tables; once a process.

    Args:
        entries: Dotted modules, or paths of .py files.
        source: Where they are named, for messages.

    Raises:
        InputError: One that is not there, cannot be read as Python, or holds a part that its table
            does not take.
    """
    for entry in entries:
        with _named(entry, source):
            if is_file(entry):
                _load_file(entry)
            else:
                _load_module(entry)


def is_file(entry: str) -> bool:
    """Says whether an entry of IMPORTS names a file, and not a module."""
    return entry.endswith(".py") or "/" in entry or "\\" in entry


def resolved(entry: str, folder: Path) -> str:
    """Returns an entry of IMPORTS with an absolute path, so that it means the same everywhere.

    Args:
        entry: A module, which stays as it is, or a file.
        folder: Where a relative path begins.
    """
    if not is_file(entry):
        return entry
    return str((folder / os.path.expanduser(entry)).resolve())


def imported_files(entries: tuple[str, ...]) -> dict[str, Path]:
    """Returns the file of each entry of IMPORTS that was loaded.

    Args:
        entries: Of the config.
    """
    files = {
        entry: Path(entry) if is_file(entry) else Path(sys.modules[entry].__file__ or "")
        for entry in entries
    }
    return {entry: file for entry, file in files.items() if file.is_file()}


@contextlib.contextmanager
def _named(entry: str, source: str) -> Iterator[None]:
    """Puts the entry in front of what goes wrong when it is imported."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: IMPORTS: {error}") from error
    except SyntaxError as error:
        raise InputError(
            f"{source}: IMPORTS: {error.filename}:{error.lineno} is no Python: {error.msg}"
        ) from error
    except ImportError as error:
        raise InputError(f"{source}: IMPORTS: {entry} cannot be imported: {error}") from error


def _load_file(path: str) -> None:
    if not os.path.isfile(path):  # false, not an error, for a name that is too long
        raise InputError(f"the file {path} does not exist")
    if not path.endswith(".py"):
        raise InputError(f"the file {path} is no Python file; its name must end in .py")
    importlib.import_module(module_name(path))


def _load_module(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(
            f"'{name}' is neither a module (my_lab.losses) nor a file (./parts/circle.py)"
        )
    here = str(Path.cwd())
    if here not in sys.path:  # a command's own folder is there, the one it runs in is not
        sys.path.append(here)
    importlib.import_module(name)
