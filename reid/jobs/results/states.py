"""How far a run got, by its files alone."""

import re
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError
from reid.utils.jsonfile import last_json_line, read_json

# A whole YAML parser takes 10 ms for a file; this takes 20 us, which thousands of runs need.
_EPOCHS = re.compile(r"\bMAX_EPOCHS: (\d+)")


def state_of(folder: Path) -> str:
    """Says what is wrong with a run: unfinished, diverged or failed; "" if it is finished.

    A folder without a config is no training, and has nothing to finish.

    Args:
        folder: Folder of the run.
    """
    epochs = _wanted_epochs(folder)
    if not epochs:
        return ""
    done = last_json_line(folder / "metrics.jsonl").get("epoch", 0)
    if isinstance(done, int) and done >= epochs:
        return ""
    if (folder / "diverged.pth").exists():
        return f"diverged after epoch {done} of {epochs}"
    failed = _failed(folder)
    return f"failed, {failed}" if failed else f"unfinished, epoch {done} of {epochs}"


def _wanted_epochs(folder: Path) -> int:
    try:
        text = (folder / "config.yml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = _EPOCHS.search(text)
    return int(found[1]) if found else 0


def _failed(folder: Path) -> str:
    """Returns the command and the error that a study noted; "" if there is none."""
    try:
        content: Any = read_json(folder / "cell.json", "the record of a cell")
        failed = content["failed"]
        return f"{failed['step']}: {failed['error']}"
    except (InputError, KeyError, TypeError):
        return ""
