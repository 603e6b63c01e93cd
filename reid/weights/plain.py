"""A bare network with its own names, as torchvision, timm and IBN-Net publish it."""

from typing import Any

from reid.utils.errors import InputError
from reid.weights._resnet import has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

RULES = ((r"fc\.(.+)", r"head.classifier.\1"), (r"(.+)", r"backbone.\1"))


@FAMILIES.register("plain")
class Plain(Family):
    """Only ResNets are told by their names; of any other network the user says what it is."""

    meaning = "a bare network: torchvision, timm, IBN-Net; --network names it unless it is a ResNet"

    def recognizes(self, state: State) -> bool:
        """See the base class."""
        return has_resnet(state) and "classifier.weight" not in state

    def fits(self, state: State) -> bool:
        """See the base class."""
        return True

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        if options.network:
            below = r"backbone.net.\1" if ":" in options.network else r"backbone.\1"
            found = renamed("this kind", state, [(r"(.+)", below)])
            found.settings = bare_settings(options.network)
        elif has_resnet(state):
            found = renamed("this kind", state, RULES)
            name = resnet_name(state)
            found.settings = bare_settings(name) | resnet_settings(name, (256, 128), last_stride=2)
            found.remarks = ["assumed: last stride 2, as it was trained"]
        else:
            raise InputError(
                "its names do not tell the network: say --network NAME, such as"
                " torchvision:mobilenet_v2, timm:vit_small_patch16_224 or osnet_x1_0"
            )
        return found


def bare_settings(network: str) -> dict[str, Any]:
    """Returns the keys of a network whose pooled last map is the feature.

    Args:
        network: Name of the backbone.
    """
    return {
        "MODEL.BACKBONE.NAME": network,
        "MODEL.POOLING.NAME": "avg",
        "MODEL.HEAD.NAME": "linear",
    }
