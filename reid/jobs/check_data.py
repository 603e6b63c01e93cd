"""Checking a data set, from a config to a table and a file: what ``reid check-data`` runs."""

import logging
from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import output_dir
from reid.data.checking import Findings, check_images
from reid.data.checking.findings import HEADERS, PICTURE_HEADERS
from reid.data.loaders import usable_workers
from reid.data.records import SPLITS, count
from reid.evaluation.protocol import CROSS_CAMERA
from reid.utils import distributed
from reid.utils.errors import InputError
from reid.utils.logs import get_logger, write_text

FILE = "check_data.json"  # in OUTPUT_DIR


def check_data(cfg: CfgNode, examples: int) -> Findings:
    """Checks the data set of the config; writes check_data.json to OUTPUT_DIR.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        examples: How many cases of each finding are shown; the file has all.

    Raises:
        InputError: A folder is missing, a file name cannot be parsed, or there are several
            processes.
    """
    if distributed.active():
        raise InputError("a data set is checked by one process; start it without torchrun")
    output = output_dir(cfg)
    logger = get_logger(output, "check_data")
    root = Path(cfg.DATASETS.ROOT_DIR)
    splits = builders.load_splits(cfg, True, logger)
    published = splits.published
    threads = usable_workers(cfg.DATALOADER.NUM_WORKERS)
    protocol = cfg.TEST.PROTOCOL
    found = check_images(splits, threads, protocol == CROSS_CAMERA)
    records = (splits.train, splits.query, splits.gallery)
    facts = {
        "dataset": ", ".join(dict.fromkeys((*cfg.DATASETS.NAMES, *builders.tested_names(cfg)))),
        "protocol": protocol,
        "counts": {s: count(part)._asdict() for s, part in zip(SPLITS, records, strict=True)},
        "published": {s: published[s]._asdict() for s in published} if published else None,
    }
    write_text(output / FILE, found.as_json(root, facts))
    _report(found, root, examples, logger)
    logger.info(f"written: {output / FILE}")
    return found


def _report(found: Findings, root: Path, examples: int, logger: logging.Logger) -> None:
    logger.info(f"images that can be decoded\n{tabulate(found.picture_rows(), PICTURE_HEADERS)}")
    if found.findings:
        logger.info(f"found\n{tabulate(found.rows(), HEADERS)}")
        if examples:
            logger.info("\n".join(["cases", *found.example_lines(root, examples)]))
    spoiling = [finding.kind for finding in found.findings if finding.spoils]
    if spoiling:
        logger.warning(f"warning: this would spoil results: {', '.join(spoiling)}")
    else:
        logger.info("nothing was found that would spoil a result")
