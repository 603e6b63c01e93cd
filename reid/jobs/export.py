"""From a checkpoint to a file that runs elsewhere, checked, tested and timed: ``reid export``."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import torch
from tabulate import tabulate
from torch import Tensor, nn
from yacs.config import CfgNode

from reid import builders
from reid.builders.checkpoints import carried_config, weight_file
from reid.builders.data import build_eval_loader
from reid.builders.evaluation import plain_retrieval
from reid.builders.extractor import WANTED, load_extractor
from reid.builders.weights import load_any
from reid.data.records import Splits
from reid.embedding.extractor import FeatureExtractor
from reid.evaluation.features import Embedding
from reid.export import onnx, program
from reid.export.onnx import OnnxFeatures, save_int8, save_onnx
from reid.export.pixels import FromUnit, PixelModel, largest_difference
from reid.export.program import ProgramFeatures, save_program, trace
from reid.export.timing import images_per_second
from reid.utils.errors import InputError
from reid.utils.logs import make_dir, sync_folder, temporary_of

MOST_DIFFERENCE = 1e-5
REAL_IMAGES = 64  # that are compared
CALIBRATION_IMAGES = 128  # of int8
TIMED_BATCH = 16
MOST_LOSS = 0.01  # of mAP, of a file in int8 that is written
ENDINGS = {"onnx": onnx.ENDING, "torch": program.ENDING}
EAGER = "eager fp32"
FORMS = {"onnx": "ONNX Runtime fp32", "torch": "torch.export fp32"}
INT8 = "ONNX Runtime int8"
Say = Callable[[str], object]


class Wish(NamedTuple):
    """What is asked for besides the file.

    Attributes:
        test: Evaluate the file on the test set, where the data is there.
        time: Measure how fast it is.
        int8: Write a second file in int8, if it is exact enough.
    """

    test: bool = True
    time: bool = True
    int8: bool = False


def export(
    source: Path,
    output: Path,
    kind: str = "onnx",
    wish: Wish | None = None,
    overrides: Sequence[str] = (),
    say: Say = print,
) -> None:
    """Writes a model as a file; nothing is written under that name if it differs from the model.

    Args:
        source: A checkpoint, or the folder of a run.
        output: The file.
        kind: "onnx" or "torch".
        wish: What is asked for besides.
        overrides: ``[KEY, VALUE, ...]``, settings that go before those in the checkpoint.
        say: Gets each line of what is found.

    Raises:
        InputError: The checkpoint is damaged, the network cannot be exported, the file differs from
            it by more than 1e-5, or a package is missing.
    """
    wish = wish or Wish()
    _check(output, kind, wish)
    extractor = load_extractor(source, "cpu", [*overrides, "TEST.PRECISION", "fp32"])
    model = PixelModel(extractor.embedding, extractor.size)
    data = _Data.of(source, overrides, say) if wish.test or wish.int8 else None
    make_dir(output.parent)
    with temporary_of(output) as temporary:
        features = _written(extractor, model, temporary, kind)
        _compare(model, features, data, say)
        temporary.replace(output)
    sync_folder(output.parent)
    height, width = extractor.size
    say(f"written: {output}: uint8 (N, {height}, {width}, 3) RGB to {extractor.feat_dim} numbers")
    forms: dict[str, nn.Module] = {EAGER: model, "eager bf16": _bf16(model), FORMS[kind]: features}
    quantized = _int8(output, data, say) if wish.int8 else None
    if quantized is not None:
        forms[INT8] = quantized
    _report(forms, data if wish.test else None, wish, say)


def _check(output: Path, kind: str, wish: Wish) -> None:
    """Refuses at the start what would fail at the end."""
    if output.suffix != ENDINGS[kind]:
        raise InputError(f"-o {output}: the name of such a file ends in {ENDINGS[kind]}")
    if wish.int8 and kind != "onnx":
        raise InputError("--int8 is for --to onnx")
    for path in (output, *([_int8_path(output)] if wish.int8 else [])):
        if path.exists():
            raise InputError(f"{path} exists; choose another name for -o, or remove it")
    if kind == "onnx":
        onnx.check_installed()


def _written(extractor: FeatureExtractor, model: PixelModel, path: Path, kind: str) -> nn.Module:
    """Writes a file, and returns it as a model."""
    if kind == "onnx":
        facts = {"fingerprint": extractor.fingerprint, "source": Path(extractor.source).name}
        save_onnx(model, path, {f"reid.{key}": value for key, value in facts.items()})
        return OnnxFeatures(path)
    save_program(trace(model), path)
    return ProgramFeatures(path)


def _compare(model: PixelModel, features: nn.Module, data: "_Data | None", say: Say) -> None:
    """Raises InputError if a file gives other features than the model."""
    noise = [model.random(count, seed=count) for count in (1, 2, 7)]
    sets = {"random": noise}
    if data is not None:
        sets["real"] = data.pixels(REAL_IMAGES)
    for name, batches in sets.items():
        found = largest_difference(model, features, batches)
        count = sum(len(batch) for batch in batches)
        if not found <= MOST_DIFFERENCE:
            raise InputError(
                f"the exported file differs from the model by {found:.2g} on {count} {name} images,"
                f" more than {MOST_DIFFERENCE:g}: it is not written"
            )
        say(f"largest difference to torch on {count} {name} images: {found:.2g}")
    if data is None:
        say("not compared on real images")


@dataclass(frozen=True)
class _Data:
    """The test set of a checkpoint.

    Attributes:
        cfg: Config of its test.
        splits: Query and gallery.
        known: mAP and Rank-1 of what was evaluated, by name.
    """

    cfg: CfgNode
    splits: Splits
    known: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Path, overrides: Sequence[str], say: Say) -> "_Data | None":
        """Returns the test set, or None, and says why, where the data is not there."""
        file = weight_file(source)
        fixed = ["MODEL.DEVICE", "cpu", "TEST.PRECISION", "fp32", "DATALOADER.CACHE", "none"]
        wanted = (*WANTED, "DATASETS.", "DATALOADER.", "ATTACK.SIZE")
        cfg = carried_config(load_any(file)[0], file, [*overrides, *fixed], wanted)
        logger = logging.getLogger("reid.export")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        try:
            splits = builders.load_splits(cfg, False, logger)
            builders.check_matched(
                cfg,
                splits.query,
                splits.gallery,
                builders.same_pictures(cfg, splits.query, splits.gallery),
            )
        except InputError as error:
            say(f"the test set is not there: {error}")
            return None
        return cls(cfg, splits)

    def pixels(self, count: int) -> list[Tensor]:
        """Returns batches of so many images of the gallery, evenly spaced, (N, H, W, 3) uint8."""
        gallery = self.splits.gallery
        count = min(count, len(gallery))
        some = tuple(gallery[i * len(gallery) // count] for i in range(count))
        loader = build_eval_loader(self.cfg, some, torch.device("cpu"), "gallery", once=True)
        return [
            part.permute(0, 2, 3, 1).contiguous()
            for batch in loader
            for part in batch.images.split(TIMED_BATCH)
        ]

    def rates(self, name: str, model: nn.Module) -> tuple[float, float]:
        """Returns mAP and Rank-1 of a model of bytes, which is evaluated once.

        Args:
            name: Its name.
            model: Maps (N, H, W, 3) uint8 to (N, D).
        """
        if name in self.known:
            return self.known[name]
        q, g = self.splits.query, self.splits.gallery
        pictures = builders.same_pictures(self.cfg, q, g)
        retrieval = plain_retrieval(self.cfg)
        found = builders.evaluate(
            self.cfg, FromUnit(model), self.splits, retrieval, pictures=pictures
        )
        ranking = found.rankings["plain"]
        self.known[name] = (ranking.mAP, float(ranking.cmc[0]))
        return self.known[name]


def _int8_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}.int8{output.suffix}")


def _int8(output: Path, data: _Data | None, say: Say) -> nn.Module | None:
    """Writes a file in int8 beside another if it loses little; returns it, or None."""
    path = _int8_path(output)
    if data is None:
        say(f"{path} is not written: without the test set nobody knows what it loses")
        return None
    with temporary_of(path) as temporary:
        save_int8(output, temporary, data.pixels(CALIBRATION_IMAGES))
        quantized = OnnxFeatures(temporary)
        whole = data.rates(FORMS["onnx"], OnnxFeatures(output))[0]
        loss = whole - data.rates(INT8, quantized)[0]
        say(f"int8, with ranges of images of the gallery, loses {100 * loss:.2f} points of mAP")
        if loss > MOST_LOSS:
            say(f"{path} is not written: that is more than {100 * MOST_LOSS:g} point")
        else:
            temporary.replace(path)
            say(f"written: {path}")
    return quantized


def _bf16(model: PixelModel) -> PixelModel:
    """Returns the same model under autocast to bf16."""
    embedding: Embedding = copy.copy(model.embedding)
    embedding.dtype = torch.bfloat16
    return PixelModel(embedding, model.size)


def _report(forms: Mapping[str, nn.Module], data: _Data | None, wish: Wish, say: Say) -> None:
    """Prints a table of what each form of the model reaches, and how fast it is."""
    headers = ["model"]
    rows = {name: [name] for name in forms}
    if data is not None:
        headers += ["mAP %", "Rank-1 %", "loss of mAP"]
        whole = data.rates(EAGER, forms[EAGER])[0]
        for name, form in forms.items():
            mean_ap, rank1 = data.rates(name, form)
            rows[name] += [f"{100 * v:.2f}" for v in (mean_ap, rank1, whole - mean_ap)]
    if wish.time:
        blank = [""] * (len(headers) - 1)
        headers.append("images/s")
        for name, speed in _speeds(forms, say).items():
            rows.setdefault(name, [name, *blank]).append(speed)
    if len(headers) > 1:
        timed = f", batches of {TIMED_BATCH}, {torch.get_num_threads()} threads" * wish.time
        table = tabulate(list(rows.values()), headers, disable_numparse=True)
        say(f"on the CPU{timed}\n{table}")


def _speeds(forms: Mapping[str, nn.Module], say: Say) -> dict[str, str]:
    """Returns the images a second of each form, and of compiled ones, by name."""
    model = cast(PixelModel, forms[EAGER])
    pixels = model.random(TIMED_BATCH)
    speeds = {name: f"{images_per_second(form, pixels):.1f}" for name, form in forms.items()}
    for name in (EAGER, "eager bf16"):
        compiled = name.replace("eager", "compiled")
        form = cast(nn.Module, torch.compile(forms[name]))
        try:
            speeds[compiled] = f"{images_per_second(form, pixels):.1f}"
        except Exception as error:  # no compiler, or one that fails: a matter of the machine
            first = (str(error).splitlines() or [""])[0]
            say(f"{compiled} is not timed: {type(error).__name__}: {first[:200]}")
    return speeds
