"""Rankings of a test."""

import contextlib
from pathlib import Path

import numpy as np
from torch import nn
from yacs.config import CfgNode

from reid.builders.common import build_device
from reid.builders.data import build_eval_loaders
from reid.config import config_errors, part_settings
from reid.data.copies import picture_numbers
from reid.data.records import Records, Splits
from reid.evaluation.evaluator import TestResult, evaluate_retrieval
from reid.evaluation.protocol import ANY_CAMERA, count_matched, no_match
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.utils.errors import InputError


def build_retrieval(cfg: CfgNode, num_query: int, num_gallery: int) -> Retrieval:
    """Builds every ranking that TEST.* asks for; checks now what so many images do not allow.

    Args:
        cfg: The config.
        num_query: Number of queries.
        num_gallery: Number of gallery images.
    """
    t = cfg.TEST
    rerank = ReRanking(**part_settings(t.RERANK, ReRanking)) if t.RE_RANKING else None
    expansion = Expansion(**part_settings(t.AQE, Expansion)) if t.AQE.ENABLED else None
    for section, part in (
        ("TEST.RERANK", Retrieval(rerank=rerank)),
        ("TEST.AQE", Retrieval(expansion=expansion)),
    ):
        with config_errors(section):
            part.check(num_query, num_gallery)
    return Retrieval(t.METRIC, t.CHUNK, rerank, expansion, t.PROTOCOL)


def plain_retrieval(cfg: CfgNode) -> Retrieval:
    """Builds the plain ranking alone, under the protocol of TEST.PROTOCOL."""
    return Retrieval(cfg.TEST.METRIC, cfg.TEST.CHUNK, protocol=cfg.TEST.PROTOCOL)


def same_pictures(
    cfg: CfgNode, query: Records, gallery: Records, anyway: bool = False
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the numbers of the pictures, (Q,) and (G,), or None if the protocol reads none.

    Args:
        cfg: The config.
        query: Images that are searched for.
        gallery: Images that are searched.
        anyway: Number them under any protocol.
    """
    if cfg.TEST.PROTOCOL == ANY_CAMERA or anyway:
        return picture_numbers(query, gallery)
    return None


def check_matched(
    cfg: CfgNode,
    query: Records,
    gallery: Records,
    pictures: tuple[np.ndarray, np.ndarray] | None = None,
) -> int:
    """Returns how many queries have a match under TEST.PROTOCOL, from names of files alone.

    Args:
        cfg: The config.
        query: Images that are searched for.
        gallery: Images that are searched.
        pictures: From :func:`same_pictures`.

    Raises:
        InputError: None has one; the message names TEST.PROTOCOL.
    """
    protocol = cfg.TEST.PROTOCOL
    if not query:
        raise InputError("there is no query to search for: the data set has no such split")
    with protocol_errors():
        matched = count_matched(
            *ids_of(query), *ids_of(gallery), protocol=protocol, pictures=pictures
        )
        if not matched:
            raise no_match(len(query), protocol)
    return matched


def ids_of(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Returns the identities and the cameras of N images, (N,) int64 each."""
    pids, camids = ([getattr(r, name) for r in records] for name in ("pid", "camid"))
    return np.array(pids, np.int64), np.array(camids, np.int64)


def protocol_errors() -> contextlib.AbstractContextManager[None]:
    """Gives errors about the protocol the key TEST.PROTOCOL, and others none."""
    return config_errors("", lambda name: "TEST.PROTOCOL" if name == "protocol" else name)


def evaluate(
    cfg: CfgNode,
    embed: nn.Module,
    splits: Splits,
    protocol: Retrieval,
    save: Path | None = None,
    pictures: tuple[np.ndarray, np.ndarray] | None = None,
) -> TestResult:
    """Ranks the gallery of ``splits`` for its query; each process extracts a part of both.

    Args:
        cfg: The config.
        embed: The model, (B, 3, H, W) in [0, 1] to (B, D).
        splits: The data set.
        protocol: The rankings to make.
        save: A file that gets the features; None keeps none.
        pictures: From :func:`same_pictures`.
    """
    device = build_device(cfg)
    query, gallery = build_eval_loaders(cfg, splits, device, once=True)
    with protocol_errors():
        return evaluate_retrieval(embed, query, gallery, device, protocol, save, pictures)
