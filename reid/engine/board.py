"""Curves and pictures for TensorBoard.

torch's own writer hands events to a thread, which ends for good at the first write that fails: a
full disk or a folder that was moved would end the training. Here each call writes its events, and
what cannot be written waits for the next call.
"""

import io
import itertools
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard import summary

from reid.utils.logs import Appended

EVENTS = re.compile(r"events\.out\.tfevents\.(\d{10})(\..*)")  # seconds since 1970, then the rest
BINS = 60  # of a histogram
_number = itertools.count()  # tells the files of one process and one second apart


class Board:
    """An event file of TensorBoard.

    Args:
        folder: Folder of the event files of a run; it need not exist.
        first_epoch: TensorBoard shows no earlier file's values of this epoch and later ones.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        now = time.time()
        keep_order(folder, int(now))
        place = f"{socket.gethostname()}.{os.getpid()}.{next(_number)}"
        start = SessionLog(status=SessionLog.START)
        head = _records(
            Event(wall_time=now, step=first_epoch, file_version="brain.Event:2"),
            Event(wall_time=now, step=first_epoch, session_log=start),
        )
        self._file = Appended(folder / f"events.out.tfevents.{int(now):010d}.{place}", head)

    def add_scalars(self, row: Mapping[str, float], epoch: int) -> None:
        """Adds a point to each curve.

        Args:
            row: Values by the name of their curve.
            epoch: Number of the epoch, 1-based.

        Raises:
            OSError: They could not be written; they are written with what comes next.
        """
        points = [summary.scalar(name, value) for name, value in row.items()]
        self._add(epoch, *points)

    def add_image(self, name: str, picture: Tensor, epoch: int) -> None:
        """Adds a picture.

        Args:
            name: Name of the picture.
            picture: (3, H, W) float in [0, 1].
            epoch: Number of the epoch, 1-based.

        Raises:
            OSError: It could not be written; it is written with what comes next.
        """
        self._add(epoch, summary.image(name, picture, dataformats="CHW"))

    def add_histogram(self, name: str, values: np.ndarray, epoch: int) -> None:
        """Adds how numbers are distributed.

        Args:
            name: Name of the histogram.
            values: (N,) numbers, at least one.
            epoch: Number of the epoch, 1-based.

        Raises:
            OSError: It could not be written; it is written with what comes next.
        """
        self._add(epoch, summary.histogram(name, values, BINS))

    def add_hparams(self, hparams: Mapping[str, Any], metrics: Sequence[str]) -> None:
        """Adds the settings by which TensorBoard lists and compares runs.

        Args:
            hparams: Numbers, texts and truth values by name.
            metrics: Names of the curves that are listed beside them.

        Raises:
            OSError: They could not be written; they are written with what comes next.
        """
        self._add(0, *summary.hparams(dict(hparams), dict.fromkeys(metrics, 0.0)))

    def _add(self, epoch: int, *summaries: object) -> None:
        now = time.time()
        events = [Event(wall_time=now, step=epoch, summary=part) for part in summaries]
        self._file.append(_records(*events))


def _records(*events: Event) -> bytes:
    """Returns events as an event file holds them: each with its length and checksums."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def keep_order(folder: Path, now: int) -> None:
    """Renames event files whose time stamp is not before ``now``, so that a new one is the last.

    TensorBoard reads the files of a run in the order of their names, which begin with the time.
    Each file opens with the epoch from which it takes the place of what was read before. Where the
    clock was set back, the new file would be read first, and the older one would then remove the
    new epochs.

    Args:
        folder: Folder of the event files; it may be missing.
        now: Time stamp of the file that comes next, in seconds since 1970.
    """
    limit = now - 1
    for file in sorted(folder.glob("events.out.tfevents.*"), reverse=True):
        match = EVENTS.fullmatch(file.name)
        if match is None:
            continue
        stamp = min(int(match[1]), limit)
        if stamp < int(match[1]):
            with suppress(OSError):  # on Windows a file that TensorBoard reads cannot be renamed
                file.rename(file.with_name(f"events.out.tfevents.{stamp:010d}{match[2]}"))
            limit = stamp - 1  # the next older one stays before it
