"""One YAML file and a command line become one checked, frozen config."""

import inspect
import json
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
    regularizer_of_stage,
)
from reid.config.reference import json_schema, updated
from reid.losses import LOSSES
from reid.utils.errors import InputError

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


SHIPPED = sorted(CONFIGS.rglob("*.yml"))


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
            " 'dropout'? Known: cutout, dropblock, dropout,",
        ),
        (["MODEL.REGULARIZER.STAGES", "pool:"], "'pool:': unknown regularizer ''"),
        (
            ["MODEL.REGULARIZER.STAGES", "['conv1', 'conv1:dropout']"],
            "MODEL.REGULARIZER.STAGES names conv1 twice",
        ),
        (["DATASETS.NAMES", "('market1501', 'dukemtmc')"], "one data set a run"),
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
        ("MODEL.BACKBONE.NAME", "osnet"),
        ("MODEL.BACKBONE.NAME", "resnet200"),
        ("MODEL.REGULARIZER.NAME", "mixup"),
        ("LOSS.NAMES", "circle"),
        ("SOLVER.OPTIMIZER_NAME", "lamb"),
    ],
)
def test_what_does_not_exist_is_not_taken_for_something_else(
    empty: Path, key: str, absent: str
) -> None:
    text = message(empty, key, absent)
    assert "did you mean" not in text and "Known: " in text


@pytest.mark.parametrize("key", ["MODEL.EMA.ENABLED", "SOLVER.NESTEROV", "INPUT.MIXUP_PROB"])
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
    ],
)
def test_the_schema_refuses_what_the_program_refuses(text: str) -> None:
    assert not SCHEMA.is_valid(yaml.safe_load(text))
