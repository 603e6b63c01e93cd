"""One folder, one run."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reid.utils import lock as module
from reid.utils.errors import InputError
from reid.utils.lock import NAME, FolderLock, locked_folder


def test_the_second_run_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked_folder(folder) as first:
        with pytest.raises(InputError, match=f"another run: process {os.getpid()} on "):
            FolderLock(folder).acquire()
        first.check()
    assert list(folder.iterdir()) == []
    with locked_folder(folder):
        pass


def test_the_mark_of_a_killed_process_is_stale_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from reid.utils.lock import FolderLock;"
        "FolderLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9 and (tmp_path / NAME).exists()
    with locked_folder(tmp_path):
        pass


def test_a_number_that_another_process_has_now_is_no_sign_of_life(tmp_path: Path) -> None:
    dead = {**FolderLock(tmp_path).owner, "started": "1"}  # as long after the start of the machine
    (tmp_path / NAME).write_text(json.dumps(dead))
    with locked_folder(tmp_path):
        pass


def test_another_machine_is_believed_while_it_gives_signs(tmp_path: Path) -> None:
    far = {**FolderLock(tmp_path).owner, "host": "far-away", "pid": 1}
    mark = tmp_path / NAME
    mark.write_text(json.dumps(far))
    with pytest.raises(InputError, match="process 1 on far-away"):
        FolderLock(tmp_path).acquire()
    old = time.time() - 170
    os.utime(mark, (old, old))
    with pytest.raises(InputError):
        FolderLock(tmp_path).acquire()
    old -= 20
    os.utime(mark, (old, old))
    with locked_folder(tmp_path):
        pass


def test_a_run_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.01)
    with locked_folder(tmp_path):
        mark = tmp_path / NAME
        os.utime(mark, (0, 0))
        deadline = time.monotonic() + 10
        while mark.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert mark.stat().st_mtime > 0


def test_who_lost_the_folder_notices_before_it_writes(tmp_path: Path) -> None:
    with locked_folder(tmp_path) as first:
        (tmp_path / NAME).write_text(json.dumps({**first.owner, "token": "of another"}))
        with pytest.raises(InputError, match="was taken by another run"):
            first.check()
    assert (tmp_path / NAME).exists(), "it is not this run's to remove"


def test_a_mark_that_cannot_be_read_is_stale_when_it_is_old(tmp_path: Path) -> None:
    mark = tmp_path / NAME
    mark.write_text("[half")
    with pytest.raises(InputError, match="another run"):
        FolderLock(tmp_path).acquire()
    os.utime(mark, (0, 0))
    with locked_folder(tmp_path):
        pass


def test_of_many_that_find_a_stale_mark_one_gets_the_folder(tmp_path: Path) -> None:
    for round_ in range(20):
        folder = tmp_path / str(round_)
        folder.mkdir()
        (folder / NAME).write_text("{}")
        os.utime(folder / NAME, (0, 0))
        start, got = threading.Barrier(8), []

        def take(folder: Path = folder, start: threading.Barrier = start, got: list = got) -> None:
            lock = FolderLock(folder)
            start.wait()
            try:
                lock.acquire()
                got.append(lock)
            except InputError:
                pass

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        holders = [lock for lock in got if json.loads((folder / NAME).read_text()) == lock.owner]
        assert len(holders) == 1
        for lock in got:
            if lock not in holders:
                with pytest.raises(InputError):
                    lock.check()  # a loser of a race of three is told before it writes
            lock.release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        FolderLock(tmp_path / "file").acquire()
