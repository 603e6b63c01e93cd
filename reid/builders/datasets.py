"""Data sets: loaded, joined, cut, and what is said of them."""

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from yacs.config import CfgNode

from reid.builders.common import VALIDATION, make
from reid.config import config_errors
from reid.data.crop_lists import write_list
from reid.data.datasets import DATASETS
from reid.data.joining import join
from reid.data.layout import FoldersNotFoundError, passed_over
from reid.data.loaders import usable_workers
from reid.data.reading import unreadable
from reid.data.records import SPLITS, Records, Splits, describe_counts
from reid.data.splitting import cut_validation
from reid.evaluation.protocol import ANY_CAMERA, CROSS_CAMERA
from reid.utils import distributed
from reid.utils.errors import InputError
from reid.utils.logs import write_text
from reid.utils.seeding import derive_seed


def tested_names(cfg: CfgNode) -> tuple[str, ...]:
    """Returns the data sets that are tested on: DATASETS.TESTS, or where it is empty NAMES."""
    names: tuple[str, ...] = cfg.DATASETS.TESTS or cfg.DATASETS.NAMES
    return names


def load_splits(cfg: CfgNode, train: bool, logger: logging.Logger) -> Splits:
    """Loads the data sets and logs their counts beside the published ones.

    Train is that of all DATASETS.NAMES. Query and gallery are those of all data sets that are
    tested on; where there are several, each query is searched for in all galleries together.

    Args:
        cfg: The config.
        train: Whether the training images are needed.
        logger: Logger that gets the counts and the warnings.
    """
    trained, tested = cfg.DATASETS.NAMES if train else (), tested_names(cfg)
    parts = {
        name: _load(cfg, name, name in trained, logger)
        for name in dict.fromkeys((*trained, *tested))
    }
    evaluated = not train or cfg.SOLVER.EVAL_PERIOD >= 0
    for name in tested if evaluated and cfg.TEST.PROTOCOL == CROSS_CAMERA else ():
        if parts[name].query and not parts[name].cameras_known:
            raise InputError(
                f"{name}: its cameras are unknown, or there is one, and TEST.PROTOCOL"
                f" {CROSS_CAMERA} counts matches of other cameras only; set TEST.PROTOCOL"
                f" {ANY_CAMERA}"
            )
    return next(iter(parts.values())) if len(parts) == 1 else join(parts, trained, tested)


def _load(cfg: CfgNode, name: str, train: bool, logger: logging.Logger) -> Splits:
    root = Path(cfg.DATASETS.ROOT_DIR)
    try:
        splits: Splits = distributed.main_first(
            lambda: make(DATASETS, name, cfg, root=root, train=train, split=cfg.DATASETS.SPLIT)
        )
    except FoldersNotFoundError as error:
        raise InputError(f"{error} Set DATASETS.ROOT_DIR to the folder that holds it") from error
    if cfg.DATALOADER.ON_ERROR == "skip":
        splits = skip_unreadable(splits, usable_workers(cfg.DATALOADER.NUM_WORKERS), logger)
    if distributed.active():
        records = (*splits.train, *splits.query, *splits.gallery, *splits.val[0], *splits.val[1])
        found = [(r.path.name, r.pid, r.camid) for r in records]
        distributed.check_same(f"data set {name}", repr(found))
    rows, warnings = describe_counts(splits)
    headers = ("split", "images", "ids", "cameras", "published")
    logger.info(f"data set {name}\n{tabulate(rows, headers)}")
    for drawn in splits.drawn.values():
        logger.info(f"data set {name}: {drawn.rule}")
    for warning in warnings:
        logger.warning(f"warning: {name} {warning}")
    for split, part in zip(SPLITS, (splits.train, splits.query, splits.gallery), strict=True):
        for note in splits.notes[split] if split in splits.notes else _endings(part):
            logger.warning(f"warning: {name} {split}: {note}")
    return splits


def write_drawn(cfg: CfgNode, splits: Splits, logger: logging.Logger) -> None:
    """Writes each split that a rule made to OUTPUT_DIR, as a list for DATASETS.CSV.FILE.

    Args:
        cfg: The config.
        splits: The data set.
        logger: Logger that is told how others repeat the split.
    """
    for name, drawn in splits.drawn.items() if distributed.is_main() else ():
        file = Path(cfg.OUTPUT_DIR) / f"split_{name}.csv"
        text = write_list(drawn)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            logger.warning(
                f"warning: {name}: {file} is not written, since the name of an image or a person is"
                " no UTF-8; rename it, so that others can repeat the split"
            )
            continue
        write_text(file, text)
        logger.info(
            f"split written: {file}; it is repeated by DATASETS.NAMES csv DATASETS.CSV.FILE"
            f" {shlex.quote(str(file))} DATASETS.CSV.FOLDER {shlex.quote(str(drawn.root))}"
        )


def _endings(records: Records) -> list[str]:
    """Says what a data set that takes no notes itself has beside its images."""
    return [
        f"{n} files are not read ({ending})" for ending, n in sorted(passed_over(records).items())
    ]


LISTED = 100  # names of images that were left out go to the log; more would hide the rest of it


def skip_unreadable(splits: Splits, threads: int, logger: logging.Logger) -> Splits:
    """Decodes every image once, and returns the data set without those that cannot be read.

    Each process checks a part of the images; all leave out the same ones.

    Args:
        splits: The data set.
        threads: Number of threads that decode.
        logger: Logger that gets the names of the images that are left out.

    Raises:
        InputError: A split has no readable image.
    """
    numbers: dict[str, int] = {}

    def readable(split: str, records: Records) -> Records:
        bad = _unreadable_of_all([record.path for record in records], threads, split)
        if not bad:
            return records
        numbers[split] = len(bad)
        lines = [f"{records[i].path}: {reason}" for i, reason in sorted(bad.items())]
        more = [f"... and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
        logger.warning(
            f"warning: {split}: {len(bad)} of {len(records)} images cannot be read and are left"
            " out (DATALOADER.ON_ERROR skip)\n" + "\n".join(lines[:LISTED] + more)
        )
        if len(bad) == len(records):
            raise InputError(f"{split}: none of the {len(records)} images can be read; {lines[0]}")
        return tuple(record for i, record in enumerate(records) if i not in bad)

    parts = zip(SPLITS, (splits.train, splits.query, splits.gallery), strict=True)
    left: dict[str, Any] = {split: readable(split, records) for split, records in parts}
    query, gallery = splits.val
    left["val"] = (readable("val query", query), readable("val gallery", gallery))
    return splits._replace(**left, unreadable=numbers)


def _unreadable_of_all(paths: Sequence[Path], threads: int, title: str) -> dict[int, str]:
    """Returns position and reason of each unreadable image; the same in every process."""
    mine = distributed.local_part(range(len(paths)))
    found = dict(unreadable([paths[i] for i in mine], threads, title))
    text = "".join(json.dumps([i, found[paths[i]]]) + "\n" for i in mine if paths[i] in found)
    rows = distributed.gather_rows(torch.tensor(list(text.encode()), dtype=torch.uint8))
    return dict(json.loads(line) for line in bytes(rows.tolist()).decode().splitlines())


def split_validation(cfg: CfgNode, splits: Splits, logger: logging.Logger) -> Splits:
    """Returns what to train on, with the query and gallery that pick best.pth; logs which.

    Args:
        cfg: The config.
        splits: The whole data set.
        logger: Logger that is told which split picks best.pth.
    """
    fraction = cfg.SOLVER.VAL_FRACTION
    if any(splits.val):
        if fraction:
            raise InputError(
                f"SOLVER.VAL_FRACTION is {fraction}, but the data set has images of split val; set"
                " it to 0"
            )
        query, gallery = splits.val
        logger.info(
            f"best.pth is picked on the split val: {len(query)} queries, {len(gallery)} gallery"
            " images"
        )
        return splits._replace(query=query, gallery=gallery)
    if not fraction:
        logger.info("best.pth is picked on the TEST split, as the field does (VAL_FRACTION 0)")
        return splits
    with config_errors("SOLVER", lambda argument: f"SOLVER.VAL_{argument.upper()}"):
        any_camera = cfg.TEST.PROTOCOL == ANY_CAMERA
        cut = cut_validation(splits.train, fraction, derive_seed(cfg.SEED, VALIDATION), any_camera)
    rows, _ = describe_counts(cut)
    logger.info(
        "best.pth is picked on a validation split of identities held out from train\n"
        + tabulate(rows, ("split", "images", "ids", "cameras", ""))
    )
    return cut
