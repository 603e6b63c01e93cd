"""Arguments that several subcommands share."""

import argparse
from pathlib import Path


def path(text: str) -> Path:
    """Reads a path; ``~`` is the home folder."""
    return Path(text).expanduser()


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
