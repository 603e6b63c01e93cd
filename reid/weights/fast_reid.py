"""fast-reid: its recipes BoT, AGW and SBS on ResNets and ResNet-IBN-a."""

from typing import Any

from torch import Tensor

from reid.utils.errors import InputError
from reid.weights._resnet import has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

LEVELS = 255  # its pixels are in 0 ... 255
PIXELS = {"pixel_mean": "INPUT.PIXEL_MEAN", "pixel_std": "INPUT.PIXEL_STD"}
DROPPED = ((r"pixel_(mean|std)", "INPUT.PIXEL_MEAN and INPUT.PIXEL_STD have it, divided by 255"),)
NECK = "heads.bottleneck.0.weight"


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
        for name in ("head.embedding.weight",):  # a 1 x 1 convolution there
            if name in found.tensors:
                found.tensors[name] = found.tensors[name].flatten(1)
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
        if "head.embedding.weight" in found.tensors:
            found.settings["MODEL.HEAD.BNNECK.EMBEDDING_DIM"] = len(
                found.tensors["head.embedding.weight"]
            )
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
        (r"backbone\.(.+)", r"backbone.\1"),
        *([(r"heads\.bottleneck\.0\.(.+)", r"head.embedding.\1")] if embedding else []),
        (rf"heads\.(?:bottleneck\.{int(embedding)}|bnneck)\.(.+)", r"head.bottleneck.\1"),
        (r"heads\.(?:classifier\.|cls_layer\.)?weight", "head.classifier.weight"),
        (r"heads\.pool_layer\.p", "pooling.p"),
    ]


_WHY = {
    "SBS": "the exponent of its GeM is trained",
    "AGW": "it has non-local blocks, and no trained exponent",
    "BoT": "it has no GeM with a trained exponent, and no non-local blocks",
}


def _recipe(state: State) -> tuple[str, dict[str, Any]]:
    """Returns the name of the recipe, and the keys of its pooling."""
    if "heads.pool_layer.p" in state:
        return "SBS", {"MODEL.POOLING.NAME": "gem", "MODEL.POOLING.GEM.LEARN": True}
    if any(name.startswith("backbone.NL_") for name in state):
        return "AGW", {"MODEL.POOLING.NAME": "gem", "MODEL.POOLING.GEM.LEARN": False}
    return "BoT", {"MODEL.POOLING.NAME": "avg"}


def _in_unit(levels: Tensor) -> tuple[float, ...]:
    """Returns three numbers in levels of 255 as numbers for pixels in [0, 1]."""
    return tuple(round(float(value) / LEVELS, 6) for value in levels.flatten())
