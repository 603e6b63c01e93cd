"""What a result was made by, without what changes no result: so seeds of one recipe are found."""

import hashlib
import json
import os
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
    "DATASETS.CSV.FOLDER",
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
    "TEST.VERIFICATION",
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


def data_paths() -> tuple[str, ...]:
    """Returns the keys of data sets that name a file or a folder, such as DATASETS.CSV.FILE.

    Where the data lies is a matter of the machine. So a recipe has the last part of such a path
    only, which tells people_a.csv from people_b.csv, and a run may go on after its data was moved:
    the digests of its images, which a checkpoint keeps, say whether they are the same.
    """
    settings = known_settings().items()
    return tuple(key for key, one in settings if one.path and key.startswith("DATASETS."))


def portable(cfg: CfgNode) -> dict[str, Any]:
    """Returns the settings by key, and of each path of :func:`data_paths` the last part only."""
    settings = dict(leaves(cfg))
    for key in data_paths():
        if settings.get(key):
            settings[key] = os.path.basename(os.path.normpath(settings[key]))
    return settings


def _settings(cfg: CfgNode, defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns what a recipe consists of: the settings that count and are not at their defaults."""
    settings = ((key, _plain(value)) for key, value in portable(cfg).items())
    return {
        key: value
        for key, value in settings
        if not key.startswith(NO_PART_OF_A_RECIPE) and value != defaults.get(key)
    }


def _plain(value: Any) -> Any:
    """Returns a value as a saved config has it, where tuples are lists."""
    return list(value) if isinstance(value, tuple) else value
