"""torchreid (deep-person-reid): ResNets, ResNet with a 512-d layer, OSNet."""

from reid.utils.errors import InputError
from reid.weights._resnet import IMAGENET_PIXELS, has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

RULES = (
    (r"fc\.0\.(.+)", r"head.embedding.\1"),
    (r"fc\.1\.(.+)", r"head.bottleneck.\1"),
    (r"classifier\.(.+)", r"head.classifier.\1"),
    (r"((conv|bn|layer|pool)\d\..+)", r"backbone.\1"),
)
OSNET = ("conv1.conv.weight", "conv2.0.gate.fc1.weight", "conv5.conv.weight")
WIDTHS = {64: "x1_0", 48: "x0_75", 32: "x0_5", 16: "x0_25"}  # by channels of the first convolution


@FAMILIES.register("torchreid")
class Torchreid(Family):
    """Its features are compared as they are, and not divided by their length."""

    meaning = "KaiyangZhou/deep-person-reid: resnet18 to resnet152, resnet50_fc512, OSNet"

    def recognizes(self, state: State) -> bool:
        """See the base class."""
        resnet = has_resnet(state) and "classifier.weight" in state
        return resnet or all(name in state for name in OSNET)

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        found = renamed("torchreid", state, RULES)
        embedding = state.get("fc.0.weight")
        if has_resnet(state):
            stride = 2 if embedding is None else 1
            found.settings = resnet_settings(resnet_name(state), (256, 128), stride)
            found.remarks = [f"its networks of this kind have last stride {stride}"]
        else:
            size = (256, 128)
            found.settings = {
                "MODEL.BACKBONE.NAME": _osnet(state),
                "INPUT.SIZE_TRAIN": size,
                "INPUT.SIZE_TEST": size,
                **IMAGENET_PIXELS,
            }
        found.settings |= {
            "MODEL.POOLING.NAME": "avg",
            "MODEL.HEAD.NAME": "linear" if embedding is None else "reduction",
            "TEST.NECK_FEAT": "after",
            # The recipe of OSNet-AIN compares by the cosine.
            "TEST.FEAT_NORM": "pool2.0.conv.weight" in state,
        }
        if embedding is not None:
            found.settings |= {
                "MODEL.HEAD.REDUCTION.EMBEDDING_DIM": len(embedding),
                "MODEL.HEAD.REDUCTION.DROPOUT": 0.0,
                "MODEL.HEAD.REDUCTION.RELU": True,
            }
        found.remarks.append("assumed: images of 256x128, as in its recipes")
        return found


def _osnet(state: State) -> str:
    """Returns the name in BACKBONES."""
    channels = len(state["conv1.conv.weight"])
    kind = ""
    if "pool2.0.conv.weight" in state:
        kind = "ain_"
    elif "conv2.0.IN.weight" in state:
        kind = "ibn_"
    if channels not in WIDTHS or (kind and channels != 64):
        raise InputError(
            f"its network is an OSNet {kind.strip('_')} with {channels} channels in the first"
            " convolution, which is not known here"
        )
    return f"osnet_{kind}{WIDTHS[channels]}"
