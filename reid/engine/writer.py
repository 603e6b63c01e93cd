"""What a run writes besides its weights: metrics.jsonl and TensorBoard's events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from reid.utils import distributed
from reid.utils.logs import MetricsLog, make_dir


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
    with SummaryWriter(str(folder / "tensorboard"), purge_step=last_epoch + 1) as board:
        yield RunWriter(metrics, board)
