"""What a run writes besides its weights: metrics.jsonl and TensorBoard's events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from reid.engine.board import Board
from reid.utils import distributed
from reid.utils.logs import MetricsLog, make_dir


class RunWriter:
    """Writes rows and pictures; of several processes only the first one writes.

    What cannot be written now, because the disk is full or the folder has vanished, is said in the
    log and written later.

    Args:
        folder: Folder of the run; it is made if it is missing.
        last_epoch: Rows and pictures of later epochs are dropped; a resumed run writes them anew.
        logger: Logger of the run.
    """

    def __init__(self, folder: Path, last_epoch: int, logger: Logger) -> None:
        self.logger = logger
        self.metrics: MetricsLog | None = None
        self.board: Board | None = None
        if distributed.is_main():
            self.metrics = MetricsLog(make_dir(folder) / "metrics.jsonl", last_epoch)
            self.board = Board(folder / "tensorboard", last_epoch + 1)

    def write(self, row: Mapping[str, float]) -> None:
        """Writes an epoch's row.

        Args:
            row: Numbers by name; ``epoch`` is one of them.
        """
        epoch = int(row["epoch"])
        with self._waits(f"the row of epoch {epoch}"):
            if self.metrics is not None:
                self.metrics.write(dict(row))
        with self._waits(f"the curves of epoch {epoch}"):
            if self.board is not None:
                self.board.add_scalars(row, epoch)

    def add_image(self, name: str, picture: Tensor, epoch: int) -> None:
        """Shows a picture.

        Args:
            name: Name of the picture in TensorBoard.
            picture: (3, H, W) float in [0, 1].
            epoch: Number of the epoch, 1-based.
        """
        with self._waits(f"the picture {name} of epoch {epoch}"):
            if self.board is not None:
                self.board.add_image(name, picture, epoch)

    def add_histogram(self, name: str, values: np.ndarray, epoch: int) -> None:
        """Shows how numbers are distributed.

        Args:
            name: Name of the histogram in TensorBoard.
            values: (N,) numbers, at least one.
            epoch: Number of the epoch, 1-based.
        """
        with self._waits(f"the histogram {name} of epoch {epoch}"):
            if self.board is not None:
                self.board.add_histogram(name, values, epoch)

    def add_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Lists the run under its settings.

        Args:
            hparams: Numbers, texts and truth values by name.
        """
        with self._waits("the list of settings"):
            if self.board is not None and hparams:
                self.board.add_hparams(hparams, ("mAP", "rank1"))

    @contextmanager
    def _waits(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.logger.error(f"{what} waits to be written: {error}")
