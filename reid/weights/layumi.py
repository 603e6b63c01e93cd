"""layumi's Person_reID_baseline_pytorch: a ResNet-50 and a block that reduces to 512 numbers."""

from reid.weights._resnet import has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

BLOCK = "classifier.add_block."
OLD_BLOCK = "model.fc.0.weight"
UNUSED = ((r"model\.fc\.(weight|bias)", "classifier of ImageNet, which that project does not use"),)
OLD = "that version compared the pooled feature, and took this layer off to test"


@FAMILIES.register("layumi")
class Layumi(Family):
    """Old files have the block below ``model.fc``, newer ones below ``classifier.add_block``."""

    meaning = "layumi/Person_reID_baseline_pytorch: ft_net (ResNet-50, ResNet-50-IBN-a)"

    def recognizes(self, state: State) -> bool:
        """See the base class."""
        newer = any(name.startswith(BLOCK) for name in state)
        return has_resnet(state, "model.") and (newer or OLD_BLOCK in state)

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        old = OLD_BLOCK in state
        # Without its linear layer, the block begins with the normalization.
        linear = not old and state[f"{BLOCK}0.weight"].ndim == 2
        rules = [(r"model\.((?!fc\.).+)", r"backbone.\1")]
        dropped = UNUSED
        if old:
            dropped = ((r"(model\.fc|classifier)\..+", OLD),)
        else:
            rules += [(rf"{BLOCK}0\.(.+)", r"head.embedding.\1")] if linear else []
            rules += [
                (rf"{BLOCK}{int(linear)}\.(.+)", r"head.bottleneck.\1"),
                (r"classifier\.classifier\.0\.(.+)", r"head.classifier.\1"),
            ]
        found = renamed("layumi's baseline", state, rules, dropped)
        name = resnet_name(state, "model.")
        found.settings = {
            **resnet_settings(name, (256, 128), last_stride=2),
            "MODEL.POOLING.NAME": "avg",
            "MODEL.HEAD.NAME": "linear" if old else "reduction",
            "TEST.NECK_FEAT": "after",
            "TEST.FEAT_NORM": True,
            "TEST.FLIP": True,
        }
        if not old:
            size = len(state[f"{BLOCK}0.weight"]) if linear else 0
            found.settings["MODEL.HEAD.REDUCTION.EMBEDDING_DIM"] = size
        found.remarks = [
            "assumed: last stride 2, its default; after training with --stride 1 add"
            f" MODEL.BACKBONE.{name.upper()}.LAST_STRIDE 1",
            "its test adds the features of image and mirror image as they are; TEST.FLIP divides"
            " each by its length first. It resizes bicubically",
        ]
        return found
