"""What every command-line tool shares: how it is called, and what it does with bad input."""

import argparse
import sys
from collections.abc import Callable

from reid.utils.errors import InputError
from reid.utils.session import session


def config_parser(description: str, required: bool = True) -> argparse.ArgumentParser:
    """Returns a parser of ``--config-file F [KEY VALUE ...]``; call ``parse_intermixed_args``.

    Args:
        description: What the tool does.
        required: Whether there must be a config file.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config-file", required=required, help="YAML file, see configs/")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY VALUE",
        help="settings that override the file's, e.g. SOLVER.MAX_EPOCHS 60",
    )
    return parser


def run(main: Callable[[], None]) -> None:
    """Runs a tool: InputError becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    Anything else is a bug and keeps its traceback. Under torchrun the tool runs as one of many
    processes, see :func:`reid.utils.session.session`.
    """
    try:
        with session():
            main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(130)
