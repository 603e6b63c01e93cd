"""Rankings of a test."""

from pathlib import Path

from torch import nn
from yacs.config import CfgNode

from reid.builders.common import build_device
from reid.builders.data import build_eval_loaders
from reid.config import config_errors, part_settings
from reid.data.records import Splits
from reid.evaluation.evaluator import TestResult, evaluate_retrieval
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval


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
    return Retrieval(t.METRIC, t.CHUNK, rerank, expansion)


def evaluate(
    cfg: CfgNode,
    embed: nn.Module,
    splits: Splits,
    protocol: Retrieval,
    save: Path | None = None,
) -> TestResult:
    """Ranks the gallery of ``splits`` for its query; each process extracts a part of both.

    Args:
        cfg: The config.
        embed: The model, (B, 3, H, W) in [0, 1] to (B, D).
        splits: The data set.
        protocol: The rankings to make.
        save: A file that gets the features; None keeps none.
    """
    device = build_device(cfg)
    query, gallery = build_eval_loaders(cfg, splits, device, once=True)
    return evaluate_retrieval(embed, query, gallery, device, protocol, save)
