"""From config to objects: with ``config``, ``jobs`` and ``cli`` the only readers of cfg."""

from reid.builders.checkpoints import (
    check_alike,
    check_resumable,
    check_same_run,
    load_trained,
)
from reid.builders.common import make
from reid.builders.data import load_splits
from reid.builders.evaluation import build_retrieval, evaluate
from reid.builders.model import build_embedding, build_model, build_perturb
from reid.builders.trainer import build_trainer

__all__ = [
    "build_embedding",
    "build_model",
    "build_perturb",
    "build_retrieval",
    "build_trainer",
    "check_alike",
    "check_resumable",
    "check_same_run",
    "evaluate",
    "load_splits",
    "load_trained",
    "make",
]
