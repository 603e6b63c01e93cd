"""From config to objects. Besides ``config`` and the jobs, the only reader of cfg."""

from reid.wiring.checkpoints import check_alike, check_resumable, load_trained
from reid.wiring.common import make
from reid.wiring.data import (
    augments_on_device,
    build_eval_loader,
    build_eval_loaders,
    build_store,
    build_train_loader,
    build_transform,
    load_splits,
    split_validation,
)
from reid.wiring.model import build_criterion, build_embedding, build_model, build_perturb
from reid.wiring.testing import build_retrieval, evaluate
from reid.wiring.training import build_trainer

__all__ = [
    "augments_on_device",
    "build_criterion",
    "build_embedding",
    "build_eval_loader",
    "build_eval_loaders",
    "build_model",
    "build_perturb",
    "build_retrieval",
    "build_store",
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
