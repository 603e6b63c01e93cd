"""Testing, from a config to files: what ``reid test`` and ``reid reference`` run."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate
from torch import nn
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import build_device, output_dir
from reid.builders.evaluation import protocol_errors
from reid.config import (
    dump,
    imported_files,
    parse_dump,
    portable,
    read_chain,
    recipe_hash,
    unused_settings,
)
from reid.data.records import Records, Splits
from reid.evaluation.evaluator import HEADERS, TestResult, rank_features, write_results
from reid.evaluation.features import Embedding, pictures_of
from reid.evaluation.files import load_features
from reid.evaluation.lists import KEPT, Images, list_arrays
from reid.evaluation.places import (
    FEATURES_FILE,
    METRICS_FILE,
    PARTIAL_FILE,
    RANKING_FILE,
    Subject,
    place,
    read_old,
)
from reid.evaluation.protocol import ANY_CAMERA, CROSS_CAMERA, count_matched, ids_hash, no_match
from reid.jobs.tested_data import data_name, image_digests, people_hash
from reid.jobs.verification import verify_test
from reid.utils import distributed
from reid.utils.code_state import code_state
from reid.utils.environment import command_line, describe
from reid.utils.errors import InputError
from reid.utils.logs import get_logger

CONFIG = "config.yml"  # a run writes it into its OUTPUT_DIR


def test(cfg: CfgNode, weight: Path) -> TestResult:
    """Evaluates the checkpoint ``weight``; writes metrics.json and ranking.npz.

    They go to OUTPUT_DIR, or to a folder below it where they would replace the result of something
    else; see :func:`reid.evaluation.places.place`. Of several processes the first one writes and
    has the rankings.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        weight: The checkpoint.

    Raises:
        InputError: No query has a match, which is known before the checkpoint is read.
    """
    builders.check_alike(cfg)
    logger = get_logger(output_dir(cfg), "test")
    logger.info(describe(build_device(cfg)))
    for line in unused_settings(cfg, "test"):
        logger.warning(f"warning: {line}")
    job = _Test(cfg, builders.load_splits(cfg, False, logger), "weight")
    model, trained = builders.load_with_config(cfg, weight, logger)
    facts = {
        "weight": str(weight),
        "seed": trained.get("SEED"),
        "recipe_hash": recipe_hash(cfg, trained),
    }
    return job.evaluate(builders.build_embedding(cfg, model), facts)


def test_reference(cfg: CfgNode, name: str, embed: nn.Module) -> TestResult:
    """Evaluates an embedding that needs no checkpoint, as :func:`test` does.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        name: What metrics.json calls the reference.
        embed: Images (B, 3, H, W) in [0, 1] to (B, D).

    Raises:
        InputError: In several processes: one that draws at random would draw the same in each.
    """
    if distributed.active():
        raise InputError("a reference is evaluated by one process; start it without torchrun")
    logger = get_logger(output_dir(cfg), "test")
    job = _Test(cfg, builders.load_splits(cfg, False, logger), name)
    facts = {"reference": name, "seed": cfg.SEED, "recipe_hash": recipe_hash(cfg)}
    return job.evaluate(embed, facts)


def test_features(cfg: CfgNode, path: Path) -> TestResult:
    """Evaluates saved features as :func:`test` does; needs neither model nor images.

    Of several processes the first one does it alone.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        path: An npz; see :func:`reid.evaluation.files.load_features`.
    """
    if not distributed.is_main():
        return TestResult()
    logger = get_logger(output_dir(cfg), "test")
    device = build_device(cfg)
    logger.info(describe(device))
    for line in unused_settings(cfg, "test"):
        logger.warning(f"warning: {line}")
    protocol = cfg.TEST.PROTOCOL
    any_camera = protocol == ANY_CAMERA
    query, gallery = load_features(path, device, cfg.TEST.FEAT_NORM, cameras=not any_camera)
    pictures = pictures_of(query, gallery)
    ids = (query.pids, query.camids, gallery.pids, gallery.camids)
    with protocol_errors():
        if not count_matched(*ids, protocol, pictures):
            raise no_match(len(query.pids), protocol)
    if any_camera and pictures is None:
        logger.info(
            f"{path} has no query_pictures and gallery_pictures: no gallery image is taken for a"
            " query's own picture"
        )
    retrieval = builders.build_retrieval(cfg, len(query.pids), len(gallery.pids))
    subject = Subject("features", "", protocol, ids_hash(*ids))
    folder = _place(cfg, subject)
    retrieval = replace(retrieval, keep=KEPT, partial=folder / PARTIAL_FILE)
    result = rank_features(query, gallery, retrieval)
    lists = list_arrays(
        result.rankings,
        Images(query.pids, query.camids),
        Images(gallery.pids, gallery.camids),
        Path(cfg.DATASETS.ROOT_DIR),
    )
    facts: dict[str, object] = {"features": str(path), "dataset": None}
    _report(cfg, result, lists, subject, folder, facts)
    verify_test(cfg, (query, gallery), folder, facts, logger)
    return result


class _Test:
    """The test of a model on a data set; what would fail at the end is refused at the start."""

    def __init__(self, cfg: CfgNode, splits: Splits, source: str) -> None:
        self.cfg = cfg
        self.splits = splits
        query, gallery = splits.query, splits.gallery
        retrieval = builders.build_retrieval(cfg, len(query), len(gallery))
        self.pictures = builders.same_pictures(cfg, query, gallery, cfg.TEST.SAVE_FEATURES)
        builders.check_matched(cfg, query, gallery, self.pictures)
        people = people_hash(query, gallery)
        self.subject = Subject(source, data_name(cfg), cfg.TEST.PROTOCOL, people)
        self.digests = image_digests(query, gallery)
        self.folder = _place(cfg, self.subject)
        self.retrieval = replace(retrieval, keep=KEPT, partial=self.folder / PARTIAL_FILE)

    def evaluate(self, embed: nn.Module, facts: dict[str, object]) -> TestResult:
        """Extracts features, ranks, writes and prints; returns what was found."""
        save = self.folder / FEATURES_FILE if self.cfg.TEST.SAVE_FEATURES else None
        result = builders.evaluate(
            self.cfg, embed, self.splits, self.retrieval, save, self.pictures
        )
        if not distributed.is_main():
            return result
        if save is not None:
            get_logger(Path(self.cfg.OUTPUT_DIR), "test").info(f"features written: {save}")
        more = {**facts, "dataset": self.subject.dataset, "data": self.digests}
        if self.splits.unreadable:
            more["unreadable"] = dict(self.splits.unreadable)
        root = Path(self.cfg.DATASETS.ROOT_DIR)
        query, gallery = (_images(side) for side in (self.splits.query, self.splits.gallery))
        lists = list_arrays(result.rankings, query, gallery, root)
        _report(self.cfg, result, lists, self.subject, self.folder, more)
        assert result.sides is not None
        logger = get_logger(Path(self.cfg.OUTPUT_DIR), "test")
        model = embed if isinstance(embed, Embedding) else None
        verify_test(self.cfg, result.sides, self.folder, more, logger, model)
        return result


def _images(records: Records) -> Images:
    """Returns what ranked lists say of the images of a side."""
    files = np.array([str(record.path) for record in records], np.str_)
    return Images(*builders.ids_of(records), files)


def _place(cfg: CfgNode, subject: Subject) -> Path:
    """Makes the folder that gets the results of a test, and returns it."""
    output = Path(cfg.OUTPUT_DIR)
    own = True
    if (output / CONFIG).is_file():  # the folder of a run
        run = CfgNode(dict(read_chain(output / CONFIG)[-1][1]))
        own = subject.source == "weight" and _same_test(cfg, run)
    return output_dir(cfg, *place(output, subject, own))


def _same_test(cfg: CfgNode, run: CfgNode) -> bool:
    """Says whether a test has the data set and the protocol of a run."""
    then = {"TEST.PROTOCOL": CROSS_CAMERA, **portable(run)}  # older runs know no other one
    places = ("DATASETS.ROOT_DIR", "DATASETS.CSV.FOLDER")
    return all(
        then.get(key, value) == value
        for key, value in portable(parse_dump(dump(cfg))).items()
        if key == "TEST.PROTOCOL" or (key.startswith("DATASETS.") and key not in places)
    )


def _report(
    cfg: CfgNode,
    result: TestResult,
    lists: dict[str, np.ndarray],
    subject: Subject,
    folder: Path,
    facts: dict[str, object],
) -> None:
    """Writes what a test found, and prints it.

    Args:
        cfg: The config.
        result: What was found.
        lists: The arrays of ranking.npz.
        subject: What the result is about.
        folder: Folder of its files.
        facts: Further entries of metrics.json.
    """
    logger = get_logger(Path(cfg.OUTPUT_DIR), "test")
    plain = result.rankings["plain"]
    if plain.num_skipped:
        logger.warning(
            f"warning: {plain.num_skipped} queries have no match in the gallery and are left out"
        )
    if result.warning:
        logger.warning(f"warning: {result.warning}")
    code = code_state(imported_files(cfg.IMPORTS))
    found = {
        **facts,
        "command": command_line(),
        "environment": describe(build_device(cfg)),
        "protocol": subject.protocol,
        "ids": subject.ids,
        "config_hash": hashlib.sha256(dump(cfg).encode()).hexdigest()[:12],
        "commit": code["commit"],
        "code": code,
    }
    _tell_what_is_replaced(folder, found, logger)
    num_gallery = len(lists["gallery_pids"])
    write_results(result, folder, {"num_gallery": num_gallery, **found}, lists)
    table = tabulate(result.rows(), HEADERS, floatfmt=".1f")
    logger.info(
        f"{plain.num_queries} queries, {num_gallery} gallery images, protocol {subject.protocol}\n"
        f"{table}"
    )
    logger.info(f"written: {folder / METRICS_FILE}, {folder / RANKING_FILE}")


def _tell_what_is_replaced(folder: Path, found: dict[str, object], logger: logging.Logger) -> None:
    """Logs that another test's result is replaced, and what differs."""
    old = read_old(folder)
    if old is None:
        return
    keys = ("weight", "features", "config_hash", "recipe_hash")
    changed = [f"{k} {old[k]}" for k in keys if k in old and old[k] != found.get(k)]
    if changed:
        logger.info(f"the result in {folder} is replaced; it was of {', '.join(changed)}")
