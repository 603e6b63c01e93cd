"""Which run of tools/attack.py a result is of: everything that decides its numbers."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from reid import builders
from reid.builders import attack as build_attack
from reid.config import data_paths, leaves
from reid.data.datasets import takes_split
from reid.data.records import Splits
from reid.utils.environment import describe

# Decide what is kept or checked besides, and not what is done to which images.
_ASIDE = ("ATTACK.SAVE_", "ATTACK.SANITY", "ATTACK.STEP_CURVE", "ATTACK.IMS_PER_BATCH")
_SHARED = (
    *("ATTACK.", "DATASETS.NAMES", "DATASETS.SYNTHETIC.", "INPUT.SIZE_TEST"),
    *(
        "TEST.NECK_FEAT",
        "TEST.FEAT_NORM",
        "TEST.FLIP",
        "TEST.METRIC",
        "TEST.PROTOCOL",
        "TEST.RERANK.",
    ),
)
# Where things are, and how they get into memory: the contents are among the facts.
_PLACES = (
    *("OUTPUT_DIR", "IMPORTS", "DATALOADER.", "MODEL.DEVICE"),
    *("TEST.WEIGHT", "TEST.SAVE_FEATURES", "ATTACK.SANITY"),
)


def shared_settings(cfg: CfgNode) -> dict[str, object]:
    """Returns the settings that two attacks have to share to be compared."""
    names = builders.tested_names(cfg)
    shared = (*_SHARED, *(f"DATASETS.{name.upper()}." for name in names))
    if any(takes_split(name) for name in names):
        shared = (*shared, "DATASETS.SPLIT")
    aside = (*_ASIDE, *data_paths())
    found = {k: v for k, v in leaves(cfg) if k.startswith(shared) and not k.startswith(aside)}
    return {**found, "DATASETS.NAMES": names}


def run_facts(
    cfg: CfgNode,
    weight: Path,
    surrogate: tuple[CfgNode, Path] | None,
    splits: Splits,
    code: dict[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    """Returns what two starts share if the second one may go on where the first one stopped.

    Args:
        cfg: The config.
        weight: The checkpoint that is attacked.
        surrogate: Config and checkpoint of the model that the attacker sees.
        splits: Query and gallery.
        code: From :func:`reid.utils.code_state.code_state`.
        device: Device of the models.
    """
    facts = {
        "weights": _file_digest(weight),
        "surrogate weights": _file_digest(surrogate[1]) if surrogate else None,
        "images": _image_digest(splits, cfg.ATTACK.NUM_QUERIES),
        "code": [code["package"], *sorted(code["imports"].values())],
        "machine": describe(device),
        **_settings(cfg),
    }
    if surrogate is not None:
        facts |= {f"surrogate {key}": value for key, value in _settings(surrogate[0]).items()}
    return facts


def _settings(cfg: CfgNode) -> dict[str, object]:
    places = (*_PLACES, *data_paths())
    return {key: value for key, value in leaves(cfg) if not key.startswith(places)}


def _file_digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            total.update(chunk)
    return total.hexdigest()


def _image_digest(splits: Splits, num_queries: int) -> str:
    """Returns a digest of names, identities, cameras and sizes; contents show in the features."""
    query = build_attack.spaced(splits.query, num_queries)
    lines = [
        f"{record.path.name} {record.pid} {record.camid} {record.path.stat().st_size}"
        for record in (*query, *splits.gallery)
    ]
    return hashlib.sha256("\n".join([str(len(query)), *lines]).encode()).hexdigest()
