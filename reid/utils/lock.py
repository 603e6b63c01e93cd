"""A folder that only one run writes to, also where runs are on different machines."""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reid.utils.errors import InputError
from reid.utils.logs import make_dir

NAME = ".run.lock"
_BEAT = 20.0  # seconds between two signs of life
_DEAD_AFTER = 180.0  # seconds without one, after which a run on another machine counts as dead


class TakenError(InputError):
    """Another run has the folder."""


class FolderLock:
    """Marks a folder as taken by this process.

    The mark is a file that says who made it, and whose time of change is renewed while the run
    lives. It is made in one step, so that of two runs one gets it. A mark is stale if its process
    has ended, for one of this machine, or if it was not renewed for three minutes, for one of
    another machine. Both times are those of the file system, so clocks of machines may differ.

    Args:
        folder: The folder; it is made if it is missing.
        name: Name of the mark: what it keeps from others.
    """

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.path = folder / name
        self.owner = {**_process(), "token": uuid.uuid4().hex}
        self._over = threading.Event()

    def acquire(self) -> None:
        """Takes the folder.

        Raises:
            TakenError: Another run has it.
            InputError: It cannot be written to.
        """
        make_dir(self.path.parent)
        while not self._make():
            other = _read(self.path)
            if other is not None and not self._is_stale(other):
                raise TakenError(
                    f"{self.path.parent} is being written by another run: process"
                    f" {other.get('pid')} on {other.get('host')}; set another OUTPUT_DIR, or wait"
                    f" until it has ended"
                )
            self._take_away(other)
        threading.Thread(target=self._beat, daemon=True).start()

    def check(self) -> None:
        """Raises InputError if another run has taken the folder, because this one seemed dead."""
        if _read(self.path) not in (self.owner, None):
            raise InputError(
                f"{self.path.parent} was taken by another run while this one gave no sign of life;"
                " this one ends"
            )

    def release(self) -> None:
        """Gives the folder back."""
        self._over.set()
        if _read(self.path) == self.owner:
            self.path.unlink(missing_ok=True)

    def _make(self) -> bool:
        own = self.path.with_name(f"{self.path.name}.{self.owner['token']}")
        try:
            own.write_text(json.dumps(self.owner), encoding="utf-8")
            try:
                os.link(own, self.path)  # it fails if the file is there, and it is never half
            except FileExistsError:
                return False
            except OSError:  # no hard links here
                with contextlib.suppress(FileExistsError), self.path.open("x") as file:
                    file.write(json.dumps(self.owner))
                    return True
                return False
        except OSError as error:
            reason = error.strerror
            raise InputError(f"{self.path.parent} is not writable ({reason})") from error
        finally:
            own.unlink(missing_ok=True)
        return True

    def _is_stale(self, other: dict[str, Any]) -> bool:
        mine = _process()
        # Windows has no harmless way to ask whether a process lives.
        if os.name != "nt" and all(
            other.get(key) == mine[key] for key in ("host", "boot", "namespace")
        ):
            return _start_of(other.get("pid")) != other.get("started")
        return self._age() > _DEAD_AFTER

    def _age(self) -> float:
        """Returns the seconds since the last sign of life, by the clock of the file system."""
        probe = self.path.with_name(f"{self.path.name}.{self.owner['token']}")
        probe.touch()
        try:
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            probe.unlink(missing_ok=True)

    def _take_away(self, stale: dict[str, Any] | None) -> None:
        """Removes a stale mark, and no other that took its place meanwhile."""
        aside = self.path.with_name(f"{self.path.name}.{self.owner['token']}.stale")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if _read(aside) != stale:
                with contextlib.suppress(OSError):
                    os.link(aside, self.path)
            aside.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            with contextlib.suppress(OSError):
                if _read(self.path) == self.owner:
                    os.utime(self.path)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[FolderLock]:
    """Holds a folder while the block runs; see :class:`FolderLock`.

    Raises:
        InputError: Another run has it.
    """
    lock = FolderLock(folder)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _read(path: Path) -> dict[str, Any] | None:
    """Returns what a mark says; {} for one that cannot be read, None if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _process() -> dict[str, Any]:
    """Says which process this is, among all of all machines and since they were started."""
    return {
        "host": socket.gethostname(),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "namespace": _namespace(),
        "pid": os.getpid(),
        "started": _start_of(os.getpid()),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _namespace() -> int:
    """Returns the number of this container's table of processes; 0 where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start_of(pid: Any) -> str:
    """Returns when a process of this machine began; "" if it is not there or is a zombie."""
    if not isinstance(pid, int):
        return ""
    stat = _text(f"/proc/{pid}/stat")
    if stat:
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in ("Z", "X") else fields[19]
    if os.path.isdir("/proc/self"):
        return ""
    try:  # no Linux: a number that was given anew cannot be told from the old one
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return ""
    return "alive"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
