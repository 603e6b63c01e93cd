"""Wiring that no end-to-end run reaches."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from yacs.config import CfgNode

from reid import builders
from reid.builders.common import build_device, lookup, output_dir
from reid.builders.data import build_sampler
from reid.builders.datasets import load_splits
from reid.builders.model import build_criterion
from reid.builders.trainer import make_optimizer
from reid.config import config_errors, dump, load_cfg
from reid.data.cache.file import CacheError
from reid.data.records import ImageRecord
from reid.data.samplers import PKSampler, ShuffleSampler
from reid.engine import checkpoint
from reid.utils.errors import ArgumentError, InputError

CONFIG = Path(__file__).parents[1] / "configs/market_lfm.yml"
LOGGER = logging.getLogger("test")


def saved(folder: Path, text: str) -> Path:
    checkpoint.save(folder / "last.pth", nn.Linear(1, 1), 3, text, [1, 2], {})
    return folder / "last.pth"


def without(text: str, *keys: str) -> str:
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith(tuple(f"{k}:" for k in keys))]
    assert len(kept) == len(lines) - len(keys)
    return "".join(kept)


def test_a_key_younger_than_the_checkpoint_is_at_its_default(tmp_path: Path) -> None:
    cfg = load_cfg(CONFIG)
    path = saved(tmp_path, without(dump(cfg), "JITTER_PROB", "ACCUMULATE"))
    builders.check_resumable(cfg, checkpoint.load(path), path, LOGGER)
    changed = load_cfg(CONFIG, ["SOLVER.ACCUMULATE", "2"])
    with pytest.raises(InputError, match=r"SOLVER.ACCUMULATE None, this config says 2"):
        builders.check_resumable(changed, checkpoint.load(path), path, LOGGER)


def test_a_checkpoint_older_than_the_poolings_is_one_of_the_average(tmp_path: Path) -> None:
    small = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.DEVICE", "cpu"]
    cfg = load_cfg(CONFIG, small)
    model = builders.build_model(cfg, 2, pretrained=False)
    tree = yaml.safe_load(dump(cfg))
    del tree["MODEL"]["POOLING"], tree["INPUT"]["TRANSFORMS"], tree["IMPORTS"]
    tree["ATTACK"]["BIM"] = {"STEPS": 0, "STEP_255": 1.0}  # a key that is gone
    path = tmp_path / "last.pth"
    checkpoint.save(path, model, 3, yaml.safe_dump(tree), [1, 2], {})
    builders.load_trained(cfg, path, LOGGER)
    builders.check_resumable(cfg, checkpoint.load(path), path, LOGGER)
    with pytest.raises(InputError, match=r"MODEL.POOLING.NAME None, this config says max"):
        builders.load_trained(load_cfg(CONFIG, [*small, "MODEL.POOLING.NAME", "max"]), path, LOGGER)


def test_another_setting_is_another_run_and_a_free_one_is_not(tmp_path: Path) -> None:
    path = saved(tmp_path, dump(load_cfg(CONFIG)))
    free = ["DATALOADER.CACHE", "disk", "MODEL.DEVICE", "cpu", "SOLVER.MAX_EPOCHS", "200"]
    builders.check_resumable(load_cfg(CONFIG, free), checkpoint.load(path), path, LOGGER)
    with pytest.raises(InputError, match=r"trained with SEED 0, this config says 1"):
        builders.check_resumable(
            load_cfg(CONFIG, ["SEED", "1"]), checkpoint.load(path), path, LOGGER
        )


def test_stages_are_given_their_own_regularizers_with_their_own_settings() -> None:
    settings = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.REGULARIZER.DROPOUT.P", "0.25"]
    stages = ["MODEL.REGULARIZER.STAGES", "['conv1', 'input:cutout', 'pool:dropout']"]
    model = builders.build_model(load_cfg(CONFIG, [*settings, *stages]), 3, pretrained=False)
    found = {stage: type(part).__name__ for stage, part in model.regularizers.items()}
    assert found == {"conv1": "LocalFeatureMasking", "input": "Cutout", "pool": "Dropout"}
    assert model.regularizers["pool"].p == 0.25


ADVERSARIAL = ["SOLVER.ADVERSARIAL.ENABLED", "True", "SOLVER.ADVERSARIAL.STEPS", "7"]


def test_pixels_stay_as_they_are_unless_adversarial_training_is_on() -> None:
    assert builders.build_perturb(load_cfg(CONFIG), nn.Identity()) is None


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_adversarial_training_attacks_the_unit_feat_bn_in_the_precision_of_training(
    precision: str, dtype: torch.dtype | None
) -> None:
    of_test = ["TEST.NECK_FEAT", "before", "TEST.FEAT_NORM", "False", "TEST.FLIP", "True"]
    keys = [*ADVERSARIAL, "SOLVER.PRECISION", precision, "MODEL.DEVICE", "cpu", *of_test]
    model = nn.Linear(1, 1)
    perturb = builders.build_perturb(load_cfg(CONFIG, keys), model)
    (embed,), adversary = perturb.args, perturb.func
    assert (adversary.eps_255, adversary.step, adversary.steps, adversary.share) == (4, 0.4, 7, 0.5)
    assert embed.model is model
    found = (embed.field, embed.normalize, embed.flip, embed.dtype)
    assert found == ("feat_bn", True, False, dtype)


def unchecked(settings: Sequence[str], key: str, value: object) -> CfgNode:
    """A config with a value that loading refuses, so that the part itself has to."""
    cfg = load_cfg(CONFIG, settings)
    cfg.defrost()
    *sections, name = key.split(".")
    lookup(cfg, ".".join(sections))[name] = value
    cfg.freeze()
    return cfg


def test_errors_of_parts_get_the_key_that_they_came_from(tmp_path: Path) -> None:
    def error_of(work: Callable[[CfgNode], object], cfg: CfgNode) -> str:
        with pytest.raises(InputError) as caught:
            work(cfg)
        return str(caught.value)

    def says(work: Callable[[CfgNode], object], *settings: str) -> str:
        return error_of(work, load_cfg(CONFIG, settings))

    assert says(build_device, "MODEL.DEVICE", "tpu") == (
        "MODEL.DEVICE must be auto, cpu, cuda, or one CUDA device such as cuda:1, got 'tpu'"
    )
    (tmp_path / "file").write_text("")
    below = str(tmp_path / "file" / "run")
    assert says(output_dir, "OUTPUT_DIR", below).startswith(f"OUTPUT_DIR: {below} cannot be made")

    def model(cfg: CfgNode) -> object:
        return builders.build_model(cfg, 3, pretrained=True)

    resnet = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.DEVICE", "cpu"]
    gone = ["MODEL.PRETRAIN_CHOICE", "path", "MODEL.PRETRAIN_PATH", "gone.pth"]
    assert says(model, *resnet, *gone) == (
        "MODEL.PRETRAIN_PATH names no file with weights: 'gone.pth'"
    )
    stride = "MODEL.BACKBONE.RESNET18.LAST_STRIDE"
    assert error_of(model, unchecked(resnet, stride, 3)) == (
        "MODEL.BACKBONE.RESNET18.LAST_STRIDE must be 1 or 2, got 3"
    )
    (tmp_path / "w.pth").write_bytes(b"not weights")
    foreign = ["MODEL.PRETRAIN_CHOICE", "path", "MODEL.PRETRAIN_PATH", str(tmp_path / "w.pth")]
    assert says(model, *resnet, *foreign).startswith(
        f"MODEL.PRETRAIN_PATH: cannot read '{tmp_path / 'w.pth'}' as weights saved by torch: "
    )
    resnet += ["MODEL.PRETRAIN_CHOICE", "none"]
    zero = (0.2, 0.0, 0.2)
    assert error_of(model, unchecked(resnet, "INPUT.PIXEL_STD", zero)) == (
        "INPUT.PIXEL_STD must be one positive number for each of R, G, B, got (0.2, 0.0, 0.2)"
    )
    assert says(model, *resnet, "MODEL.REGULARIZER.STAGES", "[layer5]").startswith(
        "MODEL.REGULARIZER.STAGES has the unknown value 'layer5'; did you mean 'layer4'?"
    )
    none = ["MODEL.REGULARIZER.NAME", "none"]
    assert says(model, *resnet, *none, "MODEL.REGULARIZER.STAGES", "['pool:cutout']").startswith(
        "MODEL.REGULARIZER.STAGES must not have Cutout at stage 'pool': it needs a feature map"
    )

    everything = ["MODEL.REGULARIZER.LFM.NUM_CHANNELS", "65"]
    assert says(model, *resnet, *everything) == (
        "MODEL.REGULARIZER.LFM.NUM_CHANNELS is 65 but the feature map has 64 channels; set it to 64"
        " or less, or choose a deeper stage"
    )
    assert "has 3 channels" in says(model, *resnet, "MODEL.REGULARIZER.STAGES", "[input]")

    def criterion(cfg: CfgNode) -> object:
        return build_criterion(cfg, 3, 4)

    one = ["LOSS.NAMES", "[ce]", "LOSS.WEIGHTS", "[1]"]
    assert error_of(criterion, unchecked(one, "LOSS.WEIGHTS", (-1.0,))) == (
        "LOSS.WEIGHTS must be finite and at least 0, got -1.0 for loss 'ce'"
    )

    def splits(cfg: CfgNode) -> object:
        return builders.load_splits(cfg, False, LOGGER)

    synthetic = ["DATASETS.NAMES", "[synthetic]", "DATASETS.ROOT_DIR", str(tmp_path)]
    preset = "DATASETS.SYNTHETIC.PRESET"
    assert error_of(splits, unchecked(synthetic, preset, "quik")) == (
        "DATASETS.SYNTHETIC.PRESET has the unknown value 'quik'; did you mean 'quick'?"
        " Known: market-scale, quick, tiny"
    )
    assert error_of(splits, unchecked(synthetic, "DATASETS.SYNTHETIC.SEED", -1)) == (
        "DATASETS.SYNTHETIC.SEED must be a whole number of at least 0, got -1"
    )
    missing = says(splits, "DATASETS.NAMES", "[market1501]", "DATASETS.ROOT_DIR", str(tmp_path))
    assert missing.startswith("Market-1501: no folder with {query, bounding_box_test} or ")
    assert missing.endswith(" Set DATASETS.ROOT_DIR to the folder that holds it")


def test_the_mend_that_names_other_keys_ends_the_message() -> None:
    with (
        pytest.raises(
            InputError, match=r"^SOLVER\.COMPILE: no compiler; set SOLVER\.COMPILE False$"
        ),
        config_errors("SOLVER.COMPILE", mend="set SOLVER.COMPILE False"),
    ):
        raise InputError("no compiler")
    with (
        pytest.raises(InputError, match=r"^MODEL\.DEVICE must be cuda, got cpu; leave X off$"),
        config_errors("MODEL", mend="leave X off"),
    ):
        raise ArgumentError("device", "must be cuda, got cpu")
    with (
        pytest.raises(InputError, match=r"^no compiler; install one$"),
        config_errors("", mend="install one"),
    ):
        raise InputError("no compiler")


def test_an_error_keeps_its_class_and_its_attributes_behind_the_key() -> None:
    with pytest.raises(CacheError) as caught, config_errors("DATALOADER.CACHE", mend="choose one"):
        raise CacheError("no room", "disk or none")
    assert str(caught.value) == (
        "DATALOADER.CACHE: no room; keep them otherwise: disk or none; choose one"
    )
    assert (caught.value.message, caught.value.instead) == ("no room", "disk or none")
    assert isinstance(caught.value.__cause__, CacheError)


def test_to_try_the_regularizers_changes_no_weight_no_statistic_and_no_random_number() -> None:
    settings = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.PRETRAIN_CHOICE", "none"]
    settings += [
        "MODEL.DEVICE",
        "cpu",
        "MODEL.REGULARIZER.LFM.P",
        "1",
        "INPUT.SIZE_TRAIN",
        "[64, 32]",
    ]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    tried = builders.build_model(load_cfg(CONFIG, settings), 3, pretrained=True)
    assert torch.equal(torch.get_rng_state(), before)
    plain = builders.build_model(load_cfg(CONFIG, settings), 3, pretrained=False)
    for name, value in plain.state_dict().items():
        assert torch.equal(tried.state_dict()[name], value), name
    assert all(module.training for module in tried.modules())


def test_losses_have_the_length_of_the_embedding_and_regularizers_that_of_the_pool() -> None:
    cfg = load_cfg(
        CONFIG,
        [
            *("MODEL.BACKBONE.NAME", "resnet18", "MODEL.PRETRAIN_CHOICE", "none"),
            *("MODEL.DEVICE", "cpu", "INPUT.SIZE_TRAIN", "[64, 32]"),
            *("MODEL.HEAD.NAME", "reduction", "MODEL.HEAD.REDUCTION.EMBEDDING_DIM", "24"),
            *("MODEL.REGULARIZER.NAME", "none", "MODEL.REGULARIZER.STAGES", "['pool:dropout']"),
            *("LOSS.NAMES", "[arcface, center]"),
        ],
    )
    model = builders.build_model(cfg, 3, pretrained=True)
    seen: list[tuple[int, ...]] = []
    model.regularizers["pool"].register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    criterion = build_criterion(cfg, 3, model.feat_dim)
    images = torch.rand(4, 3, 64, 32)
    values = criterion(model(images), torch.tensor([0, 1, 2, 0]))
    assert seen == [(4, 512, 1, 1)]
    shapes = {name: tuple(value.shape) for name, value in criterion.state_dict().items()}
    assert shapes == {"losses.arcface.weight": (3, 24), "losses.center.centers": (3, 24)}
    values["total"].backward()
    learns = {name for name, p in model.head.named_parameters() if p.grad is not None}
    parts = {name.partition(".")[0] for name in learns}
    assert parts == {"embedding", "bottleneck"}  # nothing reads the classifier


def test_a_part_in_a_notebook_never_speaks_of_keys() -> None:
    with pytest.raises(InputError, match=r"^num_instances must be at least 2, so that .* got 1$"):
        PKSampler([0, 0, 1, 1], 4, 1, 0)


def test_samplers_are_given_the_facts_that_they_ask_for() -> None:
    records = tuple(ImageRecord(Path(f"{i}.jpg"), i // 4, i % 2) for i in range(32))
    labels = [record.pid for record in records]
    settings = ["SOLVER.IMS_PER_BATCH", "8", "LOSS.NAMES", "[ce]", "LOSS.WEIGHTS", "[1]"]
    pk = build_sampler(load_cfg(CONFIG, settings), records, labels)
    assert isinstance(pk, PKSampler) and (pk.num_ids, pk.num_instances) == (2, 4)
    shuffled = load_cfg(CONFIG, [*settings, "DATALOADER.SAMPLER", "shuffle"])
    shuffle = build_sampler(shuffled, records, labels)
    assert isinstance(shuffle, ShuffleSampler) and len(shuffle) == 4
    many = load_cfg(
        CONFIG, [*settings, "DATALOADER.SAMPLER", "shuffle", "SOLVER.IMS_PER_BATCH", "64"]
    )
    with pytest.raises(InputError, match=r"^SOLVER.IMS_PER_BATCH must be 1 to 32.* got 64$"):
        build_sampler(many, records, labels)


def test_missing_folders_name_the_key_that_mends_it(tmp_path: Path) -> None:
    cfg = load_cfg(None, ["DATASETS.NAMES", "[market1501]", "DATASETS.ROOT_DIR", str(tmp_path)])
    with pytest.raises(InputError, match=r" Set DATASETS\.ROOT_DIR to the folder that holds it$"):
        load_splits(cfg, False, logging.getLogger("reid"))


FACTS = {
    "facts": {
        "torch": "2.14.1",
        "numpy": "2.3",
        "pillow": "12.0",
        "threads": 2,
        "device": "a processor",
        "network": "timm 1.0.20",
        "precision": "fp32",
        "data": {"train": "aa", "query": "bb", "gallery": "cc", "pixels": "dd"},
    },
    "code": {"commit": "1234", "package": "ee", "imports": {"circle.py": "ff"}},
}


def changed(tree: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """A copy with another value of one key, wherever it is."""
    return {
        k: value if k == key else changed(v, key, value) if isinstance(v, dict) else v
        for k, v in tree.items()
    }


@pytest.mark.parametrize(
    "key", ["torch", "numpy", "network", "threads", "device", "query", "package"]
)
def test_what_changes_last_digits_is_warned_of(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "last.pth"
    assert builders.check_same_run(FACTS, FACTS, path, LOGGER) == []
    assert caplog.text == ""
    assert builders.check_same_run(changed(FACTS, key, "other"), FACTS, path, LOGGER) == []
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "last.pth was trained " in record.message


@pytest.mark.parametrize("key", ["precision", "train", "pixels", "circle.py"])
def test_what_makes_another_run_is_refused_or_accepted_knowingly(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, path = changed(FACTS, key, "other"), tmp_path / "last.pth"
    with pytest.raises(InputError, match=r"another run; .* knowingly with --accept-changes"):
        builders.check_same_run(now, FACTS, path, LOGGER)
    (accepted,) = builders.check_same_run(now, FACTS, path, LOGGER, accept=True)
    assert accepted in caplog.text
    # A checkpoint of an older version says nothing about it.
    assert builders.check_same_run(now, {"code": {"commit": "1"}}, path, LOGGER) == []


def test_pixels_of_another_decoder_are_not_compared(tmp_path: Path) -> None:
    now = changed(changed(FACTS, "pillow", "13.0"), "pixels", "other")
    assert builders.check_same_run(now, FACTS, tmp_path, LOGGER) == []


@pytest.mark.parametrize("text", ["- a list", "5", "{", "A: &a [*a]", "{" * 900, "A: !!python/x 1"])
def test_a_config_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    path = saved(tmp_path, text)
    with pytest.raises(InputError, match=r"last\.pth") as error:
        builders.check_resumable(load_cfg(CONFIG), checkpoint.load(path), path, LOGGER)
    assert "\n" not in str(error.value)


def test_layer_decay_says_what_it_finds(caplog: pytest.LogCaptureFixture) -> None:
    cfg = load_cfg(CONFIG, ["SOLVER.LAYER_DECAY", "0.5", "SOLVER.BASE_LR", "0.8"])
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.blocks = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    groups = make_optimizer(cfg, model, nn.Module(), LOGGER).param_groups
    assert sorted({group["lr"] for group in groups}) == pytest.approx([0.2, 0.4])
    model.backbone = nn.Linear(1, 1)
    groups = make_optimizer(cfg, model, nn.Module(), LOGGER).param_groups
    assert {group["lr"] for group in groups} == {0.8}
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "warning: SOLVER.LAYER_DECAY 0.5 has no effect: resnet50 has no sequence of blocks"
    ]
