"""The training loop."""

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reid.data.samplers import PlanSampler
from reid.engine import checkpoint as ckpt
from reid.engine import parallel
from reid.engine.optim import Schedule
from reid.engine.pictures import first_batch_pictures
from reid.engine.progress import Progress
from reid.engine.writer import RunWriter, open_writer
from reid.losses import Criterion
from reid.utils import distributed
from reid.utils.batch import Batch, BatchLoader, to_unit
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed

LAST = "last.pth"
BEST = "best.pth"
PICTURED_EPOCHS = 3  # TensorBoard shows the first batch of this many epochs
# What a seed is derived for. The numbers must differ from those of the sampler, which are 0 and 1.
_RESEED = 2
_PERTURB = 3


class DivergedError(InputError):
    """A loss is not finite any more."""


@dataclass
class Trainer:
    """One run: model, data, optimizer, and the folder that it writes to.

    If there are several processes, each has a trainer with a part of every batch; the first process
    writes.

    Attributes:
        model: Model with the method ``reseed(seed)``, already on ``device``.
        criterion: Losses, (output, labels) -> named parts and "total".
        optimizer: Optimizer whose groups have ``initial_lr``.
        schedule: Learning rate of each epoch.
        loader: Loader of the batches that ``sampler`` plans.
        sampler: Sampler; it is told the epoch before each pass.
        evaluate: Function () -> metrics as fractions, with "mAP"; the same in all processes.
        logger: Logger of the run.
        output_dir: Folder for last.pth, best.pth, metrics.jsonl and TensorBoard's events.
        config: The resolved config as YAML text, stored in each checkpoint.
        pids: Sorted train pids, stored in each checkpoint.
        device: Device of the model.
        seed: Seed of the run.
        max_epochs: Length of the run in epochs.
        precision: Dtype of autocast; None is fp32.
        clip_norm: Largest norm of the whole gradient; 0 does not clip.
        accumulate: Number of batches whose mean gradient makes one update; the last update of an
            epoch takes the batches that remain.
        eval_period: Number of epochs between evaluations; 0 evaluates only after the last epoch.
        checkpoint_period: Number of epochs between saves of last.pth.
        log_period: Number of steps between readings of the loss.
        perturb: Function (images, seed) -> images to train on instead, both (B, 3, H, W) in [0, 1].
        code: State of the code, stored in each checkpoint.
        epoch: Number of completed epochs.
        best: The best mAP so far and its epoch; empty before the first evaluation.
    """

    model: Any
    criterion: Criterion
    optimizer: Optimizer
    schedule: Schedule
    loader: BatchLoader
    sampler: PlanSampler
    evaluate: Callable[[], Mapping[str, float]]
    logger: logging.Logger
    output_dir: Path
    config: str
    pids: list[int]
    device: torch.device
    seed: int
    max_epochs: int
    precision: torch.dtype | None = None
    clip_norm: float = 0.0
    accumulate: int = 1
    eval_period: int = 10
    checkpoint_period: int = 1
    log_period: int = 20
    perturb: Callable[[Tensor, int], Tensor] | None = None
    code: Mapping[str, Any] | None = None
    epoch: int = field(default=0, init=False)
    best: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        fp16 = self.precision is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=fp16)
        self.network: Any = self.model  # what a step calls

    def fit(self) -> None:
        """Trains from the epoch reached to ``max_epochs``."""
        with open_writer(self.output_dir, self.epoch) as writer:
            for epoch in range(self.epoch + 1, self.max_epochs + 1):
                rate = self.schedule.apply(self.optimizer, epoch)
                self.sampler.set_epoch(epoch)
                if epoch <= PICTURED_EPOCHS and distributed.is_main():
                    self._add_pictures(writer, epoch)
                self.model.reseed(self._process_seed(epoch, _RESEED))
                row = {"epoch": epoch, "lr": rate, **self.train_epoch(epoch)}
                self.epoch = epoch
                parallel.average_bn_stats(self.model)
                if self._due(self.eval_period):
                    row |= self.evaluate()
                self._report(row)
                improved = row.get("mAP", -1.0) > self.best.get("mAP", -1.0)
                if improved:
                    self.best = {"mAP": row["mAP"], "epoch": epoch}
                # The row is written before the checkpoint. A run that is killed between them drops
                # the row on resuming and writes it again; in the other order it would be lost.
                writer.write(row)
                if improved or self._due(self.checkpoint_period):
                    self.save(improved)

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Makes one pass over the loader; returns mean losses, accuracy and speed.

        Raises:
            DivergedError: If a loss is not finite; nothing is saved after that.
        """
        self.network = parallel.wrap(self.model, self.criterion.consumes.values())
        self.model.train()
        self.criterion.train()
        meter = Meter(self.device)
        progress = Progress(self.logger, epoch, self.max_epochs, len(self.loader), self.log_period)
        for batches in grouped(self.loader, self.accumulate):
            self.optimizer.zero_grad(set_to_none=True)
            for remaining, batch in zip(range(len(batches))[::-1], batches, strict=True):
                with parallel.no_sync(self.network, remaining > 0):
                    seed = self._process_seed(epoch, _PERTURB, meter.steps)
                    meter.add(*self.backward(batch, 1 / len(batches), seed))
            self.update()
            images = sum(len(batch.labels) for batch in batches) * distributed.world_size()
            if progress.advance(len(batches), images):
                progress.show(meter.read(epoch))
        progress.close()
        speed = {"images_per_second": progress.images_per_second}
        return {**meter.read(epoch), **speed, "train_seconds": time.perf_counter() - progress.start}

    def backward(
        self, batch: Batch, weight: float = 1.0, seed: int = 0
    ) -> tuple[dict[str, Tensor], Tensor, int]:
        """Adds ``weight`` times a batch's gradient to what the parameters hold.

        It does not wait for the device: values stay tensors until the meter reads them.

        Args:
            batch: Batch of this process, images (B, 3, H, W) uint8.
            weight: Factor of the gradient, 1 / number of batches of the update.
            seed: Seed for ``perturb``.

        Returns:
            Losses by name, each a scalar () tensor; the number of right labels, () int64; and the
            number B of images. The tensors are on the device.
        """
        images = to_unit(batch.images.to(self.device, non_blocking=True))
        images = images.contiguous(memory_format=torch.channels_last)
        if self.perturb is not None:
            images = self.perturb(images, seed)
        labels = batch.labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
            output = self.network(images)
        losses = self.criterion(output, labels)
        self.scaler.scale(losses["total"] * weight).backward()
        right = (output.logits.detach().argmax(1) == labels).sum()
        return {name: loss.detach() for name, loss in losses.items()}, right, len(labels)

    def update(self) -> None:
        """Makes one step along the gradient that the parameters hold."""
        parallel.average_gradients(self.criterion)
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            parameters = [*self.model.parameters(), *self.criterion.parameters()]
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def save(self, improved: bool) -> None:
        """Writes last.pth and, if the model has improved, best.pth, which has no optimizer state.

        Args:
            improved: Whether this is the model with the best mAP so far.
        """
        if not distributed.is_main():
            return
        state = {
            "world_size": distributed.world_size(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "criterion": self.criterion.state_dict(),
        }
        common = (self.model, self.epoch, self.config, self.pids)
        if improved:
            ckpt.save(self.output_dir / BEST, *common, {}, self.code)
        # last.pth comes second: if it is there, best.pth is there, too.
        ckpt.save(self.output_dir / LAST, *common, state, self.code)

    def resume(self, path: Path) -> None:
        """Loads the state of last.pth, so that the run goes on as if it had not stopped.

        Random numbers need no state: they are derived from (seed, epoch).

        Raises:
            InputError: The file has weights only, or other identities, or was written by another
                number of processes, whose batches, statistics and masks differ.
        """
        state = ckpt.load(path)
        if "optimizer" not in state:
            raise InputError(f"{path} holds weights only; resume from {LAST}")
        if state["pids"] != self.pids:
            raise InputError(f"{path} was trained on other identities than this data set holds")
        then = state.get("world_size", 1)
        now = distributed.world_size()
        if then != now:
            raise InputError(
                f"{path} was trained by {then} processes, this is a run of {now}, and so another"
                f" run; start {then}, or give it a folder of its own"
            )
        ckpt.load_model(self.model, state, path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.criterion.load_state_dict(state["criterion"])
        self.epoch = state["epoch"]
        self.best = state["best"]

    def _due(self, period: int) -> bool:
        return self.epoch == self.max_epochs or (period > 0 and self.epoch % period == 0)

    def _process_seed(self, epoch: int, *purpose: int) -> int:
        # Process 0 draws as a run of one process does; each other process draws other numbers.
        others = [rank] if (rank := distributed.rank()) else []
        return derive_seed(self.seed, epoch, *purpose, *others)

    def _report(self, row: Mapping[str, float]) -> None:
        values = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
        self.logger.info(f"epoch {self.epoch}/{self.max_epochs} done: {values}")

    def _add_pictures(self, writer: RunWriter, epoch: int) -> None:
        for name, picture in first_batch_pictures(self.model, self.loader, self.device):
            writer.add_image(name, picture, epoch)


def grouped(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yields lists of ``size`` batches; the last list may be shorter.

    Args:
        loader: The batches of an epoch.
        size: Number of batches whose mean gradient makes one update.
    """
    batches = iter(loader)
    while group := list(itertools.islice(batches, size)):
        yield group


class Meter:
    """Sums losses and hits on the device; only reading them waits for the device.

    A reading is the mean over all processes, which therefore have to read at the same steps.

    Args:
        device: Device of the sums.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums: dict[str, Tensor] = {}
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.steps = self.images = 0

    def add(self, losses: Mapping[str, Tensor], right: Tensor, images: int) -> None:
        """Adds one step.

        Args:
            losses: Losses by name, each a scalar () tensor on the device.
            right: () int64, number of images whose label was predicted.
            images: Number of images in the batch.
        """
        for name, loss in losses.items():
            self.sums[name] = self.sums[name] + loss if name in self.sums else loss
        self.right += right
        self.steps += 1
        self.images += images

    def read(self, epoch: int) -> dict[str, float]:
        """Returns the means since the epoch began.

        Raises:
            DivergedError: A mean is not finite; the message names the first one.
        """
        sums = torch.stack([value.double() for value in (*self.sums.values(), self.right)])
        *losses, right = (distributed.total(sums) / distributed.world_size()).tolist()
        means = {f"loss_{k}": loss / self.steps for k, loss in zip(self.sums, losses, strict=True)}
        for name, value in means.items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} became {value} in epoch {epoch}, by step {self.steps}: the training"
                    " diverged"
                )
        return {**means, "accuracy": right / self.images}
