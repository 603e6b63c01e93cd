"""Are two images of one person? What a test measures for it, and what ``reid verify`` answers."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from yacs.config import CfgNode

from reid.builders.checkpoints import weight_file
from reid.builders.common import build_device
from reid.builders.evaluation import protocol_errors
from reid.builders.extractor import load_extractor
from reid.embedding.extractor import FeatureExtractor
from reid.evaluation.expansion import l2_normalize
from reid.evaluation.features import Embedding, Features
from reid.evaluation.verification import verification
from reid.evaluation.verification.calibration import Calibration
from reid.evaluation.verification.files import (
    FILE,
    beside,
    read_verification,
    write_verification,
)
from reid.evaluation.verification.wording import holds_for, sentence, sentences
from reid.utils.errors import InputError, unknown

USUAL_RATE = 1e-3  # false-accept rate of the threshold that is taken where none is asked for


def verify_test(
    cfg: CfgNode,
    sides: tuple[Features, Features],
    folder: Path,
    facts: dict[str, Any],
    logger: logging.Logger,
    embed: Embedding | None = None,
) -> None:
    """Measures verification on the features of a test if TEST.VERIFICATION is on.

    What it found is logged, and written to the folder of the test and, where a checkpoint was
    tested, beside that, for ``reid verify``. Where it is off, an older result of another test is
    removed from the folder.

    Args:
        cfg: The config.
        sides: Features of query and gallery.
        folder: Folder of the results.
        facts: What is known of the test, such as "weight" and "dataset".
        logger: Is told what was found.
        embed: The model that was tested; None where features or a reference were.
    """
    if not cfg.TEST.VERIFICATION:
        (folder / FILE).unlink(missing_ok=True)
        return
    with protocol_errors():
        found = verification(*sides, cfg.TEST.PROTOCOL, cfg.SEED)
    names = ("weight", "features", "dataset", "data")
    known: dict[str, Any] = {key: facts[key] for key in names if key in facts}
    record: dict[str, Any] = {**found, **known}
    if embed is not None:
        record["fingerprint"] = _fingerprint(cfg, embed)
    files = [folder / FILE]
    write_verification(files[0], record)
    if embed is not None and "weight" in facts:
        files += _beside_weight(Path(str(facts["weight"])), record, logger)
    logger.info("\n".join(["verification", *sentences(record)]))
    logger.info(f"written: {', '.join(map(str, files))}")


def _fingerprint(cfg: CfgNode, embed: Embedding) -> str:
    size: tuple[int, int] = tuple(cfg.INPUT.SIZE_TEST)
    return FeatureExtractor(embed, size, build_device(cfg)).fingerprint


def _beside_weight(weight: Path, record: dict[str, Any], logger: logging.Logger) -> list[Path]:
    """Writes the thresholds where ``reid verify`` looks for them; returns the file."""
    file = beside(weight)
    try:
        write_verification(file, record)
    except OSError as error:
        logger.warning(
            f"warning: {file} cannot be written ({error.strerror}); hand the file in the folder of"
            " the test to reid verify by --figures"
        )
        return []
    return [file]


class Answer(NamedTuple):
    """What ``reid verify`` says.

    Attributes:
        same: Whether the two images are taken for one person.
        text: The answer in words.
    """

    same: bool
    text: str


def verify(
    images: tuple[Path, Path],
    weight: Path,
    threshold: float | None = None,
    rate: float | None = None,
    figures: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> Answer:
    """Says whether two images show one person.

    Args:
        images: Two files.
        weight: A checkpoint, or the folder of a run.
        threshold: Score above which they do; None takes that of the test.
        rate: False-accept rate of the threshold of the test; None takes 1e-3, or the lowest one
            that was measured.
        figures: A verification.json; None takes the one beside the checkpoint.
        overrides: ``[KEY, VALUE, ...]``, settings that go before those in the checkpoint.

    Raises:
        InputError: An image cannot be read, there is no threshold, or it is of another model.
    """
    extractor = load_extractor(weight, overrides=overrides)
    record = None
    if threshold is None:
        file = figures or beside(weight_file(weight))
        record = _figures_of(file, extractor)
        point = _point(record, rate, file)
        threshold = point["threshold"]
    one, other = l2_normalize(extractor.embed(list(images)), "image")
    score = float(np.clip(one @ other, -1, 1))
    same = score > threshold
    lines = [
        f"score {score:.4f}: {'the same person' if same else 'two people'}"
        f" (threshold {threshold:.4g})"
    ]
    if record is not None:
        curve = record["calibration"]
        chance = Calibration(curve["slope"], curve["intercept"], 0).probability(score)
        lines.append(
            f"probability of one person {chance:.3f}, if both answers are as likely beforehand"
        )
        lines += [sentence(point), f"this holds for {holds_for(record)}"]
    return Answer(same, "\n".join(lines))


def _figures_of(file: Path, extractor: FeatureExtractor) -> dict[str, Any]:
    """Reads the figures of a test of this very model."""
    if not file.is_file():
        raise InputError(
            f"{file} does not exist, so no threshold is known: test the checkpoint with"
            " TEST.VERIFICATION True, or give --threshold"
        )
    record = read_verification(file)
    if record.get("fingerprint") != extractor.fingerprint:
        raise InputError(
            f"{file} is of another model, or of other settings than these (fingerprint"
            f" {record.get('fingerprint')}, now {extractor.fingerprint}): test the checkpoint with"
            " TEST.VERIFICATION True and these settings, or give --threshold"
        )
    return record


def _point(record: dict[str, Any], rate: float | None, file: Path) -> dict[str, Any]:
    """Returns the operating point of a rate."""
    points: dict[float, dict[str, Any]] = {p["rate"]: p for p in record["thresholds"]}
    if not points:
        raise InputError(
            f"{file} has no threshold, because its test had only {record['impostor_pairs']}"
            " impostor pairs; give --threshold"
        )
    if rate is None:
        rate = USUAL_RATE if USUAL_RATE in points else min(points)
    if rate not in points:
        known = [f"{one:g}" for one in points]
        raise InputError(f"--rate: {file} has an {unknown('rate', f'{rate:g}', known)}")
    return points[rate]
