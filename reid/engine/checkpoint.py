"""Checkpoints: they are written completely or not at all, and reading them runs no code."""

import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import reid
from reid.engine.tensors_file import ENDING, load_tensors_file
from reid.utils.archives import damage_of, is_archive, write_archive
from reid.utils.code_state import code_state
from reid.utils.errors import InputError
from reid.utils.logs import sync_folder, temporary_of

FORMAT = 1
# What every checkpoint holds, and as what.
_CONTENT: dict[str, type | tuple[type, ...]] = {
    "epoch": int,
    "config": str,
    "pids": list,
    "model": Mapping,
    "commit": str,
}
# What a checkpoint may hold besides, and as what.
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "code": Mapping,
    "facts": Mapping,
    "best": Mapping,
    "row": (Mapping, type(None)),
    "inside": (Mapping, type(None)),
    "optimizer": Mapping,
    "scaler": Mapping,
    "criterion": Mapping,
    "world_size": int,
}


class ForeignError(InputError):
    """A file that is no checkpoint of ours; it may be another project's."""


def save(
    path: Path,
    model: nn.Module,
    epoch: int,
    config: str,
    pids: list[int],
    state: Mapping[str, Any],
    code: Mapping[str, Any] | None = None,
    keep: int | None = None,
) -> None:
    """Writes a checkpoint of tensors and plain values, reads it again, and puts it in its place.

    Args:
        path: The file; it is replaced in one step.
        model: The model, whose state dict is stored under "model".
        epoch: Number of completed epochs.
        config: The resolved config as YAML text.
        pids: Sorted train pids; the pid of label i is pids[i].
        state: State dicts and plain values that resuming needs.
        code: State of the code, from :func:`reid.utils.code_state.code_state`; None determines it
            for this package alone.
        keep: Number of earlier files that stay beside it, as ``last.1.pth``, ``last.2.pth``, ...,
            of which those that are too many are removed; None keeps no earlier file and removes
            none.

    Raises:
        OSError: The file could not be written; those that were there are untouched.
    """
    code = dict(code_state() if code is None else code)
    content = {
        "format": FORMAT,
        "version": reid.__version__,
        "commit": code["commit"],
        "code": code,
        "epoch": epoch,
        "config": config,
        "pids": pids,
        "model": model.state_dict(),
        **state,
    }
    with temporary_of(path) as temporary:
        write_archive(temporary, content)
        problem = damage_of(temporary)
        if problem:
            raise OSError(f"what was written is not what is read: {problem}")
        if keep is not None:
            _shift(path, keep)
        os.replace(temporary, path)
    sync_folder(path.parent)


def earlier(path: Path) -> list[Path]:
    """Returns the earlier files that were kept beside ``path``, newest first.

    Their numbers begin with 1; one is missing where a run was killed while it renamed them. What
    comes after a wider gap, such as ``last.60.pth``, somebody else has put there.
    """
    found: list[Path] = []
    number, missing = 1, 0
    while missing < 2:
        file = _earlier(path, number)
        exists = file.exists()
        found += [file] * exists
        missing = 0 if exists else missing + 1
        number += 1
    return found


def _earlier(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _shift(path: Path, keep: int) -> None:
    """Makes ``path`` the first of the earlier files; at no moment it is missing itself."""
    for number in range(keep, 1, -1):
        if _earlier(path, number - 1).exists():
            os.replace(_earlier(path, number - 1), _earlier(path, number))
    if keep and path.exists():
        with temporary_of(_earlier(path, 1)) as second_name:
            second_name.unlink(missing_ok=True)
            try:
                os.link(path, second_name)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, second_name)
            os.replace(second_name, _earlier(path, 1))
    for old in earlier(path)[keep:]:
        old.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        ForeignError: The file is no checkpoint of this format, or reading it would run code.
        InputError: The file is missing or damaged.
    """
    if path.is_dir():
        files = [str(file) for file in (path / "best.pth", path / "last.pth") if file.is_file()]
        mend = f"; name {' or '.join(files)}" if files else ""
        raise InputError(f"checkpoint {path} is a folder{mend}")
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    content = load_tensors_file(path) if path.suffix == ENDING else _unpacked(path)
    _check_content(content, path)
    return dict(content)


def _unpacked(path: Path) -> Any:
    """Returns what torch reads in a file."""
    damage = damage_of(path)
    if damage:
        kind = InputError if is_archive(path) else ForeignError  # of an old torch
        raise kind(f"checkpoint {path} is refused: it is damaged or no checkpoint ({damage})")
    try:
        with warnings.catch_warnings():  # torch warns of pickle protocols; the errors below suffice
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    # A crafted file fails in many ways: UnpicklingError, KeyError, RuntimeError, TypeError, ...
    # The text of torch is left out: it advises to load without weights_only.
    except Exception as error:
        raise ForeignError(
            f"checkpoint {path} is refused: it holds more than tensors and plain values, and"
            f" loading it could run code ({type(error).__name__})"
        ) from error


def _check_content(content: Any, path: Path) -> None:
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise ForeignError(
            f"checkpoint {path} was not written by this version of reid (format {FORMAT});"
            " weights of a backbone are loaded as pretrained weights"
        )
    known = {**_CONTENT, **{k: v for k, v in _OPTIONAL.items() if k in content}}
    wrong = [name for name, kind in known.items() if not isinstance(content.get(name), kind)]
    wrong += _wrong_inside(content) if not wrong else []
    if wrong:
        raise InputError(
            f"checkpoint {path} is damaged: '{wrong[0]}' is missing or of another kind"
        )
    numbers = (content["epoch"], *content["pids"])
    if not all(type(number) is int for number in numbers) or content["epoch"] < 0:
        raise InputError(f"checkpoint {path} is damaged: 'epoch' and 'pids' must be whole numbers")
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content["model"].items()):
        raise InputError(f"checkpoint {path} is damaged: 'model' must hold tensors by name")


def _wrong_inside(content: Mapping[str, Any]) -> list[str]:
    """Returns what has an entry of another kind than the run that goes on expects."""
    best, facts = content.get("best", {}), content.get("facts", {})
    numbers = [best.get(name, 0) for name in ("mAP", "epoch")]
    whole = set(best) in (set(), {"mAP", "epoch"})
    found = []
    if not whole or not all(isinstance(number, int | float) for number in numbers):
        found.append("best")
    if not isinstance(facts.get("data", {}), Mapping) or not isinstance(
        facts.get("changes", []), list
    ):
        found.append("facts")
    if not isinstance(content.get("code", {}).get("imports", {}), Mapping):
        found.append("code")
    row = content.get("row") or {}
    if not all(isinstance(value, int | float) for value in row.values()) or (
        row and "epoch" not in row
    ):
        found.append("row")
    return found


def load_model(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Fills ``model``; raises InputError that names the first key or shape that does not fit.

    Args:
        model: The model of the config; it is changed.
        checkpoint: Content of a file, from :func:`load`.
        path: The file, for the message.

    Raises:
        InputError: A key is missing on one side, or has another shape.
    """
    have = checkpoint["model"]
    want = model.state_dict()
    for key in sorted(have.keys() | want.keys()):
        if key not in want or key not in have:
            where = "checkpoint" if key not in have else "model of this config"
            raise InputError(f"checkpoint {path} does not fit: the {where} lacks {key}")
        if have[key].shape != want[key].shape:
            raise InputError(
                f"checkpoint {path} does not fit: {key} is {tuple(have[key].shape)},"
                f" the model of this config has {tuple(want[key].shape)}"
            )
    model.load_state_dict(have)
