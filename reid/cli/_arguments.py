"""Arguments that several subcommands share."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from reid.utils.errors import ArgumentError, InputError
from reid.utils.settings import check_path


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
