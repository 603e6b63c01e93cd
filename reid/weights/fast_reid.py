"""fast-reid: its recipes BoT, AGW and SBS on ResNets and ResNet-IBN-a."""

from typing import Any

import torch
from torch import Tensor

from reid.utils.errors import InputError
from reid.weights._resnet import blocks, has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

EXPONENT = 3.0  # of GeM where it is not trained; the file does not hold it
LEVELS = 255  # its pixels are in 0 ... 255
PIXELS = {"pixel_mean": "INPUT.PIXEL_MEAN", "pixel_std": "INPUT.PIXEL_STD"}
DROPPED = ((r"pixel_(mean|std)", "INPUT.PIXEL_MEAN and INPUT.PIXEL_STD have it, divided by 255"),)
STAGES = (1, 2, 3, 4)
NECK = "heads.bottleneck.0.weight"
EMBEDDING = "head.embedding.weight"


@FAMILIES.register("fast_reid")
class FastReID(Family):
    """Its max pooling has no border; its feature is always the one behind the neck.

    The pooling tells the recipe: only SBS trains GeM's exponent, and of the others only AGW, with
    a fixed one, has non-local blocks.
    """

    meaning = "JDAI-CV/fast-reid: BoT, AGW, SBS with ResNet or ResNet-IBN-a"

    def recognizes(self, state: State) -> bool:
        """See the base class."""
        return any(n.startswith("heads.") for n in state) and has_resnet(state, "backbone.")

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        found = renamed("fast-reid", state, _rules(state), DROPPED)
        embedding = found.tensors.get(EMBEDDING)
        backbone = resnet_name(state, "backbone.")
        recipe, settings = _recipe(state)
        size = (384, 128) if recipe == "SBS" else (256, 128)
        found.settings = {
            **resnet_settings(backbone, size, last_stride=1, stem_pool="ceil"),
            **settings,
            "MODEL.HEAD.NAME": "bnneck",
            "TEST.NECK_FEAT": "after",
            "TEST.FEAT_NORM": True,
        }
        if embedding is not None:  # a 1 x 1 convolution there
            found.tensors[EMBEDDING] = embedding.flatten(1)
            found.settings["MODEL.HEAD.BNNECK.EMBEDDING_DIM"] = len(embedding)
        found.settings |= _non_local_settings(state, backbone)
        if recipe == "AGW":
            found.tensors["pooling.p"] = torch.tensor([EXPONENT])
        found.settings |= {
            key: _in_unit(state[name]) for name, key in PIXELS.items() if name in state
        }
        found.remarks = [
            f"taken for a network of the recipe {recipe}: {_WHY[recipe]}",
            f"assumed: last stride 1 and images of {size[0]}x{size[1]}, as in that recipe",
            "its test resizes images bicubically, and compares by the cosine",
        ]
        if recipe == "SBS":
            found.remarks.append(
                "its classifier compares unit vectors (CircleSoftmax): logits of head.classifier"
                " are not those of that training; features are"
            )
        return found


def _rules(state: State) -> list[tuple[str, str]]:
    """Returns the rules; with an embedding the normalization is the second part of the neck."""
    neck = state.get(NECK)
    if neck is None and "heads.bnneck.weight" not in state:
        raise InputError("its head has no BNNeck, which is not known here")
    embedding = neck is not None and neck.ndim == 4
    return [
        *_non_local_rules(state),
        (r"backbone\.(.+)", r"backbone.\1"),
        *([(r"heads\.bottleneck\.0\.(.+)", r"head.embedding.\1")] if embedding else []),
        (rf"heads\.(?:bottleneck\.{int(embedding)}|bnneck)\.(.+)", r"head.bottleneck.\1"),
        (r"heads\.(?:classifier\.|cls_layer\.)?weight", "head.classifier.weight"),
        (r"heads\.pool_layer\.p", "pooling.p"),
    ]


def _non_local(state: State) -> tuple[int, ...]:
    """Returns the number of non-local blocks of each stage."""
    return tuple(len(blocks(state, f"backbone.NL_{stage}.")) for stage in STAGES)


def _non_local_settings(state: State, backbone: str) -> dict[str, Any]:
    """Returns the keys of the non-local blocks, if there are any."""
    inner = [len(value) for name, value in state.items() if name.endswith(".g.weight")]
    if not any(_non_local(state)) or not inner:
        return {}
    section = f"MODEL.BACKBONE.{backbone.upper()}"
    return {f"{section}.NON_LOCAL": _non_local(state), f"{section}.NON_LOCAL_CHANNELS": inner[0]}


def _non_local_rules(state: State) -> list[tuple[str, str]]:
    """Returns the rules for non-local blocks, which stand behind the last blocks of their stage."""
    rules = []
    for stage, count in zip(STAGES, _non_local(state), strict=True):
        first = len(blocks(state, f"backbone.layer{stage}.")) - count
        for number in range(count):
            here = rf"backbone.layer{stage}.{first + number}.non_local.\1"
            rules.append((rf"backbone\.NL_{stage}\.{number}\.(.+)", here))
    return rules


_WHY = {
    "SBS": "the exponent of its GeM is trained",
    "AGW": "it has non-local blocks, and no trained exponent",
    "BoT": "it has no GeM with a trained exponent, and no non-local blocks",
}


def _recipe(state: State) -> tuple[str, dict[str, Any]]:
    """Returns the name of the recipe, and the keys of its pooling."""
    if "heads.pool_layer.p" in state:
        return "SBS", {"MODEL.POOLING.NAME": "gem", "MODEL.POOLING.GEM.LEARN": True}
    if any(_non_local(state)):
        return "AGW", {"MODEL.POOLING.NAME": "gem", "MODEL.POOLING.GEM.LEARN": False}
    return "BoT", {"MODEL.POOLING.NAME": "avg"}


def _in_unit(levels: Tensor) -> tuple[float, ...]:
    """Returns three numbers in levels of 255 as numbers for pixels in [0, 1]."""
    return tuple(round(float(value) / LEVELS, 6) for value in levels.flatten())
