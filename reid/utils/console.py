"""Standard output and error: a reader that leaves, a full disk, characters that they cannot print.

A command that only prints ends quietly, with the exit code of a closed pipe. A run goes on, and
logs to its file alone.
"""

import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

CLOSED_PIPE = 141  # the exit code of a program that SIGPIPE (13) ends, as shells show it: 128 + 13
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def one_line(text: str) -> str:
    """Returns text on one line, without characters that steer a terminal: they are escaped."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], " ".join(text.split()))


def tell(text: str) -> None:
    """Writes one line to standard error, where that is possible."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{one_line(text)}\n")
        sys.stderr.flush()


class OutputError(OSError):
    """Standard output cannot be written."""


class _Output:
    """Standard output, whose errors can be told from those of other files.

    It keeps an error: argparse passes over one of ``--help``.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._error: OutputError | None = None

    def write(self, text: str) -> int:
        with self._noted_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        if self._error is not None:
            raise self._error
        with self._noted_errors():
            self._stream.flush()

    @contextlib.contextmanager
    def _noted_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = OutputError(error.errno, error.strerror)
            raise self._error from error

    def forget_error(self) -> None:
        """Lets the command go on: its output goes to nowhere from now on."""
        self._error = None
        abandon_stdout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """Runs a command, so that nothing it prints can end it with a traceback.

    Characters that the console cannot print are escaped. If nobody reads standard output any more
    (``... | head -1``), the process ends without a word, with exit code 141.

    Raises:
        SystemExit: Standard output is closed (code 141), or cannot be written (code 2).
    """
    stdout = sys.stdout
    if stdout is None or stdout.closed:  # started with >&-
        yield
        return
    for stream in (stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's or a test's has none
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = _Output(stdout)  # type: ignore[assignment]
    try:
        try:
            yield
        except SystemExit as stop:
            if not stop.code:  # --help
                sys.stdout.flush()
            raise
        sys.stdout.flush()
    except OutputError as error:
        raise SystemExit(_without_output(error)) from error
    finally:
        sys.stdout = stdout


def _without_output(error: OutputError) -> int:
    """Says why, except of a closed pipe, and returns the exit code."""
    abandon_stdout()
    if error.errno == errno.EPIPE:
        return CLOSED_PIPE
    tell(f"error: standard output cannot be written: {error.strerror}")
    return 2


def abandon_stdout() -> None:
    """Sends standard output to nowhere, so that Python does not fail at it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # it is no file
        pass
    finally:
        os.close(nowhere)


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Logs to standard output until it cannot be written; then says so once, and is silent.

    Args:
        file: The log file that gets the same lines.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(sys.stdout)
        self.file = file
        self.silent = False

    def format(self, record: logging.LogRecord) -> str:
        """Escapes the characters that the console cannot print."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, unless standard output is gone."""
        if not self.silent:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says once that standard output is gone; other errors are shown as usual."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.silent = True
        getattr(self.stream, "forget_error", abandon_stdout)()
        why = error.strerror
        tell(f"standard output cannot be written ({why}); the log goes on in {self.file}")


class LogFileHandler(logging.FileHandler):
    """Appends to a UTF-8 file; an error of the disk is said once, and does not end the run.

    Args:
        file: The log file.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8", errors="backslashreplace")
        self.failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says once that the file cannot be written; other errors are shown as usual."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.failed:
            self.failed = True
            tell(f"warning: {self.baseFilename} cannot be written: {error.strerror}")

    def close(self) -> None:
        """Closes the file; what could not be written is given up."""
        with contextlib.suppress(OSError):
            super().close()
