"""From config to objects: with ``config``, ``jobs`` and ``cli`` the only readers of cfg."""

from reid.builders.checkpoints import (
    check_alike,
    check_resumable,
    check_same_run,
    load_trained,
    load_with_config,
    measured_otherwise,
)
from reid.builders.common import make
from reid.builders.datasets import load_splits, tested_names
from reid.builders.evaluation import build_retrieval, check_matched, evaluate, ids_of, same_pictures
from reid.builders.model import build_embedding, build_model, build_perturb
from reid.builders.trainer import build_trainer

__all__ = [
    "build_embedding",
    "build_model",
    "build_perturb",
    "build_retrieval",
    "build_trainer",
    "check_alike",
    "check_matched",
    "check_resumable",
    "check_same_run",
    "evaluate",
    "ids_of",
    "load_splits",
    "load_trained",
    "load_with_config",
    "make",
    "measured_otherwise",
    "same_pictures",
    "tested_names",
]
