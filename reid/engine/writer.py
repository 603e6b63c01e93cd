"""What a run writes besides its weights: metrics.jsonl and TensorBoard's events."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from reid.utils import distributed
from reid.utils.logs import MetricsLog, make_dir

EVENTS = re.compile(r"events\.out\.tfevents\.(\d{10})(\..*)")  # seconds since 1970, then the rest


class RunWriter:
    """Writes rows and pictures; without files it drops them.

    Args:
        metrics: File that gets the rows; None drops them.
        board: TensorBoard's writer, which gets rows and pictures; None drops them.
    """

    def __init__(
        self, metrics: MetricsLog | None = None, board: SummaryWriter | None = None
    ) -> None:
        self.metrics = metrics
        self.board = board

    def write(self, row: Mapping[str, float]) -> None:
        """Writes an epoch's row; it has the key ``epoch``."""
        if self.board is not None:
            # TensorBoard's thread dies where the folder has vanished.
            make_dir(Path(self.board.log_dir))
            for name, value in row.items():
                self.board.add_scalar(name, value, row["epoch"])
        if self.metrics is not None:
            self.metrics.write(dict(row))

    def add_image(self, name: str, picture: Tensor, epoch: int) -> None:
        """Shows a (3, H, W) picture in [0, 1].

        Args:
            name: Name of the picture in TensorBoard.
            picture: (3, H, W) float in [0, 1].
            epoch: Number of the epoch, 1-based.
        """
        if self.board is not None:
            make_dir(Path(self.board.log_dir))
            self.board.add_image(name, picture, epoch)


@contextmanager
def open_writer(folder: Path, last_epoch: int) -> Iterator[RunWriter]:
    """Opens the files of a run in ``folder``; of several processes only the first one has files.

    Args:
        folder: Folder of the run; it is made if it is missing.
        last_epoch: Rows and pictures of later epochs are dropped; a resumed run writes them anew.
    """
    if not distributed.is_main():
        yield RunWriter()
        return
    metrics = MetricsLog(make_dir(folder) / "metrics.jsonl", last_epoch)
    keep_order(folder / "tensorboard", int(time.time()))
    with SummaryWriter(str(folder / "tensorboard"), purge_step=last_epoch + 1) as board:
        yield RunWriter(metrics, board)


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
