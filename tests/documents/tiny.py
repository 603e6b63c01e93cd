"""What makes an example small enough for a test: settings, and words of a command."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import narrow
import pytest
import torch
import torchvision

from reid.config import loading
from reid.jobs import export

# They stand between a config file and what is typed: typed settings go before them.
SETTINGS: dict[str, Any] = {
    "INPUT.SIZE_TRAIN": [64, 32],
    "INPUT.SIZE_TEST": [64, 32],
    "INPUT.PADDING": 3,
    "DATASETS.SYNTHETIC.PRESET": "tiny",
    "DATALOADER.NUM_WORKERS": 0,
    "DATALOADER.NUM_INSTANCES": 4,
    "SOLVER.IMS_PER_BATCH": 16,
    "SOLVER.MAX_EPOCHS": 1,
    "SOLVER.WARMUP_EPOCHS": 1,
    "SOLVER.PRECISION": "fp32",
    "ATTACK.NUM_QUERIES": 2,
    "ATTACK.SANITY_QUERIES": 2,
    "ATTACK.EPS_255": [4],
    "ATTACK.STEP_CURVE": [],
    "ATTACK.PGD.STEPS": 1,
    "ATTACK.APGD.STEPS": 1,
    "ATTACK.SQUARE.QUERIES": 2,
}


# Sizes that are typed are these, too; the typed ones are only parsed.
TYPED = (
    "SOLVER.MAX_EPOCHS",
    "ATTACK.NUM_QUERIES",
    "ATTACK.EPS_255",
    "ATTACK.STEP_CURVE",
    "ATTACK.PGD.STEPS",
    "ATTACK.APGD.STEPS",
)
SHORT = ("SOLVER.MAX_EPOCHS", "1", "ATTACK.NUM_QUERIES", "2", "ATTACK.PGD.STEPS", "1")
TWO = ("SEEDS", "[0, 1]", *SHORT)
FEW = ("--only", "plain", "--only", "erasing")

# Words of a command -> those that are typed instead; the first that fits.
WORDS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("make-synthetic", "--preset", "quick"), ("make-synthetic", "--preset", "tiny")),
    (
        ("ablate", "ablations/lfm_p.yml", "--preset", "small"),
        (
            "ablate",
            "ablations/lfm_p.yml",
            "--preset",
            "small",
            *TWO,
            "--only",
            "plain",
            "--only",
            "*0.15",
        ),
    ),
    (
        ("ablate", "x.yml", "--known"),
        ("ablate", "x.yml", *TWO, "DATA_SEEDS", "[0]", *FEW, "--known"),
    ),
    (("ablate", "erasing.yml"), ("ablate", "erasing.yml", *TWO)),
    (("ablate", "x.yml"), ("ablate", "x.yml", *TWO, "DATA_SEEDS", "[0]")),
    (  # the size is that of SETTINGS in the checkpoint, too
        ("convert", "market_sbs_R50.pth", "-o", "weights/sbs.pth"),
        ("convert", "market_sbs_R50.pth", "-o", "weights/sbs.pth", "INPUT.SIZE_TEST", "[64, 32]"),
    ),
    (("verify",), ("verify", "--rate", "1e-2")),  # a smaller rate needs ten thousand pairs
]


@contextmanager
def settings() -> Iterator[None]:
    """Config files that are read within are followed by SETTINGS; ResNets are narrow.

    Nothing is compiled or timed, and a network that nobody trained may lose any mAP as int8.
    """
    read = loading.read_chain

    def followed(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
        chain = read(path)
        models = [tree["MODEL"] for _, tree in chain if "MODEL" in tree]
        return [*chain, ("tests/documents/tiny.py", SETTINGS | untrained(models))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "read_chain", followed)
        for name in ("resnet18", "resnet50"):
            patch.setattr(torchvision.models, name, getattr(narrow, name))
        patch.setattr(export, "images_per_second", lambda form, pixels: 123.0)
        patch.setattr(export, "MOST_LOSS", 1.0)
        patch.setattr(torch, "compile", lambda form: form)
        yield


def untrained(models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What is laid over the sections MODEL of a chain of files: no weights of ImageNet.

    A ResNet-18 stands in for a ResNet-50, but for that of a file that `reid convert` wrote.
    """
    if any("PRETRAIN_PATH" in model for model in models):
        return {}
    chosen = [model["BACKBONE"]["NAME"] for model in models if "NAME" in model.get("BACKBONE", {})]
    instead = {"MODEL.BACKBONE.NAME": "resnet18"} if chosen[-1:] == ["resnet50"] else {}
    return {"MODEL.PRETRAIN_CHOICE": "none", **instead}


def smaller(words: Sequence[str]) -> list[str]:
    """Returns the words of a command, with those of WORDS replaced, and sizes of TYPED."""
    words = list(words)
    for key in TYPED:
        if key in words:
            words[words.index(key) + 1] = str(SETTINGS[key])
    for long, short in WORDS:
        for place in range(len(words)):
            if tuple(words[place : place + len(long)]) == long:
                return [*words[:place], *short, *words[place + len(long) :]]
    return words
