"""The progress of an epoch: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm


class Progress:
    """Shows loss, accuracy, images per second and the remaining time.

    Args:
        logger: Logger that gets the plain lines.
        epoch: Number of the epoch, 1-based.
        max_epochs: Number of epochs of the run.
        steps: Batches in this epoch.
        period: Number of batches between two readings; only then the engine reads the losses, for
            which it waits for the device.
        done: Batches of this epoch that were done before the run was interrupted.
    """

    def __init__(
        self,
        logger: logging.Logger,
        epoch: int,
        max_epochs: int,
        steps: int,
        period: int,
        done: int = 0,
    ) -> None:
        self.logger = logger
        self.steps = steps
        self.period = period
        self.epoch = epoch
        self.max_epochs = max_epochs
        self.start = time.perf_counter()
        self.step = self.done = done
        self.images = 0
        self.title = f"epoch {epoch}/{max_epochs}"
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=steps, initial=done, desc=self.title, leave=False)

    def advance(self, steps: int, images: int) -> bool:
        """Counts steps; returns True where a reading is due.

        Args:
            steps: Number of batches since the last call.
            images: Number of images of these batches in all processes.
        """
        due = self.step // self.period < (self.step + steps) // self.period
        self.step += steps
        self.images += images
        if self.bar is not None:
            self.bar.update(steps)
        return due and self.step < self.steps

    @property
    def seconds(self) -> float:
        """Seconds since the epoch began or the run went on."""
        return time.perf_counter() - self.start

    @property
    def images_per_second(self) -> float:
        """Images a second since the epoch began or the run went on."""
        return self.images / max(self.seconds, 1e-9)

    def show(self, values: Mapping[str, float]) -> None:
        """Shows a reading."""
        text = {name: f"{value:.3f}" for name, value in values.items()}
        if self.bar is not None:
            self.bar.set_postfix({**text, "img/s": f"{self.images_per_second:.1f}"})
            return
        remaining = (self.max_epochs - self.epoch + 1) * self.steps - self.step
        eta = int(self.seconds / (self.step - self.done) * remaining)
        readings = " ".join(f"{name} {value}" for name, value in text.items())
        self.logger.info(
            f"{self.title} step {self.step}/{self.steps} {readings}"
            f" {self.images_per_second:.1f} images/s"
            f" eta {eta // 3600}:{eta // 60 % 60:02}:{eta % 60:02}"
        )

    def close(self) -> None:
        """Removes the bar from the terminal."""
        if self.bar is not None:
            self.bar.close()
