"""``reid COMMAND ...``, and what each file in tools/ calls."""

import argparse
import contextlib
import errno
import importlib
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import reid
from reid import cli
from reid.utils.console import OutputError, safe_output, tell
from reid.utils.errors import InputError, unknown

# What a disk says that no program can mend.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def commands() -> dict[str, str]:
    """Returns the module of each subcommand, by the name that is typed."""
    modules = [info.name for info in pkgutil.iter_modules(cli.__path__)]
    return {
        name.replace("_", "-"): f"{cli.__name__}.{name}"
        for name in modules
        if name != "main" and not name.startswith("_")
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Runs ``reid COMMAND ...``.

    Args:
        argv: What was typed behind ``reid``; None takes it from the process.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    if not typed or typed[0] in ("-h", "--help"):
        guarded(lambda: print(_overview()))
    elif typed[0] == "--version":
        guarded(lambda: print(f"reid {reid.__version__}"))
    else:
        guarded(lambda: _run(typed[0].replace("_", "-"), typed[1:], f"reid {typed[0]}"))


def run_tool(command: str) -> None:
    """Runs a subcommand on the arguments of the process, as a file in tools/.

    Args:
        command: Name of the subcommand.
    """
    guarded(lambda: _run(command, sys.argv[1:], os.path.basename(sys.argv[0])))


def _run(command: str, argv: Sequence[str], prog: str) -> None:
    known = commands()
    if command not in known:
        raise unknown("command", command, known)
    module = importlib.import_module(known[command])
    if hasattr(module, "ACTIONS"):
        if not argv or argv[0] in ("-h", "--help"):
            print(_actions(module, prog))
            return
        if argv[0] not in module.ACTIONS:
            raise unknown(f"action of {prog}", argv[0], module.ACTIONS)
        module = importlib.import_module(f"{known[command]}.{argv[0]}")
        prog, argv = f"{prog} {argv[0]}", argv[1:]
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    args = parser.parse_intermixed_args(argv)
    module.run(args)


def _actions(module: ModuleType, prog: str) -> str:
    """Returns the help of a command that has actions."""
    lines = [f"  {name:<16} {what}" for name, what in module.ACTIONS.items()]
    head = f"usage: {prog} ACTION [...]"
    return "\n".join([head, "", (module.__doc__ or "").strip(), "", "actions:", *lines])


def _overview() -> str:
    """Returns the list of subcommands."""
    modules: dict[str, ModuleType] = {
        name: importlib.import_module(module) for name, module in commands().items()
    }
    lines = [f"  {name:<16} {module.HELP}" for name, module in sorted(modules.items())]
    return "\n".join(
        [
            "usage: reid COMMAND [...]",
            "",
            "Person re-identification: train, evaluate, attack. In a clone each command is also",
            "a file: tools/COMMAND.py.",
            "",
            *lines,
            "",
            "`reid COMMAND --help` explains a command.",
        ]
    )


def guarded(work: Callable[[], None]) -> None:
    """Runs a command: InputError becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    So does a disk that is full, broken or not to be written to. Anything else is a bug and keeps
    its traceback. What becomes of output that nobody reads says
    :func:`reid.utils.console.safe_output`. Under torchrun the command runs as one of many
    processes, see :func:`reid.utils.session.session`.

    Args:
        work: The command.
    """
    # Pillow says of a damaged file that it skips a part; what can be read is read.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    with safe_output():
        try:
            with _session():
                work()
        except InputError as error:
            tell(f"error: {error}")
            sys.exit(2)
        except OSError as error:
            if isinstance(error, OutputError) or error.errno not in _OF_THE_MACHINE:
                raise
            tell(f"error: {error.filename or 'a file'} cannot be written or read: {error.strerror}")
            sys.exit(2)
        except KeyboardInterrupt:
            tell("interrupted")
            sys.exit(130)


@contextlib.contextmanager
def _session() -> Iterator[None]:
    """Joins the processes that torchrun started; alone, it loads nothing and does nothing."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    from reid.utils.session import session

    with session():
        yield
