"""reid-strong-baseline: Luo et al.'s "Bag of Tricks"."""

from reid.weights._resnet import has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

RULES = (
    (r"base\.(.+)", r"backbone.\1"),
    (r"bottleneck\.(.+)", r"head.bottleneck.\1"),
    (r"classifier\.(.+)", r"head.classifier.\1"),
)
UNUSED = ((r"base\.fc\..+", "classifier of ImageNet, which that project does not use"),)


@FAMILIES.register("strong_baseline")
class StrongBaseline(Family):
    """Its ResNets have no ReLU in the stem; its ResNet-IBN-a has one."""

    meaning = "michuanhaohao/reid-strong-baseline: ResNet, ResNet-IBN-a, with or without BNNeck"

    def recognizes(self, state: State) -> bool:
        """See the base class; TransReID's CNN has the same names."""
        head = "classifier.weight" in state or "bottleneck.weight" in state
        return has_resnet(state, "base.") and head

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        found = renamed("reid-strong-baseline", state, RULES, UNUSED)
        name = resnet_name(state, "base.")
        relu = name.endswith("_ibn_a")
        found.settings = {
            **resnet_settings(name, (256, 128), last_stride=1, stem_relu=relu),
            **head_settings(state),
        }
        found.remarks = [
            f"its stem has {'a' if relu else 'no'} ReLU",
            "assumed: last stride 1 and images of 256x128, as in its recipes",
            "the names are those of TransReID's CNN, too, which has another stem; say"
            " --from transreid if the file is from there",
        ]
        return found


def head_settings(state: State) -> dict[str, object]:
    """Returns the keys of the head, with or without BNNeck, and of the feature that is compared."""
    neck = "bottleneck.weight" in state
    return {
        "MODEL.POOLING.NAME": "avg",
        "MODEL.HEAD.NAME": "bnneck" if neck else "linear",
        "TEST.NECK_FEAT": "after",
        "TEST.FEAT_NORM": True,
    }
