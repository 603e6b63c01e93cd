"""The recipes of the field: what their files say, and that each trains."""

from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, rows, run

from reid.config import leaves, load_cfg

SMALL_VIT = "timm:test_vit"
RECIPES = ("sbs", "agw", "released")
ALL = (*RECIPES, "vit")
TINY = [
    "DATASETS.NAMES", "[synthetic]",
    "DATASETS.SYNTHETIC.PRESET", "tiny",
    "MODEL.BACKBONE.NAME", "resnet18",
    "MODEL.PRETRAIN_CHOICE", "none",
    "INPUT.SIZE_TRAIN", "(64,32)",
    "INPUT.SIZE_TEST", "(64,32)",
    "INPUT.PADDING", "5",
    "SOLVER.PRECISION", "fp32",
    "SOLVER.IMS_PER_BATCH", "16",
    "DATALOADER.NUM_INSTANCES", "4",
    "DATALOADER.NUM_WORKERS", "0",
]  # fmt: skip
# What the sources say (docs/recipes.md), and base.yml does not.
SAID: dict[str, dict[str, Any]] = {
    "sbs": {
        "MODEL.BACKBONE.RESNET50.NON_LOCAL": (0, 2, 3, 0),
        "MODEL.POOLING.NAME": "gem",
        "LOSS.NAMES": ("circle_softmax", "triplet"),
        "LOSS.CIRCLE_SOFTMAX.LABEL_SMOOTHING": 0.1,
        "LOSS.NECK_FEAT": "after",
        "LOSS.TRIPLET.SOFT_MARGIN": True,
        "INPUT.SIZE_TRAIN": (384, 128),
        "INPUT.SIZE_TEST": (384, 128),
        "DATALOADER.NUM_INSTANCES": 16,
        "SOLVER.MAX_EPOCHS": 60,
        "SOLVER.SCHEDULE": "cosine",
        "SOLVER.DELAY_EPOCHS": 30,
        "SOLVER.MIN_LR_FACTOR": 0.002,  # 7e-7 / 3.5e-4
        "SOLVER.WARMUP_FACTOR": 0.1,
        "SOLVER.FREEZE_EPOCHS": 5,
    },
    "agw": {
        "MODEL.BACKBONE.RESNET50.NON_LOCAL": (0, 2, 3, 0),
        "MODEL.POOLING.NAME": "gem",
        "LOSS.NAMES": ("ce", "wrt", "center"),
        "LOSS.WEIGHTS": (1.0, 1.0, 0.0005),
        "SOLVER.MAX_EPOCHS": 160,
    },
    "released": {
        "MODEL.BACKBONE.RESNET50.LAST_STRIDE": 2,
        "MODEL.HEAD.NAME": "reduction",
        "LOSS.NAMES": ("ce",),
        "LOSS.WEIGHTS": (1.0,),
        "LOSS.CE.LABEL_SMOOTHING": 0.0,
        "INPUT.ERASING_PROB": 0.0,
        "DATALOADER.SAMPLER": "shuffle",
        "SOLVER.OPTIMIZER_NAME": "sgd",
        "SOLVER.NESTEROV": True,
        "SOLVER.BASE_LR": 0.05,
        "SOLVER.BACKBONE_LR_FACTOR": 0.1,
        "SOLVER.IMS_PER_BATCH": 32,
        "SOLVER.MAX_EPOCHS": 60,
        "SOLVER.STEPS": (41,),
        "SOLVER.WARMUP_EPOCHS": 0,
        "TEST.FLIP": True,
    },
    "vit": {
        "MODEL.BACKBONE.NAME": "timm:vit_base_patch16_224.augreg_in21k_ft_in1k",
        "MODEL.BACKBONE.TIMM.TOKEN": "cls",
        "MODEL.BACKBONE.TIMM.DROP_PATH": 0.1,
        "LOSS.CE.LABEL_SMOOTHING": 0.0,
        "LOSS.TRIPLET.SOFT_MARGIN": True,
        "INPUT.PIXEL_MEAN": (0.5, 0.5, 0.5),
        "INPUT.PIXEL_STD": (0.5, 0.5, 0.5),
        "SOLVER.OPTIMIZER_NAME": "sgd",
        "SOLVER.BASE_LR": 0.008,
        "SOLVER.BIAS_LR_FACTOR": 2.0,
        "SOLVER.WEIGHT_DECAY": 1e-4,
        "SOLVER.WEIGHT_DECAY_BIAS": 1e-4,
        "SOLVER.SCHEDULE": "cosine",
        "SOLVER.MIN_LR_FACTOR": 0.002,
        "SOLVER.WARMUP_EPOCHS": 5,
        "TEST.NECK_FEAT": "before",
    },
}
# Ways to spell what the source says here, or values that are the default of a new part.
SPELLED = {"INPUT.TRANSFORMS", "INPUT.AUTOAUGMENT_FILL", "INPUT.ERASING_FILL", "OUTPUT_DIR"}


def settings(name: str) -> dict[str, Any]:
    return dict(leaves(load_cfg(ROOT / f"configs/market_{name}.yml")))


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_differs_from_the_base_by_what_its_source_says(name: str) -> None:
    base, found = settings("baseline"), settings(name)
    changed = {k: v for k, v in found.items() if v != base[k] and k not in SPELLED}
    assert changed == SAID[name]


@pytest.mark.parametrize("name", RECIPES)
def test_lfm_is_all_that_its_variant_adds(name: str) -> None:
    plain, masked = settings(name), settings(f"{name}_lfm")
    changed = {key: value for key, value in masked.items() if value != plain[key]}
    assert changed == {
        "MODEL.REGULARIZER.NAME": "lfm",
        "OUTPUT_DIR": f"outputs/market_{name}_lfm",
    }


@pytest.mark.usefixtures("narrow_resnet18")
@pytest.mark.parametrize("name", ALL)
def test_a_recipe_trains(data: Path, tmp_path: Path, name: str) -> None:
    places = ["DATASETS.ROOT_DIR", data, "OUTPUT_DIR", tmp_path]
    epochs = ["SOLVER.MAX_EPOCHS", 2, "SOLVER.WARMUP_EPOCHS", 0, "SOLVER.EVAL_PERIOD", 2]
    epochs += ["SOLVER.FREEZE_EPOCHS", 1] if name == "sbs" else []
    epochs += ["SOLVER.DELAY_EPOCHS", 1] if name == "sbs" else []
    epochs += ["MODEL.BACKBONE.NAME", SMALL_VIT] if name == "vit" else []
    file = "market_vit.yml" if name == "vit" else f"market_{name}_lfm.yml"
    run("train", "--config-file", file, *TINY, *places, *map(str, epochs))
    first, last = rows(tmp_path)
    losses = SAID[name].get("LOSS.NAMES", ("ce", "triplet"))
    assert {f"loss_{loss}" for loss in losses} <= first.keys()
    assert ("accuracy" in first) == ("ce" in losses)
    assert first["loss_total"] != last["loss_total"] and 0 <= last["mAP"] <= 1
