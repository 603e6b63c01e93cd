"""The training loop."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from reid.data.samplers import PlanSampler
from reid.engine import checkpoint as ckpt
from reid.engine import ema as averages
from reid.engine import inside, parallel
from reid.engine.freezing import Freezing
from reid.engine.looks import Looks
from reid.engine.meter import GRADIENT, DivergedError, Fault, Meter, Step
from reid.engine.optim import Schedule
from reid.engine.pictures import first_batch_pictures
from reid.engine.progress import Progress
from reid.engine.run_files import BEST, DIVERGED, LAST
from reid.engine.watch import FEAT_SPREAD, Watch, finite_sign, scale_is_lost, weight_size
from reid.engine.writer import RunWriter
from reid.evaluation.collapse import spread
from reid.losses import Criterion
from reid.utils import distributed
from reid.utils.batch import Batch, BatchLoader, to_unit
from reid.utils.errors import InputError
from reid.utils.logs import make_dir
from reid.utils.seeding import derive_seed
from reid.utils.signals import Stopped, StopSignals

PICTURED_EPOCHS = 3  # TensorBoard shows the first batch of this many epochs
# What a seed is derived for. The numbers must differ from those of the sampler, which are 0 and 1.
_RESEED = 2
_PERTURB = 3
_NAMED = 8  # image files that a message names
_RETRY = 60.0  # seconds after which a checkpoint that could not be written is tried again


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
        evaluate: Function () -> metrics as fractions, with "mAP"; the same in all processes. None
            evaluates nothing.
        looks: Function () -> what TensorBoard is shown of the last evaluation; None shows nothing.
        hparams: Settings that TensorBoard lists runs by.
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
        eval_period: Number of epochs between evaluations; 0 evaluates only after the last epoch,
            -1 never.
        checkpoint_period: Number of epochs between saves of last.pth.
        checkpoint_steps: Number of updates between saves inside an epoch; 0 is none.
        checkpoint_minutes: Minutes after a save until the next one inside an epoch; 0 is none.
        keep_last: Number of earlier checkpoints that are kept beside last.pth.
        log_period: Number of steps between readings of the loss.
        ema: Average of the weights, from :func:`reid.engine.ema.averaged_model`, which is what
            ``evaluate`` evaluates; None is none. It follows each update, and stays as it is where
            fp16 training skips one.
        freeze_epochs: Number of epochs at the begin in which the backbone is frozen; see
            :class:`reid.engine.freezing.Freezing`.
        perturb: Function (images, seed) -> images to train on instead, both (B, 3, H, W) in [0, 1].
        code: State of the code, stored in each checkpoint.
        facts: What else the run's numbers depend on, stored in each checkpoint.
        file_of: Function (index of a training image) -> its file, for messages about a batch; None
            names images by their indices.
        guard: Function that raises InputError if the folder is no longer this run's; it is called
            before each save.
        epoch: Number of completed epochs.
        best: The best mAP so far and its epoch; empty before the first evaluation.
    """

    model: Any
    criterion: Criterion
    optimizer: Optimizer
    schedule: Schedule
    loader: BatchLoader
    sampler: PlanSampler
    evaluate: Callable[[], Mapping[str, float]] | None
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
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 0.0
    keep_last: int = 1
    log_period: int = 20
    ema: AveragedModel | None = None
    freeze_epochs: int = 0
    perturb: Callable[[Tensor, int], Tensor] | None = None
    code: Mapping[str, Any] | None = None
    looks: Callable[[], Looks] | None = None
    hparams: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    guard: Callable[[], None] | None = None
    file_of: Callable[[int], Path] | None = None
    epoch: int = field(default=0, init=False)
    best: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        fp16 = self.precision is torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=fp16)
        self.network: Any = self.model  # what a step calls
        self._averaged = None if self.ema is None else self.ema.module
        self._freezing = Freezing(self.model, self.freeze_epochs)
        self._watch = Watch(self.logger, self.schedule.warmup_epochs)
        self._signals = StopSignals()
        self._row: dict[str, float] | None = None  # of an epoch that is trained and not evaluated
        self._inside: Mapping[str, Any] | None = None  # where to enter the next epoch
        self._steps_done = 0  # of the next epoch, in the last checkpoint
        self._saved_at = time.monotonic()
        self._unsaved: InputError | None = None  # the last save, if it failed

    def fit(self, signals: StopSignals | None = None) -> None:
        """Trains from the point reached to the end of ``max_epochs``.

        A finished epoch is saved before it is evaluated. An evaluation that fails is logged, and
        the run goes on; only that of the last epoch raises its error, when everything is saved.

        Args:
            signals: Requests to stop or to save; None heeds none.

        Raises:
            DivergedError: A loss or a weight is not finite; nothing is saved after that.
            Stopped: A signal asked for it; the state is saved.
        """
        self._signals = signals or StopSignals()
        written = self.epoch - (self._row is not None)
        writer = RunWriter(self.output_dir, written, self.logger)
        if not written:
            writer.add_hparams(self.hparams)
        if self._row is not None:  # the run ended before this epoch was evaluated
            if not self._evaluates():
                self.logger.info(f"epoch {self.epoch}, which waited for that, is not evaluated")
            self._conclude(writer, self._row)
        for epoch in range(self.epoch + 1, self.max_epochs + 1):
            with self._signals.deferred():
                row = self._train(writer, epoch)
            self._conclude(writer, row)

    def _train(self, writer: RunWriter, epoch: int) -> dict[str, float]:
        """Trains an epoch, or the rest of it, and saves it; returns its row."""
        self.sampler.set_epoch(epoch)
        rate = self.schedule.apply(self.optimizer, epoch)
        if epoch <= PICTURED_EPOCHS and distributed.is_main():
            self._add_pictures(writer, epoch)
        self.model.reseed(self._process_seed(epoch, _RESEED))
        row = {"epoch": epoch, "lr": rate, **self.train_epoch(epoch)}
        for model in self._models():
            parallel.average_bn_stats(model, self._freezing.frozen_part(epoch))
        self.epoch = epoch
        if self._evaluates():
            self._row = row
            self.save(False)
        return row

    def _conclude(self, writer: RunWriter, row: dict[str, float]) -> None:
        """Evaluates a trained epoch if that is due, and writes its row."""
        saved = self._row is not None
        metrics, error = self._evaluate()
        with self._signals.deferred():
            row = {**row, **metrics}
            self._row = None
            self._report(row)
            improved = row.get("mAP", -1.0) > self.best.get("mAP", -1.0)
            if improved:
                self.best = {"mAP": row["mAP"], "epoch": self.epoch}
            # The row is written before the checkpoint. A run that is killed between them drops the
            # row on resuming and writes it again; in the other order it would be lost.
            writer.write(row)
            last = self.epoch == self.max_epochs
            if error is None and (improved or last or (not saved and self._due())):
                self.save(improved)
            if metrics and self.looks is not None and distributed.is_main():
                self._add_looks(writer, self.looks)
            if last and self._unsaved is not None:
                raise self._unsaved
        if error is not None and last:
            raise error

    def _evaluate(self) -> tuple[Mapping[str, float], Exception | None]:
        """Returns the metrics, or none and the error that the evaluation ended with."""
        if self.evaluate is None or not self._evaluates():
            return {}, None
        try:
            return self.evaluate(), None
        except Exception as error:
            # Other processes may wait for this one, which then must end; the epoch is saved.
            if distributed.active():
                raise
            trace = None if isinstance(error, InputError) else error
            self.logger.error(
                f"the evaluation of epoch {self.epoch} failed: {error}; the epoch is saved in"
                f" {self.output_dir / LAST}, which tools/test.py can evaluate",
                exc_info=trace,
            )
            return {}, error

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Makes one pass over the loader; returns mean losses, accuracy and speed.

        Args:
            epoch: Number of the epoch, 1-based; ``sampler`` has its plan.

        Raises:
            DivergedError: If a loss or a gradient is not finite. The message names the image files;
                diverged.pth has the state, and last.pth is not written after that.
            Stopped: A signal asked for it; the state inside the epoch is saved.
        """
        meter = Meter(self.device, self.accumulate)
        self._freezing.set_gradients(epoch)
        self.network = parallel.wrap(self.model, self.criterion.consumes.values())
        before = self._enter(epoch, meter)  # behind it: wrapping makes all running statistics equal
        self.model.train()
        self._freezing.set_modes(epoch)
        self.criterion.train()
        steps = meter.steps + len(self.loader)
        progress = Progress(
            self.logger, epoch, self.max_epochs, steps, self.log_period, meter.steps
        )
        for batches in self._updates(meter, lambda: before + progress.seconds):
            self.optimizer.zero_grad(set_to_none=True)
            for remaining, batch in zip(range(len(batches))[::-1], batches, strict=True):
                with parallel.no_sync(self.network, remaining > 0):
                    seed = self._process_seed(epoch, _PERTURB, meter.steps)
                    meter.add(self.backward(batch, 1 / len(batches), seed))
            sign = self.update()
            if sign is not None:
                meter.add_gradient(sign)
            images = sum(len(batch.labels) for batch in batches) * distributed.world_size()
            if progress.advance(len(batches), images):
                progress.show(_shown(self._read(meter, epoch)))
            self._heed(meter, before + progress.seconds, meter.steps == steps)
        progress.close()
        speed = {"images_per_second": progress.images_per_second}
        return {**self._read(meter, epoch), **speed, "train_seconds": before + progress.seconds}

    def _updates(self, meter: Meter, seconds: Callable[[], float]) -> Iterator[list[Batch]]:
        """Yields the batches of each update; saves the updates made if the next cannot be read."""
        try:
            yield from grouped(self.loader, self.accumulate)
        except Exception:
            # Of several processes the others wait for the next update, and are in no state to save.
            if meter.steps and not distributed.active():
                self._save_inside(meter, seconds())
                self.logger.error(f"the next batch cannot be read; {self.position} are saved")
            raise

    def _save_inside(self, meter: Meter, seconds: float) -> None:
        self._row = None
        self._read(meter, self.epoch + 1)  # a training that has diverged is not saved
        self.save(False, inside.capture(self.model, meter, seconds, self._averaged))

    def _read(self, meter: Meter, epoch: int) -> dict[str, float]:
        """Returns the means of the epoch, and warns of what is wrong with them."""
        try:
            values = meter.read(epoch)
            if scale_is_lost(self.scaler):
                raise DivergedError(
                    f"{GRADIENT} was not finite in each of the last 36 steps or more, up to step"
                    f" {meter.steps} of epoch {epoch}, and fp16 training skipped them: the training"
                    " diverged",
                    Fault(GRADIENT, "inf", meter.steps, meter.steps, distributed.rank()),
                )
        except DivergedError as error:
            raise self._inspected(error, epoch) from None
        if distributed.is_main():
            self._watch.see(epoch, values, weight_size(self.model))
        if "logits" not in self.criterion.consumes.values():
            values.pop("accuracy", None)  # of a classifier that nothing trains
        return values

    def _inspected(self, error: DivergedError, epoch: int) -> DivergedError:
        """Adds the images of the batch to the message, and keeps the state in diverged.pth."""
        fault = error.fault
        assert fault is not None
        batches = range(fault.first, fault.step + 1)
        images = [i for step in batches for i in self.sampler.images(step, fault.rank)]
        files = [str(self.file_of(i)) if self.file_of else f"image {i}" for i in images]
        names = ", ".join(Path(file).name for file in files[:_NAMED])
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        found = {**fault._asdict(), "epoch": epoch, "images": images, "files": files}
        kept = self._keep_diverged(found)
        # A process that ends takes the others with it, so all wait for the file.
        distributed.from_main([0])
        return DivergedError(f"{error}; its images: {names}{more}; {kept}", fault)

    def _keep_diverged(self, found: Mapping[str, Any]) -> str:
        """Writes diverged.pth, whose "diverged" holds ``found``; says in words where it is."""
        path = self.output_dir / DIVERGED
        if not distributed.is_main():
            return f"the state is in {path}"
        state = {"diverged": dict(found), "criterion": self.criterion.state_dict()}
        try:
            if self.guard is not None:
                self.guard()
            ckpt.save(path, self.model, self.epoch, self.config, self.pids, state, self.code)
        except (OSError, InputError) as problem:
            return f"the state could not be kept in {path} ({problem})"
        return f"the state is in {path}"

    def _enter(self, epoch: int, meter: Meter) -> float:
        """Goes to the point inside the epoch that was saved; returns the seconds spent before."""
        state, self._inside = self._inside, None
        if state is None:
            return 0.0
        self.sampler.set_epoch(epoch, state["steps"])
        try:
            inside.restore(state, self.model, meter, self.device, self._averaged)
            return float(state["seconds"])
        # What a crafted file holds may fail in many ways.
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"{self.output_dir / LAST} is damaged: its point inside epoch {epoch} cannot be"
                f" read ({type(error).__name__}); remove it, and go on from an earlier one"
            ) from error

    def _heed(self, meter: Meter, seconds: float, last: bool) -> None:
        """Saves inside the epoch if that is due or was asked for, and stops if that was asked for.

        All processes have to do the same, so the strongest wish of any of them counts.
        """
        due = not last and self._save_is_due(meter.steps)  # after the last step the epoch is saved
        stop, save = self._signals.signum or 0, self._signals.save or due
        wish = distributed.largest(2 * stop + save)
        if not wish:
            return
        self._signals.save = False
        self._save_inside(meter, seconds)
        if wish > 1:
            raise Stopped(wish // 2)

    def _save_is_due(self, steps: int) -> bool:
        if self.checkpoint_steps and steps // self.accumulate % self.checkpoint_steps == 0:
            return True
        if not distributed.is_main():  # the clocks of processes differ
            return False
        waited = time.monotonic() - self._saved_at
        retry = self._unsaved is not None and waited > _RETRY
        return retry or 0 < self.checkpoint_minutes * 60 < waited

    def backward(self, batch: Batch, weight: float = 1.0, seed: int = 0) -> Step:
        """Adds ``weight`` times a batch's gradient to what the parameters hold.

        It does not wait for the device: values stay tensors until the meter reads them.

        Args:
            batch: Batch of this process, images (B, 3, H, W) uint8.
            weight: Factor of the gradient, 1 / number of batches of the update.
            seed: Seed for ``perturb``.

        Returns:
            What the meter adds up.
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
        statistics = {FEAT_SPREAD: spread(output.feat), **self.criterion.statistics()}
        values = {name: loss.detach() for name, loss in losses.items()}
        return Step(values, statistics, right, len(labels))

    def update(self) -> Tensor | None:
        """Makes one step along the gradient that the parameters hold.

        Returns:
            A () tensor that is finite if the gradient was, on the device; None in fp16, where
            gradients that are not finite are normal: the scaler leaves out their steps.
        """
        parallel.average_gradients(self.criterion)
        sign = None
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            parameters = [*self.model.parameters(), *self.criterion.parameters()]
            sign = nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        elif not self.scaler.is_enabled():
            sign = finite_sign(p for group in self._groups() for p in group["params"])
        before = self._scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # A scale that falls says that the step was skipped: the weights stay, and so does their
        # average.
        if self.ema is not None and self._scale() >= before:
            self.ema.update_parameters(self.model)
        return None if self.scaler.is_enabled() else sign

    def _scale(self) -> float:
        """Returns the scale of an fp16 loss if an average needs it: the device is waited for."""
        return self.scaler.get_scale() if self.ema is not None else 1.0

    def _models(self) -> list[nn.Module]:
        """Returns the model that is trained and, if there is one, its average."""
        return [model for model in (self.model, self._averaged) if model is not None]

    def save(self, improved: bool, point: Mapping[str, Any] | None = None) -> None:
        """Writes last.pth and, if the model has improved, best.pth, which has no optimizer state.

        The "model" of both is what is evaluated: the average of the weights if there is one.
        last.pth then has the weights that are trained besides.

        A file that cannot be written is logged, and tried again later: the run goes on.

        Args:
            improved: Whether this is the model with the best mAP so far.
            point: Where the run stands inside epoch ``epoch`` + 1, from :func:`inside.capture`;
                None is the end of ``epoch``.

        Raises:
            DivergedError: A weight is not finite; what was saved before stays.
        """
        if not distributed.is_main():
            return
        self._check_finite()
        if self.guard is not None:
            self.guard()
        state = {
            "world_size": distributed.world_size(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "criterion": self.criterion.state_dict(),
            "row": self._row,
            "inside": point,
            "facts": dict(self.facts),
        }
        if self.ema is not None:
            state[averages.KEY] = averages.state_of(self.ema, self.model)
        common = (self._models()[-1], self.epoch, self.config, self.pids)
        self._saved_at = time.monotonic()
        self._steps_done = point["steps"] if point is not None else 0
        self._unsaved = None
        path = self.output_dir / (BEST if improved else LAST)
        try:
            if not self.output_dir.exists():
                make_dir(self.output_dir)
                self.logger.error(f"{self.output_dir} has vanished and was made anew")
            if improved:
                ckpt.save(path, *common, {"facts": dict(self.facts)}, self.code)
            # last.pth comes second: if it is there, best.pth is there, too.
            path = self.output_dir / LAST
            ckpt.save(path, *common, state, self.code, self.keep_last)
        except OSError as error:
            self._unsaved = InputError(
                f"{path} could not be written ({error.strerror or error}); what was saved before is"
                " untouched; make room, and go on with --resume"
            )
            self.logger.error(f"{self._unsaved}; the next try is in {_RETRY:.0f} s")

    def _check_finite(self) -> None:
        """Raises DivergedError that names the first weight that is not finite."""
        name = _not_finite(*self._models(), self.criterion)
        if name:
            kept = self._keep_diverged({"part": name, "epoch": self.epoch})
            raise DivergedError(
                f"{name} is not finite after epoch {self.epoch}: the training diverged, and is not"
                f" saved; {kept}"
            )

    def resume(self, path: Path, state: Mapping[str, Any] | None = None) -> None:
        """Loads the state of last.pth, so that the run goes on as if it had not stopped.

        At an epoch's end random numbers need no state: they are derived from (seed, epoch).

        Args:
            path: The file.
            state: Its content, where it has been read already.

        Raises:
            InputError: The file has weights only, or other identities, or was written by another
                number of processes, whose batches, statistics and masks differ.
        """
        state = dict(state or ckpt.load(path))
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
        averages.load_weights(self.model, self.ema, state, path)
        options = [{k: v for k, v in g.items() if k != "params"} for g in self._groups()]
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.criterion.load_state_dict(state["criterion"])
            self.epoch = state["epoch"]
            self.best = dict(state["best"])
            self._row = state.get("row")
            self._inside = state.get("inside")
            self._steps_done = self._inside["steps"] if self._inside is not None else 0
        # What a crafted file holds may fail in many ways.
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path} does not fit this run: its state of optimizer or losses is of another kind"
                f" ({reason}); set OUTPUT_DIR to a folder of its own"
            ) from error
        # Rates and decay are those of the config, which may have been changed knowingly.
        for group, own in zip(self._groups(), options, strict=True):
            group.update(own)

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @property
    def position(self) -> str:
        """How far the last checkpoint of this run goes, in words."""
        steps = f" and {self._steps_done} steps" if self._steps_done else ""
        return f"{self.epoch} of {self.max_epochs} epochs{steps}"

    def _evaluates(self) -> bool:
        """Whether the epoch that was just trained is to be evaluated."""
        return self.eval_period >= 0 and self._due(self.eval_period)

    def _due(self, period: int | None = None) -> bool:
        period = self.checkpoint_period if period is None else period
        return self.epoch == self.max_epochs or (period > 0 and self.epoch % period == 0)

    def _process_seed(self, epoch: int, *purpose: int) -> int:
        # Process 0 draws as a run of one process does; each other process draws other numbers.
        others = [rank] if (rank := distributed.rank()) else []
        return derive_seed(self.seed, epoch, *purpose, *others)

    def _report(self, row: Mapping[str, float]) -> None:
        values = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
        self.logger.info(f"epoch {self.epoch}/{self.max_epochs} done: {values}")

    def _add_looks(self, writer: RunWriter, looks: Callable[[], Looks]) -> None:
        """Shows the last evaluation; pictures that cannot be drawn end no training."""
        try:
            found = looks()
        except (InputError, OSError) as error:
            self.logger.error(f"the ranked lists of epoch {self.epoch} are not shown: {error}")
            return
        for name, picture in found.pictures.items():
            writer.add_image(name, picture, self.epoch)
        for name, values in found.histograms.items():
            writer.add_histogram(name, values, self.epoch)

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


def _shown(reading: Mapping[str, float]) -> dict[str, float]:
    """Returns what of a reading a line of progress has room for."""
    return {k: v for k, v in reading.items() if k.startswith("loss_") or k == "accuracy"}


def _not_finite(*modules: nn.Module) -> str:
    """Returns the name of the first weight or buffer that is not finite, or ""."""
    tensors = [item for module in modules for item in module.state_dict().items()]
    finite = torch.stack([value.isfinite().all() for _, value in tensors])
    if bool(finite.all()):  # the device is waited for once
        return ""
    return next(name for (name, _), good in zip(tensors, finite.tolist(), strict=True) if not good)
