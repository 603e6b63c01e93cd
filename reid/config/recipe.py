"""What a result was made by, without what changes no result: so seeds of one recipe are found."""

import hashlib
import json
from typing import Any

from yacs.config import CfgNode

from reid.config.defaults import known_settings
from reid.config.trees import leaves

# Keys, or beginnings of keys, that are no part of a recipe. All but the seed change no result, or
# only its last digits, as another processor does.
NO_PART_OF_A_RECIPE = (
    "SEED",  # what runs of one recipe differ in
    "IMPORTS",  # paths of a machine; the parts themselves are chosen by their names
    "OUTPUT_DIR",
    "MODEL.DEVICE",
    "INPUT.DEVICE",
    "DATASETS.ROOT_DIR",
    "DATALOADER.NUM_WORKERS",
    "DATALOADER.CACHE",
    "SOLVER.CHECKPOINT_",
    "SOLVER.KEEP_LAST",
    "SOLVER.LOG_PERIOD",
    "TEST.WEIGHT",
    "TEST.IMS_PER_BATCH",
    "TEST.CHUNK",
    "TEST.RE_RANKING",  # these two say which tables there are, and not what is in them
    "TEST.AQE.ENABLED",
    "TEST.SAVE_FEATURES",
    "ATTACK.",  # the report of an attack holds these itself
)
OF_A_TEST = ("TEST.", "DATASETS.", "INPUT.SIZE_TEST")  # what a test sets anew


def recipe_hash(cfg: CfgNode, trained: CfgNode | None = None) -> str:
    """Returns 12 hex digits that two configs share if they differ only in what changes no result.

    Settings at their defaults are left out, so that a new key, at its default, changes no hash.

    Args:
        cfg: The config; that of a test if ``trained`` is given.
        trained: The config that the tested model was trained with; a test may say something else
            about training, and it does not count.
    """
    defaults = {key: _plain(setting.default) for key, setting in known_settings().items()}
    made, tested = (_settings(one, defaults) for one in (trained or cfg, cfg))
    tested = {key: value for key, value in tested.items() if key.startswith(OF_A_TEST)}
    return hashlib.sha256(json.dumps([made, tested], sort_keys=True).encode()).hexdigest()[:12]


def _settings(cfg: CfgNode, defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns what a recipe consists of: the settings that count and are not at their defaults."""
    settings = ((key, _plain(value)) for key, value in leaves(cfg))
    return {
        key: value
        for key, value in settings
        if not key.startswith(NO_PART_OF_A_RECIPE) and value != defaults.get(key)
    }


def _plain(value: Any) -> Any:
    """Returns a value as a saved config has it, where tuples are lists."""
    return list(value) if isinstance(value, tuple) else value
