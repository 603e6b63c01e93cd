"""The evaluation of a training: its numbers, and what TensorBoard is shown of it."""

import logging
from dataclasses import replace

import torch
from torch import nn
from yacs.config import CfgNode

from reid.builders.data import build_eval_loaders
from reid.builders.evaluation import plain_retrieval, protocol_errors, same_pictures
from reid.builders.model import build_embedding
from reid.data.records import Splits
from reid.engine.looks import HITS, Looks, pair_distances, ranked_picture
from reid.evaluation.evaluator import TestResult, evaluate_retrieval
from reid.utils import distributed


class TrainingEvaluation:
    """Measures mAP and Rank-1 of a model on query and gallery while it is trained.

    Args:
        cfg: The config.
        data: The data set.
        device: Device of the model.
        model: The model that is evaluated.
        logger: Logger of the run.
        once: Whether there is only one evaluation, for which images are not kept.
    """

    def __init__(
        self,
        cfg: CfgNode,
        data: Splits,
        device: torch.device,
        model: nn.Module,
        logger: logging.Logger,
        once: bool,
    ) -> None:
        self.data = data
        self.device = device
        self.logger = logger
        self.embed = build_embedding(cfg, model)
        self.loaders = build_eval_loaders(cfg, data, device, once)
        self.pictures = same_pictures(cfg, data.query, data.gallery)
        self.retrieval = replace(plain_retrieval(cfg), keep=HITS)
        self.last = TestResult()

    def __call__(self) -> dict[str, float]:
        """Returns mAP and Rank-1 as fractions, and the number of queries without a match."""
        with protocol_errors():
            self.last = result = evaluate_retrieval(
                self.embed, *self.loaders, self.device, self.retrieval, pictures=self.pictures
            )
        if result.warning:
            self.logger.warning(f"warning: {result.warning}")
        ranking = result.rankings.get("plain")  # which only process 0 has
        names = ("mAP", "rank1", "num_skipped")
        values = [0.0 if ranking is None else ranking.summary()[name] for name in names]
        *metrics, unmatched = distributed.from_main(values)
        found = dict(zip(names[:2], metrics, strict=True))
        return {**found, "unmatched": unmatched} if unmatched else found

    def looks(self) -> Looks:
        """Returns what TensorBoard is shown of the last evaluation, and forgets its features."""
        result = self.last
        self.last = TestResult()
        if result.sides is None:
            return Looks({}, {})
        ranked = ranked_picture(result.rankings["plain"], self.data.query, self.data.gallery)
        distances = pair_distances(*result.sides, self.retrieval)
        named = {f"distance/{name}": values for name, values in distances.items() if len(values)}
        return Looks({"ranked": ranked}, named)
