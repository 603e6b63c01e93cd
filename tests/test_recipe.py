"""The hash of a recipe: the same for what changes no result, another one for everything else."""

import pytest

from reid.config import default_cfg, dump, known_settings, load_cfg, parse_dump, recipe_hash
from reid.config.defaults import as_cfg

SETTINGS = known_settings()
# Written out here by hand: what a reader of the issue expects to be left out.
NO_PART = {
    "SEED", "IMPORTS", "OUTPUT_DIR", "MODEL.DEVICE", "INPUT.DEVICE", "DATASETS.ROOT_DIR",
    "DATASETS.CSV.FOLDER",
    "DATALOADER.NUM_WORKERS", "DATALOADER.CACHE", "SOLVER.CHECKPOINT_PERIOD", "SOLVER.LOG_PERIOD",
    "SOLVER.CHECKPOINT_STEPS", "SOLVER.CHECKPOINT_MINUTES", "SOLVER.KEEP_LAST",
    "TEST.WEIGHT", "TEST.IMS_PER_BATCH", "TEST.CHUNK", "TEST.RE_RANKING", "TEST.AQE.ENABLED",
    "TEST.SAVE_FEATURES", "TEST.VERIFICATION",
}  # fmt: skip


def is_left_out(key: str) -> bool:
    return key in NO_PART or key.startswith("ATTACK.")


def other(value: object) -> object:
    """Another value of the same kind; it need not make sense."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return (*value, "x") if isinstance(value, tuple) else f"{value or ''}x"


def changed(*keys: str) -> str:
    values = {key: setting.default for key, setting in SETTINGS.items()}
    values |= {key: other(values[key]) for key in keys}
    return recipe_hash(as_cfg(values))


def test_every_key_is_a_part_of_the_recipe_or_is_not() -> None:
    usual = recipe_hash(default_cfg())
    found = {key: changed(key) for key in SETTINGS}
    assert {key for key, value in found.items() if value == usual} == {
        key for key in SETTINGS if is_left_out(key)
    }
    others = [value for value in found.values() if value != usual]
    assert len(set(others)) == len(others)  # and no two of them are mistaken for each other


def test_all_that_is_left_out_together_changes_nothing() -> None:
    aside = [key for key in SETTINGS if is_left_out(key)]
    assert set(aside) >= NO_PART
    assert changed(*aside) == changed()
    assert changed("SOLVER.BASE_LR", *aside) == changed("SOLVER.BASE_LR")


def test_a_config_and_what_a_checkpoint_keeps_of_it_have_one_hash() -> None:
    cfg = load_cfg("market_lfm.yml", ["SOLVER.BASE_LR", "1e-5", "SEED", "7"])
    assert recipe_hash(cfg) == recipe_hash(parse_dump(dump(cfg))) == recipe_hash(cfg, cfg)
    assert recipe_hash(cfg) != recipe_hash(load_cfg("market_lfm.yml"))


def test_a_key_younger_than_the_checkpoint_changes_nothing() -> None:
    old = parse_dump(dump(default_cfg()))
    del old.TEST["PROTOCOL"]
    assert recipe_hash(old) == recipe_hash(default_cfg())


@pytest.mark.parametrize(
    ("typed", "counts"),
    [
        (["SOLVER.BASE_LR", "0.5"], False),  # of the test's config: nothing was trained with it
        (["SEED", "3"], False),
        (["TEST.FLIP", "True"], True),
        (["TEST.PROTOCOL", "any_camera"], True),
        (["DATASETS.NAMES", "dukemtmc"], True),
        (["INPUT.SIZE_TEST", "(384, 128)"], True),
    ],
)
def test_of_a_test_only_its_own_settings_count(typed: list[str], counts: bool) -> None:
    trained = load_cfg("market_lfm.yml", ["SOLVER.BASE_LR", "1e-5"])
    usual = recipe_hash(load_cfg("market_lfm.yml"), trained)
    assert (recipe_hash(load_cfg("market_lfm.yml", typed), trained) != usual) is counts


def test_the_data_trained_on_counts_beside_the_data_tested_on() -> None:
    market, duke = load_cfg("market_lfm.yml"), load_cfg("duke_lfm.yml")
    assert len({recipe_hash(duke, market), recipe_hash(duke, duke), recipe_hash(market)}) == 3
