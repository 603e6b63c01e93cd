"""Which code made a result: commit, changes, and the contents of what was imported."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import reid

PACKAGE = Path(reid.__file__).resolve().parent
DIGITS = 12


def code_state(imported: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Describes the code of this process, as plain values that a checkpoint can hold.

    Args:
        imported: Files of parts from outside the package, by the name that the config gives them.

    Returns:
        ``commit``: the commit of the source tree, "+changes" behind it if a file of the tree was
        edited, if the package holds a file that git does not know, or if an imported file is not
        part of the commit; "unknown" where there is no tree. ``package``: the first digits of the
        SHA-256 over all Python files of the package. ``imports``: the same of each imported file.
    """
    files = dict(imported or {})
    commit = _commit()
    if commit != "unknown" and "+" not in commit and any(map(_is_foreign, files.values())):
        commit += "+changes"
    return {
        "commit": commit,
        "package": package_digest(),
        "imports": {name: _digest([file]) for name, file in sorted(files.items())},
    }


def describe_code(code: Mapping[str, Any]) -> str:
    """Writes a state of the code on one line.

    Args:
        code: From :func:`code_state`.
    """
    imports = [f"{Path(name).name} {digest}" for name, digest in code["imports"].items()]
    return f"commit {code['commit']}, package {code['package']}" + (
        f", imports {', '.join(imports)}" if imports else ""
    )


@cache
def package_digest() -> str:
    """Returns the first digits of the SHA-256 over the names and contents of the package."""
    return _digest(sorted(PACKAGE.rglob("*.py")), PACKAGE)


def _digest(files: Sequence[Path], root: Path | None = None) -> str:
    total = hashlib.sha256()
    for file in files:
        if root is not None:
            total.update(f"{file.relative_to(root).as_posix()}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:DIGITS]


@cache
def _commit() -> str:
    """Returns the commit of the source tree, with "+changes" if it is not all there is."""
    found = _git("describe", "--always", "--dirty=+changes", f"--abbrev={DIGITS}")
    if found is None:
        return "unknown"
    # git calls a tree clean that holds files it does not know, and Python imports them.
    unknown = _git("ls-files", "--others", "--", str(PACKAGE / "**/*.py"), str(PACKAGE / "*.py"))
    return f"{found}+changes" if unknown and "+" not in found else found


def _is_foreign(file: Path) -> bool:
    return _git("ls-files", "--error-unmatch", "--", str(file.resolve())) is None


def _git(*args: str) -> str | None:
    """Returns what git says about the source tree; None where it has nothing to say."""
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE.parent), *args],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
