"""One YAML file and a command line become one checked, frozen config."""

import inspect
import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from reid.config import (
    default_cfg,
    dump,
    known_settings,
    leaves,
    load_cfg,
    parse_dump,
    regularizer_of_stage,
    unused_settings,
)
from reid.config.reference import as_text, json_schema, updated
from reid.losses import LOSSES
from reid.utils.checks import Range
from reid.utils.errors import InputError
from reid.utils.settings import Setting

CONFIGS = Path(__file__).parents[1] / "configs"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return write(tmp_path / "empty.yml", "")


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_cfg(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Files in ablations/ are studies, not configs: tests/ablation reads them.
SHIPPED = sorted(path for path in CONFIGS.rglob("*.yml") if path.parent.name != "ablations")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_shipped_config_loads(path: Path) -> None:
    cfg = load_cfg(path)
    assert cfg.is_frozen()
    if path.stem != "base":
        assert Path("outputs", path.relative_to(CONFIGS).with_suffix("")) == Path(cfg.OUTPUT_DIR)


def test_market_lfm_is_the_bag_of_tricks_recipe_with_lfm() -> None:
    cfg = load_cfg(CONFIGS / "market_lfm.yml")
    told = {
        "MODEL.BACKBONE.NAME": "resnet50",
        "MODEL.BACKBONE.RESNET50.LAST_STRIDE": 1,
        "MODEL.PRETRAIN_CHOICE": "imagenet",
        "MODEL.HEAD.NAME": "bnneck",
        "MODEL.REGULARIZER.NAME": "lfm",
        "MODEL.REGULARIZER.STAGES": ("conv1",),
        "MODEL.REGULARIZER.LFM.P": 0.15,
        "MODEL.REGULARIZER.LFM.NUM_CHANNELS": 32,
        "MODEL.REGULARIZER.LFM.AREA": (0.02, 0.4),
        "MODEL.REGULARIZER.LFM.ASPECT": (0.3, 1 / 0.3),
        "INPUT.SIZE_TRAIN": (256, 128),
        "INPUT.FLIP_PROB": 0.5,
        "INPUT.PADDING": 10,
        "INPUT.PIXEL_MEAN": (0.485, 0.456, 0.406),
        "INPUT.PIXEL_STD": (0.229, 0.224, 0.225),
        "INPUT.ERASING_PROB": 0.5,
        "INPUT.ERASING_AREA": (0.02, 0.4),
        "INPUT.ERASING_ASPECT": (0.3, 1 / 0.3),
        "DATASETS.NAMES": ("market1501",),
        "DATALOADER.SAMPLER": "pk",
        "DATALOADER.NUM_INSTANCES": 4,
        "SOLVER.IMS_PER_BATCH": 64,
        "SOLVER.OPTIMIZER_NAME": "adam",
        "SOLVER.BASE_LR": 3.5e-4,
        "SOLVER.WEIGHT_DECAY": 5e-4,
        "SOLVER.WEIGHT_DECAY_BIAS": 5e-4,
        "SOLVER.WARMUP_EPOCHS": 10,
        "SOLVER.WARMUP_FACTOR": 0.01,
        "SOLVER.STEPS": (40, 70),
        "SOLVER.GAMMA": 0.1,
        "SOLVER.MAX_EPOCHS": 120,
        "LOSS.NAMES": ("ce", "triplet"),
        "LOSS.WEIGHTS": (1.0, 1.0),
        "LOSS.CE.LABEL_SMOOTHING": 0.1,
        "LOSS.TRIPLET.MARGIN": 0.3,
        "TEST.NECK_FEAT": "after",
        "TEST.FEAT_NORM": True,
    }
    values = dict(leaves(cfg))
    assert {key: values[key] for key in told} == told


def test_erasing_fill_is_the_mean_taken_for_a_normalized_value() -> None:
    cfg = load_cfg(CONFIGS / "market_lfm.yml")
    pairs = zip(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD, strict=True)
    assert pytest.approx([m * s + m for m, s in pairs], abs=1e-6) == cfg.INPUT.ERASING_FILL


@pytest.mark.parametrize("name", ["market", "duke", "synthetic"])
def test_lfm_and_baseline_differ_in_the_regularizer_alone(name: str) -> None:
    left = dict(leaves(load_cfg(CONFIGS / f"{name}_lfm.yml")))
    right = dict(leaves(load_cfg(CONFIGS / f"{name}_baseline.yml")))
    assert {k for k in left if left[k] != right[k]} == {"MODEL.REGULARIZER.NAME", "OUTPUT_DIR"}


@pytest.mark.parametrize(
    ("name", "stages", "expected"),
    [
        ("none", "conv1", {}),
        ("lfm", "conv1", {"conv1": "lfm"}),
        ("lfm", "['conv1', 'pool:dropout']", {"conv1": "lfm", "pool": "dropout"}),
        ("lfm", "['conv1', 'stem:none', 'layer1']", {"conv1": "lfm", "layer1": "lfm"}),
        ("none", "['conv1', 'input:cutout']", {"input": "cutout"}),
        ("none", "()", {}),
    ],
)
def test_a_stage_has_its_own_regularizer_or_the_one_of_all(
    empty: Path, name: str, stages: str, expected: dict[str, str]
) -> None:
    keys = ["MODEL.REGULARIZER.NAME", name, "MODEL.REGULARIZER.STAGES", stages]
    assert regularizer_of_stage(load_cfg(empty, keys)) == expected


def test_a_stage_with_its_own_regularizer_is_text_to_yaml(tmp_path: Path) -> None:
    text = "MODEL: {REGULARIZER: {NAME: lfm, STAGES: [conv1, pool:dropout]}}"
    cfg = load_cfg(write(tmp_path / "a.yml", text))
    assert regularizer_of_stage(cfg) == {"conv1": "lfm", "pool": "dropout"}
    again = load_cfg(write(tmp_path / "b.yml", dump(cfg)))
    assert again.MODEL.REGULARIZER.STAGES == ("conv1", "pool:dropout")


def test_a_components_defaults_become_its_keys() -> None:
    signature = inspect.signature(LOSSES["triplet"]).parameters.values()
    assert {p.name.upper(): p.default for p in signature} == default_cfg().LOSS.TRIPLET
    assert set(default_cfg().LOSS.CENTER) == {"LR"}  # num_classes and feat_dim are facts


def test_a_chain_of_bases_is_relative_to_each_file(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "SEED: 1\nSOLVER: {MAX_EPOCHS: 5, BASE_LR: 0.1}")
    write(tmp_path / "sub/b.yml", "_BASE_: ../a.yml\nSOLVER: {MAX_EPOCHS: 6}")
    last = write(tmp_path / "sub/c.yml", "_BASE_: b.yml\nSEED: 3")
    cfg = load_cfg(last, ["SOLVER.BASE_LR", "0.2"])
    assert (cfg.SEED, cfg.SOLVER.MAX_EPOCHS, cfg.SOLVER.BASE_LR) == (3, 6, 0.2)


def test_a_circle_of_bases_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "_BASE_: b.yml")
    write(tmp_path / "b.yml", "_BASE_: a.yml")
    assert "goes in a circle" in message(tmp_path / "a.yml")


def test_a_missing_base_names_who_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "_BASE_: nowhere.yml")
    assert "nowhere.yml" in message(path)
    assert f"which {path} names as _BASE_" in message(path)


@pytest.mark.parametrize(
    "text", ["market1501", "('market1501',)", "['market1501']", "('market1501')"]
)
def test_one_data_set_can_be_named_in_every_usual_way(empty: Path, text: str) -> None:
    assert load_cfg(empty, ["DATASETS.NAMES", text]).DATASETS.NAMES == ("market1501",)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("SOLVER.BASE_LR", "1e-4", 1e-4),
        ("SOLVER.BASE_LR", "1", 1.0),
        ("TEST.FLIP", "true", True),
        ("TEST.FLIP", "False", False),
        ("SOLVER.STEPS", "(20,30,40)", (20, 30, 40)),
        ("SOLVER.STEPS", "20", (20,)),
        ("OUTPUT_DIR", "outputs/a", "outputs/a"),
        ("INPUT.SIZE_TRAIN", "[384, 128]", (384, 128)),
        ("INPUT.SIZE_TRAIN", "(384, 128)", (384, 128)),
        ("LOSS.NAMES", "[ce,triplet]", ("ce", "triplet")),
        ("LOSS.NAMES", "[triplet, ce]", ("triplet", "ce")),
        ("MODEL.REGULARIZER.STAGES", "[conv1, pool:dropout]", ("conv1", "pool:dropout")),
        ("TEST.FLIP", "yes", True),
        ("TEST.FLIP", "on", True),
        ("TEST.FLIP", "No", False),
        ("TEST.FLIP", "1", True),
        ("TEST.FLIP", "0", False),
        ("OUTPUT_DIR", "123", "123"),
        ("OUTPUT_DIR", "on", "on"),
        ("OUTPUT_DIR", "~/runs", str(Path.home() / "runs")),
        ("DATASETS.ROOT_DIR", "~", str(Path.home())),
    ],
)
def test_values_typed_on_the_command_line(empty: Path, key: str, text: str, value: object) -> None:
    assert dict(leaves(load_cfg(empty, [key, text])))[key] == value


def test_scientific_notation_that_yaml_takes_for_text_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "SOLVER: {BASE_LR: 1e-4}")
    assert isinstance(yaml.safe_load(path.read_text())["SOLVER"]["BASE_LR"], str)
    assert load_cfg(path).SOLVER.BASE_LR == 1e-4


def test_a_section_of_comments_only_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "DATASETS:\n  # NAMES: [market1501]\nSEED: 2\n")
    assert load_cfg(path).SEED == 2


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("SOLVER.BASE_LRR", "0.1", ["unknown key SOLVER.BASE_LRR", "SOLVER.BASE_LR'?"]),
        ("SOLVER.MARGIN", "0.3", ["unknown key", "LOSS.TRIPLET.MARGIN"]),
        ("MODEL.LAST_STRIDE", "1", ["did you mean", "LAST_STRIDE"]),
        ("solver.base_lr", "0.1", ["SOLVER.BASE_LR"]),
        ("SOLVER", "0.1", ["is a section", "BASE_LR"]),
        ("SOLVER.MAX_EPOCHS", "ten", ["must be a whole number", "'ten'"]),
        ("SOLVER.MAX_EPOCHS", "1.5", ["must be a whole number"]),
        ("SOLVER.MAX_EPOCHS", "0", ["must be at least 1"]),
        ("SOLVER.BASE_LR", "nan", ["must be a number"]),
        ("SOLVER.BASE_LR", "True", ["must be a number"]),
        ("TEST.FLIP", "maybe", ["must be true or false"]),
        ("TEST.FLIP", "2", ["must be true or false"]),
        ("ATTACK.BIM.STEP_255", "1.0", ["is now ATTACK.BIM.STEP, in units of eps"]),
        ("INPUT.SIZE_TRAIN", "256", ["must have 2 values"]),
        ("SOLVER.OPTIMIZER_NAME", "Adam", ["unknown value 'Adam'", "did you mean 'adam'"]),
        ("DATALOADER.SAMPLER", "triplet", ["unknown value", "Known: pk, shuffle"]),
        ("DATASETS.NAMES", "market", ["unknown value", "market1501"]),
        ("MODEL.BACKBONE.NAME", "resnet51", ["did you mean 'resnet50'"]),
        ("MODEL.REGULARIZER.NAME", "lmf", ["did you mean 'lfm'"]),
        ("LOSS.NAMES", "['ce', 'tripet']", ["unknown value 'tripet'", "did you mean 'triplet'"]),
        ("TEST.METRIC", "l2", ["Known: cosine, euclidean"]),
        ("SOLVER.SCHEDULE", "cos", ["cosine"]),
    ],
)
def test_bad_settings_name_key_source_and_mend(
    tmp_path: Path, empty: Path, key: str, value: str, parts: list[str]
) -> None:
    typed = message(empty, key, value)
    assert typed.startswith("command line: ")
    tree: object = yaml.safe_load(value) if value[0] != "[" else ["ce", "tripet"]
    for name in reversed(key.split(".")):
        tree = {name: tree}
    path = write(tmp_path / "bad.yml", yaml.safe_dump(tree))
    filed = message(path)
    assert filed.startswith(f"{path}: ")
    for part in [key, *parts]:
        assert part in typed
        assert part in filed or part == "'ten'"


def test_a_key_without_value_is_an_error(empty: Path) -> None:
    assert "'SEED' has no partner" in message(empty, "SEED")


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["LOSS.NAMES", "['ce']"], "each loss once, with one weight"),
        (["SOLVER.IMS_PER_BATCH", "65"], "must be a multiple"),
        (["DATALOADER.SAMPLER", "shuffle"], "leave triplet out"),
        (["SOLVER.STEPS", "(70, 40)"], "must rise"),
        (["INPUT.DEVICE", "cuda", "DATALOADER.CACHE", "none"], "DATALOADER.CACHE is none; set it"),
        (["MODEL.PRETRAIN_PATH", "r50.pth"], "PRETRAIN_CHOICE path"),
        (
            ["MODEL.REGULARIZER.STAGES", "['conv1', 'pool:dropuot']"],
            "MODEL.REGULARIZER.STAGES: 'pool:dropuot': unknown regularizer 'dropuot'; did you mean"
            " 'dropout'? Known: cells, cutout, dropblock, dropout,",
        ),
        (["MODEL.REGULARIZER.STAGES", "pool:"], "'pool:': unknown regularizer ''"),
        (
            ["MODEL.REGULARIZER.STAGES", "['conv1', 'conv1:dropout']"],
            "MODEL.REGULARIZER.STAGES names conv1 twice",
        ),
        (["DATASETS.NAMES", "('market1501', 'market1501')"], "names one twice"),
        (["INPUT.TRANSFORMS", "[flip, flip]"], "names one twice"),
        (
            ["SOLVER.ADVERSARIAL.SHARE", "1.5"],
            "SOLVER.ADVERSARIAL.SHARE must be more than 0 and at most 1, got 1.5",
        ),
        (
            ["SOLVER.ADVERSARIAL.STEPS", "0"],
            "SOLVER.ADVERSARIAL.STEPS must be at least 1 and at most 100000, got 0",
        ),
        (["SOLVER.ADVERSARIAL.EPS_255", "-1"], "SOLVER.ADVERSARIAL.EPS_255 must be more than 0 "),
        (["TEST.RERANK.K1", "0"], "TEST.RERANK.K1 must be at least 1 and at most 100000, got 0"),
        (["TEST.AQE.ALPHA", "-1"], "TEST.AQE.ALPHA must be at least 0 and at most 100, got -1"),
    ],
)
def test_settings_that_contradict_each_other(empty: Path, overrides: list[str], part: str) -> None:
    assert part in message(empty, *overrides)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("SEED: [1", "is not YAML"),
        ("- SEED", "KEY: value lines"),
        ("_BASE_: [a]", "one relative path"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, text: str, part: str) -> None:
    assert part in message(write(tmp_path / "a.yml", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.yml cannot be read: No such file" in message(tmp_path / "nowhere.yml")


def test_the_dumped_config_loads_back_to_itself(tmp_path: Path) -> None:
    cfg = load_cfg(CONFIGS / "market_lfm.yml", ["SEED", "7", "SOLVER.STEPS", "()"])
    again = load_cfg(write(tmp_path / "config.yml", dump(cfg)))
    assert "&id" not in dump(cfg)
    assert dict(leaves(again)) == dict(leaves(cfg))


@pytest.mark.parametrize(
    ("key", "absent"),
    [
        ("MODEL.BACKBONE.NAME", "hacnn"),
        ("MODEL.BACKBONE.NAME", "resnet200"),
        ("MODEL.REGULARIZER.NAME", "mixup"),
        ("LOSS.NAMES", "proxy_anchor"),
        ("SOLVER.OPTIMIZER_NAME", "lamb"),
    ],
)
def test_what_does_not_exist_is_not_taken_for_something_else(
    empty: Path, key: str, absent: str
) -> None:
    text = message(empty, key, absent)
    assert "did you mean" not in text and "Known: " in text


@pytest.mark.parametrize("key", ["MODEL.EMA.ENABLED", "SOLVER.LOOKAHEAD", "INPUT.MIXUP_PROB"])
def test_a_key_of_an_absent_feature_is_not_taken_for_another_key(empty: Path, key: str) -> None:
    assert message(empty, key, "1").endswith("configs/README.md lists every key")


def test_a_shipped_config_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_cfg("market_lfm.yml").MODEL.REGULARIZER.NAME == "lfm"
    assert load_cfg("defences/cutout.yml").MODEL.REGULARIZER.NAME == "cutout"
    write(tmp_path / "market_lfm.yml", "SEED: 5")  # a file of one's own goes before it
    assert load_cfg("market_lfm.yml").SEED == 5


def test_every_key_has_a_meaning() -> None:
    assert [key for key, setting in known_settings().items() if not setting.meaning] == []


def test_defaults_fit_their_own_settings() -> None:
    for key, setting in known_settings().items():
        assert setting.fit(setting.default) == setting.default, key


def test_a_base_may_be_a_shipped_config(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yml", "_BASE_: market_lfm.yml\nSEED: 4")
    assert load_cfg(path).MODEL.REGULARIZER.NAME == "lfm"
    write(tmp_path / "market_lfm.yml", "SEED: 9")  # one beside it goes first
    assert load_cfg(path).MODEL.REGULARIZER.NAME == "none"


def test_the_table_and_the_schema_are_up_to_date() -> None:
    settings = known_settings()
    mend = "they are stale: run `python tools/keys.py --write configs`"
    assert (CONFIGS / "README.md").read_text() == updated(CONFIGS / "README.md", settings), mend
    assert (CONFIGS / "schema.json").read_text() == json_schema(settings), mend


SCHEMA = jsonschema.Draft7Validator(json.loads((CONFIGS / "schema.json").read_text()))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_shipped_config_keeps_to_the_schema(path: Path) -> None:
    SCHEMA.validate(yaml.safe_load(path.read_text()))


def test_the_resolved_config_keeps_to_the_schema() -> None:
    SCHEMA.validate(yaml.safe_load(dump(load_cfg(CONFIGS / "market_lfm.yml"))))


@pytest.mark.parametrize(
    "text",
    [
        "SOLVER: {BASE_LRR: 0.1}",
        "SOLVER: {MAX_EPOCHS: ten}",
        "SOLVER: {MAX_EPOCHS: 0}",
        "LOSS: {NAMES: [tripet]}",
        "INPUT: {SIZE_TRAIN: [256]}",
        "MODEL: {REGULARIZER: {NAME: lmf}}",
        "TEST: {FLIP: 3}",
        "SOLVER: {MOMENTUM: 1}",
        "SOLVER: {GAMMA: -1}",
        "INPUT: {PIXEL_MEAN: [124, 116, 103]}",
        "MODEL: {REGULARIZER: {DROPOUT: {P: 1}}}",
    ],
)
def test_the_schema_refuses_what_the_program_refuses(text: str) -> None:
    assert not SCHEMA.is_valid(yaml.safe_load(text))


NUMBERS = [-1.0, 0, 0.5, 1.0, 5.0, 1e9, 1e308, -1e308, 10**30, -(2**63), float("nan"), float("inf")]
OTHERS = ["", "ten", "a\0b", "a\nb", "x" * 300, [], [[1]], None, {"a": 1}, True, "9" * 5000]
LENGTHS = [1, 2, 3, 7]


def bad_and_good(setting: Setting) -> list[object]:
    single = [*NUMBERS, *OTHERS]
    lists: list[object] = [[value] * n for n in LENGTHS for value in single]
    return [*single, *lists] if setting.many else single


def fitted_or_refused(setting: Setting, value: object) -> tuple[object, str]:
    try:
        return setting.fit(value), ""
    except ValueError as error:
        return (), str(error) or "no word"


@pytest.mark.parametrize("key", list(known_settings()))
def test_whatever_a_key_is_given_is_refused_in_one_line_or_in_its_range(key: str) -> None:
    setting = known_settings()[key]
    for value in bad_and_good(setting):
        fitted, problem = fitted_or_refused(setting, value)
        assert len(problem) < 600 and "\n" not in problem, value
        for item in fitted if isinstance(fitted, tuple) else (fitted,):
            assert setting.item is None or type(item) is setting.item, value
            if setting.item in (int, float):
                assert item in setting.allowed and abs(item) < 1e39, value
            if isinstance(item, str):
                assert item.isprintable() and (item in setting.choices or not setting.choices)


def test_every_number_has_a_range() -> None:
    numbers = {k: s for k, s in known_settings().items() if s.item in (int, float)}
    assert [key for key, s in numbers.items() if s.allowed == Range()] == []


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("SOLVER.ADVERSARIAL.EPS_255", "0", "must be more than 0 and at most 255, got 0"),
        ("SOLVER.ADVERSARIAL.SHARE", "0", "must be more than 0 and at most 1, got 0"),
        ("SOLVER.GAMMA", "-1", "must be more than 0 and at most 1, got -1"),
        ("SOLVER.BIAS_LR_FACTOR", "-1", "must be at least 0 and at most 1000, got -1"),
        ("SOLVER.MOMENTUM", "5", "must be at least 0 and less than 1, got 5"),
        ("SOLVER.BASE_LR", "1e308", "must be a number that 32 bits can hold, got '1e308'"),
        ("SOLVER.STEPS", "[0, 5]", "must be at least 1 and at most 1000000000, got 0"),
        ("INPUT.PIXEL_MEAN", "[124, 116, 103]", "must be at least 0 and at most 1, got 124"),
        ("INPUT.PIXEL_STD", "[58, 57, 57]", "must be more than 0 and at most 1, got 58"),
        ("INPUT.SIZE_TRAIN", "[1, 1]", "must be at least 16 and at most 8192, got 1"),
        ("MODEL.REGULARIZER.DROPOUT.P", "1", "must be at least 0 and less than 1, got 1"),
        ("LOSS.CE.LABEL_SMOOTHING", "1", "must be at least 0 and less than 1, got 1"),
        ("SEED", "9223372036854775808", "must be a whole number below 2**63"),
        ("SEED", "010", "must be a whole number, got '010'"),  # 8 to YAML 1.1
        ("SEED", "10:30", "must be a whole number, got '10:30'"),  # 630 to YAML 1.1
        ("OUTPUT_DIR", "", "is empty"),
        ("OUTPUT_DIR", "a\0b", r"must be text without control characters, got 'a\x00b'"),
        ("OUTPUT_DIR", "x" * 300, "has a part of 300 bytes, a name has at most 255"),
        ("TEST.WEIGHT", "人" * 100, "has a part of 300 bytes, a name has at most 255"),
        ("OUTPUT_DIR", "a/" * 3000, "has 6000 bytes, a path has at most 4000"),
        ("LOSS.NAMES", "[" * 900, "has the unknown value '[[["),
        ("IMPORTS", "", "'' is neither a module (my_lab.losses) nor a file"),
        ("IMPORTS", "a..b", "'a..b' is neither a module (my_lab.losses) nor a file"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    empty: Path, key: str, value: str, says: str
) -> None:
    text = message(empty, key, value)
    assert text.startswith(f"command line: {key}") and says in text


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["MODEL.REGULARIZER.NAME", "lfm", "MODEL.REGULARIZER.STAGES", "[]"],
            "MODEL.REGULARIZER.NAME is lfm, but none of MODEL.REGULARIZER.STAGES [] takes it",
        ),
        (
            ["MODEL.REGULARIZER.NAME", "lfm", "MODEL.REGULARIZER.STAGES", "[pool:dropout]"],
            "but none of MODEL.REGULARIZER.STAGES [pool:dropout] takes it",
        ),
        (["LOSS.WEIGHTS", "[0, 0]"], "LOSS.WEIGHTS (0.0, 0.0) are all 0"),
        (
            ["SOLVER.WARMUP_EPOCHS", "50", "SOLVER.MAX_EPOCHS", "1"],
            "SOLVER.WARMUP_EPOCHS must be at most SOLVER.MAX_EPOCHS 1, got 50",
        ),
        (
            ["SOLVER.OPTIMIZER_NAME", "sgd", "SOLVER.NESTEROV", "True", "SOLVER.MOMENTUM", "0"],
            "SOLVER.NESTEROV needs a SOLVER.MOMENTUM of more than 0",
        ),
        (["SOLVER.EMA_DECAY", "1"], "SOLVER.EMA_DECAY must be at least 0 and less than 1"),
        (["SOLVER.LAYER_DECAY", "0"], "SOLVER.LAYER_DECAY must be more than 0 and at most 1"),
        (["SOLVER.FREEZE_EPOCHS", "-1"], "SOLVER.FREEZE_EPOCHS must be at least 0"),
        (["INPUT.RANDAUGMENT_NUM_OPS", "9"], "INPUT.RANDAUGMENT_NUM_OPS must be at least 1 and"),
        (["INPUT.PADDING", "128"], "INPUT.PADDING must be less than the sides"),
        (["ATTACK.SIZE", "[3, 1]"], "ATTACK.SIZE must be height and width of at least 16"),
        (
            ["ATTACK.CORRUPTIONS", "all", "ATTACK.SEVERITIES", "[]"],
            "ATTACK.SEVERITIES is empty",
        ),
        (["INPUT.ERASING_AREA", "[1, 1]"], "none would be drawn"),
        (["INPUT.ERASING_AREA", "[0.4, 0.1]"], "INPUT.ERASING_AREA must be (low, high) with low"),
        (
            ["MODEL.REGULARIZER.NAME", "lfm", "MODEL.REGULARIZER.LFM.ASPECT", "[200, 300]"],
            "MODEL.REGULARIZER.LFM.ASPECT (200.0, 300.0) and MODEL.REGULARIZER.LFM.AREA",
        ),
    ],
)
def test_settings_that_would_silently_do_nothing_are_refused(
    empty: Path, overrides: list[str], says: str
) -> None:
    assert says in message(empty, *overrides)


@pytest.mark.parametrize("area", [0.01, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("aspect", [0.05, 0.4, 1.0, 2.5, 30.0])
def test_a_rectangle_is_refused_where_none_can_be_drawn(
    empty: Path, area: float, aspect: float
) -> None:
    keys = ["INPUT.SIZE_TRAIN", "[256, 128]", "INPUT.ERASING_AREA", f"[{area}, {area}]"]
    keys += ["INPUT.ERASING_ASPECT", f"[{aspect}, {aspect}]"]
    height = (area * 256 * 128 * aspect) ** 0.5
    if height < 256 and height / aspect < 128:
        load_cfg(empty, keys)
    else:
        assert "none would be drawn" in message(empty, *keys)


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "SOLVER: {BASE_LR: 0.1}\nSEED: 1\nSOLVER:\n  MAX_EPOCHS: 3\n")
    assert message(path) == (
        f"{path} has the key SOLVER twice, in line 1 and in line 3; the first would be dropped, so"
        " put them together"
    )
    inner = write(tmp_path / "b.yml", "SOLVER:\n  BASE_LR: 0.1\n  MAX_EPOCHS: 3\n  BASE_LR: 0.2\n")
    assert "has the key BASE_LR twice, in line 2 and in line 4" in message(inner)


LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SOLVER: &a {STEPS: *a}", "refers to itself in line 1"),
        (LAUGHS, "has more than 10000 values with its references written out"),
        ("{" * 900, "is nested deeper than 20 levels in line 1"),
        ("SEED: " + "[" * 900 + "]" * 900, "is nested deeper than 20 levels in line 1"),
        ("SEED: 1\0", "special characters are not allowed"),
        ("SEED:\t1\n\tSEED: 2", "is not YAML"),
        ("SEED: 1\n---\nSEED: 2", "expected a single document"),
        ("SEED: !!python/object/apply:os.getcwd []", "has the tag"),
        ("SEED: !!timestamp x", "has the tag"),
        ("? [1]\n: 2", "has a key that is no text in line 1"),
        ("1: 2", "has a key that is no text in line 1"),
        ("SEED: " + "9" * 5000, "is not YAML that can be read"),
        ("SEED: *nowhere", "undefined alias"),
        ("just text", "a config is KEY: value lines, got a str"),
        ("_BASE_: " + "x" * 300, "_BASE_ has a part of 300 bytes"),
        ('_BASE_: "a\\0"', "_BASE_ must be text without control characters"),
        ("INPUT: {SIZE_TRAIN: 2024-01-01}", "must be a whole number, got '2024-01-01'"),
    ],
)
def test_yaml_that_no_config_needs_is_refused_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    path = write(tmp_path / "a.yml", text)
    found = message(path)
    assert found.startswith(str(path)) and says in found and len(found) < 600


def test_references_that_stay_small_are_written_out(tmp_path: Path) -> None:
    text = "INPUT: {SIZE_TRAIN: &size [64, 32], SIZE_TEST: *size}\nOUTPUT_DIR: 2024-01-01"
    cfg = load_cfg(write(tmp_path / "a.yml", text))
    assert cfg.INPUT.SIZE_TRAIN == cfg.INPUT.SIZE_TEST == (64, 32)
    assert cfg.OUTPUT_DIR == "2024-01-01"  # a date to YAML 1.1
    text = "INPUT:\n  SIZE_TRAIN: (64, 32)\nTEST: {FLIP: yes}"  # the tuple is text to YAML
    cfg = load_cfg(write(tmp_path / "b.yml", text))
    assert cfg.INPUT.SIZE_TRAIN == (64, 32) and cfg.TEST.FLIP is True


def test_what_is_no_text_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder.yml").mkdir()
    assert "cannot be read: it is a folder" in message(tmp_path / "folder.yml")
    os.mkfifo(tmp_path / "fifo.yml")
    assert "cannot be read: it is no regular file" in message(tmp_path / "fifo.yml")
    (tmp_path / "huge.yml").write_text("#" * 2_000_000)
    assert "it has 2000000 bytes, a config at most 1048576" in message(tmp_path / "huge.yml")
    (tmp_path / "latin.yml").write_bytes("OUTPUT_DIR: café".encode("latin-1"))
    assert "it is no UTF-8 text" in message(tmp_path / "latin.yml")
    assert "has a part of 304 bytes" in message(tmp_path / ("x" * 300 + ".yml"))
    assert "without control characters" in message(tmp_path / "a\0.yml")


@pytest.mark.parametrize("text", ["5", "a: [b", "[]", "1: {2: 3}"])
def test_a_saved_config_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="the saved config"):
        parse_dump(text)


UNREAD = "reads the logits: the classifier of MODEL.HEAD.NAME bnneck stays as it was drawn"


@pytest.mark.parametrize(
    ("command", "overrides", "lines"),
    [
        ("train", [], []),
        ("train", ["SOLVER.MOMENTUM", "0.5"], ["SOLVER.MOMENTUM 0.5 has no effect"]),
        ("train", ["SOLVER.MOMENTUM", "0.5", "SOLVER.OPTIMIZER_NAME", "sgd"], []),
        (
            "train",
            ["SOLVER.SCHEDULE", "cosine", "SOLVER.STEPS", "[30]", "SOLVER.GAMMA", "0.5"],
            ["SOLVER.STEPS [30] has no effect", "SOLVER.GAMMA 0.5 has no effect"],
        ),
        ("train", ["SOLVER.MIN_LR_FACTOR", "0.1"], ["SOLVER.MIN_LR_FACTOR 0.1 has no effect"]),
        ("train", ["SOLVER.STEPS", "[40, 130]"], ["SOLVER.STEPS [40, 130] has no effect: a step"]),
        ("train", ["SOLVER.MAX_EPOCHS", "5"], ["SOLVER.MAX_EPOCHS 5 ends before the warm-up"]),
        ("train", ["SOLVER.NESTEROV", "True"], ["SOLVER.NESTEROV True has no effect: SOLVER.OPTI"]),
        ("train", ["SOLVER.NESTEROV", "True", "SOLVER.OPTIMIZER_NAME", "sgd"], []),
        (
            "train",
            ["SOLVER.DELAY_EPOCHS", "30"],
            ["SOLVER.DELAY_EPOCHS 30 has no effect: SOLVER.S"],
        ),
        ("train", ["SOLVER.DELAY_EPOCHS", "30", "SOLVER.SCHEDULE", "cosine"], []),
        (
            "train",
            ["SOLVER.DELAY_EPOCHS", "10", "SOLVER.SCHEDULE", "cosine"],
            ["SOLVER.DELAY_EPOCHS 10 has no effect: the rate falls only after SOLVER.WARMUP"],
        ),
        (
            "train",
            ["SOLVER.DELAY_EPOCHS", "120", "SOLVER.SCHEDULE", "cosine"],
            ["SOLVER.DELAY_EPOCHS 120 is not less than SOLVER.MAX_EPOCHS 120: the rate never"],
        ),
        (
            "train",
            ["SOLVER.NORM_DECAY_FACTOR", "0", "SOLVER.WEIGHT_DECAY", "0"],
            ["SOLVER.NORM_DECAY_FACTOR 0.0 has no effect: SOLVER.WEIGHT_DECAY is 0"],
        ),
        ("train", ["SOLVER.FREEZE_EPOCHS", "10", "SOLVER.EMA_DECAY", "0.999"], []),
        (
            "train",
            ["SOLVER.FREEZE_EPOCHS", "120", "SOLVER.LAYER_DECAY", "0.7"],
            ["SOLVER.LAYER_DECAY 0.7 has no effect", "the backbone never trains"],
        ),
        ("train", ["INPUT.AUTOAUGMENT_PROB", "0.5"], ["autoaugment is not in INPUT.TRANSFORMS"]),
        (
            "train",
            ["INPUT.RANDAUGMENT_MAGNITUDE", "5"],
            ["randaugment is not in INPUT.TRANSFORMS"],
        ),
        ("train", ["SOLVER.ADVERSARIAL.STEPS", "9"], ["SOLVER.ADVERSARIAL.STEPS 9 has no effect"]),
        ("train", ["MODEL.REGULARIZER.STAGES", "[layer1]"], ["MODEL.REGULARIZER.STAGES [layer1]"]),
        ("train", ["MODEL.REGULARIZER.LFM.P", "0.5"], ["lfm is not in MODEL.REGULARIZER.NAME"]),
        ("train", ["INPUT.JITTER", "[0.3, 0.3, 0.3]"], ["INPUT.JITTER_PROB is 0"]),
        ("train", ["INPUT.JITTER", "[0.3, 0.3, 0.3]", "INPUT.JITTER_PROB", "0.5"], []),
        ("train", ["INPUT.ERASING_FILL", "[0, 0, 0]", "INPUT.ERASING_PROB", "0"], []),
        ("train", ["LOSS.CENTER.LR", "0.1"], ["center is not in LOSS.NAMES"]),
        (
            "train",
            ["SOLVER.VAL_FRACTION", "0.2", "SOLVER.EVAL_PERIOD", "0"],
            ["SOLVER.VAL_FRACTION 0.2 picks nothing"],
        ),
        ("train", ["SOLVER.IMS_PER_BATCH", "4"], ["a batch has one identity"]),
        ("train", ["LOSS.NAMES", "[arcface, triplet]"], []),
        ("train", ["LOSS.NAMES", "[circle, triplet]"], [UNREAD]),
        ("train", ["LOSS.NAMES", "[ce, arcface]", "MODEL.HEAD.BNNECK.DROPOUT", "0.5"], []),
        (
            "train",
            ["LOSS.NAMES", "[wrt, cosface]", "MODEL.HEAD.BNNECK.DROPOUT", "0.5"],
            ["MODEL.HEAD.BNNECK.DROPOUT 0.5 has no effect: it is before the classifier"],
        ),
        (
            "train",
            [
                "LOSS.NAMES",
                "[ce, multi_similarity]",
                "LOSS.MULTI_SIMILARITY.MINING",
                "False",
                "LOSS.MULTI_SIMILARITY.EPSILON",
                "0.2",
            ],
            ["LOSS.MULTI_SIMILARITY.EPSILON 0.2 has no effect: LOSS.MULTI_SIMILARITY.MINING is"],
        ),
        ("train", ["TEST.RERANK.K1", "5"], []),
        ("test", ["TEST.RERANK.K1", "5"], ["TEST.RERANK.K1 5 has no effect"]),
        ("test", ["TEST.RERANK.K1", "5", "TEST.RE_RANKING", "True"], []),
        ("test", ["TEST.AQE.ENABLED", "1", "TEST.FEAT_NORM", "0"], ["TEST.FEAT_NORM False has no"]),
        ("test", ["SOLVER.MOMENTUM", "0.5"], []),
        ("attack", ["ATTACK.SAVE_AS", "npz"], ["ATTACK.SAVE_AS npz has no effect"]),
        ("attack", ["ATTACK.NAMES", "[pgd-ce, pgd-sma]"], []),
        (
            "attack",
            ["ATTACK.NAMES", "[pgd-ce, pgd-sma]", "LOSS.NAMES", "[circle_softmax, triplet]"],
            ["ATTACK.NAMES pgd-ce attacks the classifier"],
        ),
    ],
)
def test_settings_without_effect_are_named(
    empty: Path, command: str, overrides: list[str], lines: list[str]
) -> None:
    found = unused_settings(load_cfg(empty, overrides), command)
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_no_shipped_config_sets_what_has_no_effect(path: Path) -> None:
    cfg = load_cfg(path)
    assert [
        line for command in ("train", "test", "attack") for line in unused_settings(cfg, command)
    ] == []


def test_the_table_shows_defaults_and_ranges_as_they_are() -> None:
    lines = {
        line.split()[0]: line for line in as_text(known_settings()).splitlines() if line[0] != " "
    }
    assert "False" in lines["SOLVER.COMPILE"] and "True" in lines["SOLVER.DETERMINISTIC"]
    assert "[0, 1)" in lines["SOLVER.MOMENTUM"] and "(0, 1]" in lines["SOLVER.GAMMA"]
    assert ">= 1" in lines["SOLVER.MAX_EPOCHS"] and "[16, 8192]" in lines["INPUT.SIZE_TEST"]
