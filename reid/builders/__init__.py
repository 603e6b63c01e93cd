"""From config to objects. Besides ``config`` and the jobs, the only reader of cfg."""

from reid.builders.checkpoints import check_alike, check_resumable, load_trained
from reid.builders.common import make
from reid.builders.data import (
    augments_on_device,
    build_cache,
    build_eval_loader,
    build_eval_loaders,
    build_train_loader,
    build_transform,
    load_splits,
    split_validation,
)
from reid.builders.evaluation import build_retrieval, evaluate
from reid.builders.model import build_criterion, build_embedding, build_model, build_perturb
from reid.builders.trainer import build_trainer

__all__ = [
    "augments_on_device",
    "build_cache",
    "build_criterion",
    "build_embedding",
    "build_eval_loader",
    "build_eval_loaders",
    "build_model",
    "build_perturb",
    "build_retrieval",
    "build_train_loader",
    "build_trainer",
    "build_transform",
    "check_alike",
    "check_resumable",
    "evaluate",
    "load_splits",
    "load_trained",
    "make",
    "split_validation",
]
