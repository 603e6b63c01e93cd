"""Requests to stop or to save that reach a process as signals."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

# A person presses Ctrl-C again when nothing seems to happen; a launcher may repeat a signal once.
_AT_ONCE = 3


class Stopped(SystemExit):
    """A signal asked this process to end.

    The exit code is 128 + the signal's number, as a shell reports it: 143 for SIGTERM, 130 for
    SIGINT.

    Args:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.name = signal.Signals(signum).name


class StopSignals:
    """While it is entered, SIGTERM and SIGINT ask to stop, and SIGUSR1 asks to save.

    Outside of :meth:`deferred` a request to stop raises :class:`Stopped` at once. Inside, the block
    reads :attr:`signum` where it can stop. Only the main thread can set handlers; elsewhere the
    signals keep what they did before.

    Attributes:
        signum: Number of the first signal that asked to stop; None if there was none.
        save: Whether SIGUSR1 came; whoever saves sets it back.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.save = False
        self._waiting = False
        self._times = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            names = ("SIGTERM", "SIGINT", "SIGUSR1")  # Windows has no SIGUSR1
            for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Lets the block end before a request to stop is obeyed; a third request ends it at once.

        Raises:
            Stopped: A request came during the block.
        """
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
        if self.signum is not None:
            raise Stopped(self.signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == getattr(signal, "SIGUSR1", None):
            self.save = True
            return
        self.signum = self.signum or signum
        self._times += 1
        if not self._waiting or self._times >= _AT_ONCE:
            raise Stopped(signum)
