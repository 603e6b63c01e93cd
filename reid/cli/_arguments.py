"""Arguments that several subcommands share."""

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reid.utils.errors import ArgumentError, InputError
from reid.utils.settings import check_path

if TYPE_CHECKING:
    from yacs.config import CfgNode

KEY = re.compile(r"IMPORTS|[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)+")  # a setting such as TEST.FLIP


def path(text: str) -> Path:
    """Reads a path; ``~`` is the home folder.

    Raises:
        ArgumentTypeError: No file system takes such a path.
    """
    try:
        check_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(os.path.expanduser(text))


@contextlib.contextmanager
def option_errors() -> Iterator[None]:
    """Calls a bad argument by the option that it came from.

    Raises:
        InputError: The block raised an ArgumentError.
    """
    try:
        yield
    except ArgumentError as error:
        raise InputError(f"--{error.argument.replace('_', '-')} {error.problem}") from error


def add_config(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds ``--config-file FILE [KEY VALUE ...]``.

    Args:
        parser: Gets the arguments.
        required: Whether there must be a config file.
    """
    parser.add_argument(
        "--config-file",
        required=required,
        metavar="YML",
        help="a YAML file, or the name of a shipped one (market_lfm.yml)",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY VALUE",
        help="settings that override the file's, e.g. SOLVER.MAX_EPOCHS 60; `reid keys` lists them",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds ``--device NAME``."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps"
    )


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Adds ``SOURCE [SOURCE ...] [KEY VALUE ...]``; see :func:`split_sources`."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a folder, a list (.csv, .txt), a pattern, or an image; behind the last one settings"
        " KEY VALUE that go before those of the checkpoint, e.g. TEST.FLIP True",
    )


def split_sources(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the sources, and the settings that stand behind them.

    Args:
        words: What was typed. The first word that is written as a key, and is no file, begins the
            settings.

    Raises:
        InputError: There is no source in front of the settings.
    """
    keys = [KEY.fullmatch(word) is not None and not os.path.exists(word) for word in words]
    first = keys.index(True) if True in keys else len(words)
    if not first:
        raise InputError(f"name a folder, a list, a pattern or an image in front of {words[0]}")
    return list(words[:first]), list(words[first:])


def weight_config(config_file: str | None, overrides: Sequence[str]) -> "CfgNode":
    """Returns the config of a command that needs TEST.WEIGHT.

    Args:
        config_file: The file; None takes the config that the checkpoint carries.
        overrides: ``[KEY, VALUE, ...]``.

    Raises:
        InputError: TEST.WEIGHT is empty, or something is wrong in the config.
    """
    from reid.config import load_cfg

    cfg = load_cfg(config_file, overrides)
    if not cfg.TEST.WEIGHT:
        raise InputError("TEST.WEIGHT is empty: name the checkpoint, e.g. outputs/x/best.pth")
    if config_file is None:
        from reid.builders.checkpoints import config_of_weight

        return config_of_weight(Path(cfg.TEST.WEIGHT), overrides)
    return cfg
