"""Rankings of a test."""

from pathlib import Path

from torch import nn
from yacs.config import CfgNode

from reid.data.records import (
    Splits,
)
from reid.engine.tester import TestResult, evaluate_retrieval
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.utils.environment import choose_device
from reid.utils.errors import InputError
from reid.wiring.data import build_eval_loaders


def build_retrieval(cfg: CfgNode, num_query: int, num_gallery: int) -> Retrieval:
    """Builds every ranking that TEST.* asks for; checks now what so many images do not allow."""
    t, r, aqe = cfg.TEST, cfg.TEST.RERANK, cfg.TEST.AQE
    rerank = ReRanking(r.K1, r.K2, r.LAMBDA_VALUE) if t.RE_RANKING else None
    expansion = Expansion(aqe.K, aqe.ALPHA) if aqe.ENABLED else None
    for key, part in (
        ("TEST.RERANK", Retrieval(rerank=rerank)),
        ("TEST.AQE", Retrieval(expansion=expansion)),
    ):
        try:
            part.check(num_query, num_gallery)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return Retrieval(t.METRIC, t.CHUNK, rerank, expansion)


def evaluate(
    cfg: CfgNode,
    embed: nn.Module,
    splits: Splits,
    how: Retrieval,
    save: Path | None = None,
) -> TestResult:
    """Ranks the gallery of ``splits`` for its query; each process extracts a part of both."""
    device = choose_device(cfg.MODEL.DEVICE)
    query, gallery = build_eval_loaders(cfg, splits, device, once=True)
    return evaluate_retrieval(embed, query, gallery, device, how, save)
