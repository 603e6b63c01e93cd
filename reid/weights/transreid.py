"""TransReID: its ViTs, with or without overlapping patches, cameras, local branches; its CNN."""

import itertools

from torch import Tensor

from reid.utils.errors import InputError
from reid.weights import strong_baseline
from reid.weights._resnet import has_resnet, resnet_name, resnet_settings
from reid.weights.family import FAMILIES, Conversion, Family, Options, State, renamed

PATCH = 16
CAMERA_WEIGHT = 3.0  # SIE_COE of all its recipes; the file does not hold it
CAMERAS = "sie_embed"  # the embeddings of cameras or views
SIE = f"base.{CAMERAS}"
POSITIONS = "backbone.net.pos_embed"
# Length of a token -> network of timm with as many blocks and heads.
NETWORKS = {
    768: "vit_base_patch16_224",
    384: "vit_small_patch16_224",
    192: "vit_tiny_patch16_224",
}
BLOCKS = 12
LOCAL = "local branch (JPM), which has no place here: the global feature alone is compared"
DROPPED = (
    (r"base\.fc\..+", "classifier of ImageNet, which that project does not use"),
    (r"b2\..+|(bottleneck|classifier)_\d\..+", LOCAL),
)
GLOBAL_BLOCK = (
    (r"base\.(blocks\.11|norm)\..+", "not used there: the global branch has its own last block"),
)
RULES = (
    (r"b1\.0\.(.+)", r"backbone.net.blocks.11.\1"),
    (r"b1\.1\.(.+)", r"backbone.net.norm.\1"),
    (r"base\.(.+)", r"backbone.net.\1"),
    (r"bottleneck\.(.+)", r"head.bottleneck.\1"),
    (r"classifier\.weight", "head.classifier.weight"),
)


@FAMILIES.register("transreid")
class TransReID(Family):
    """Its CNN has the names of reid-strong-baseline and another stem; only the user can tell."""

    meaning = "damo-cv/TransReID: ViT-B, DeiT-B, DeiT-S; ResNet-50 with --from transreid"

    def recognizes(self, state: State) -> bool:
        """See the base class."""
        return "base.patch_embed.proj.weight" in state and "bottleneck.weight" in state

    def fits(self, state: State) -> bool:
        """See the base class."""
        return self.recognizes(state) or strong_baseline.StrongBaseline().recognizes(state)

    def convert(self, state: State, options: Options) -> Conversion:
        """See the base class.

        Args:
            state: As there.
            options: As there.
        """
        if has_resnet(state, "base."):
            return _cnn(state)
        local = any(name.startswith("b1.") for name in state)
        found = renamed("TransReID", state, RULES, (*DROPPED, *(GLOBAL_BLOCK if local else ())))
        embedding = found.tensors.pop("backbone.net.sie_embed", None)
        found.origin.pop("backbone.net.sie_embed", None)
        if embedding is not None:
            positions, remark = _with_camera(found.tensors[POSITIONS], embedding, options.camera)
            found.tensors[POSITIONS] = positions
            found.skipped[SIE] = f"is part of the positions now: {remark}"
            found.remarks.append(remark)
        if local:
            found.remarks.append(
                "its published feature has four local ones behind the global one; this is the"
                " global one, and its numbers are lower"
            )
        size, stride = _grid(found.tensors[POSITIONS].shape[1] - 1)
        found.settings = {
            "MODEL.BACKBONE.NAME": f"timm:{_network(state)}",
            "MODEL.BACKBONE.TIMM.TOKEN": "cls",
            "MODEL.BACKBONE.TIMM.STRIDE": 0 if stride == PATCH else stride,
            "INPUT.SIZE_TRAIN": size,
            "INPUT.SIZE_TEST": size,
            "INPUT.PIXEL_MEAN": (0.5, 0.5, 0.5),
            "INPUT.PIXEL_STD": (0.5, 0.5, 0.5),
            **strong_baseline.head_settings(state),
            "TEST.NECK_FEAT": "before",
        }
        found.remarks.append(
            f"{found.tensors[POSITIONS].shape[1] - 1} positions: images of {size[0]}x{size[1]} with"
            f" a patch every {stride} pixels; assumed: the feature before the neck, as in its"
            " recipes"
        )
        return found


def _cnn(state: State) -> Conversion:
    found = renamed("TransReID", state, strong_baseline.RULES, strong_baseline.UNUSED)
    settings = resnet_settings(
        resnet_name(state, "base."), (256, 128), last_stride=1, stem_relu=False, stem_pool="2x2"
    )
    found.settings = {**settings, **strong_baseline.head_settings(state)}
    found.remarks = [
        "its stem has no ReLU and a max pooling of 2x2",
        "assumed: last stride 1 and images of 256x128",
    ]
    return found


def _network(state: State) -> str:
    """Returns the name in timm of a ViT; its number of heads is a 64th of the length of a token."""
    length = len(state["base.patch_embed.proj.weight"])
    blocks = {name.split(".")[2] for name in state if name.startswith("base.blocks.")}
    if (
        length not in NETWORKS
        or len(blocks) != BLOCKS
        or "base.blocks.0.attn.qkv.bias" not in state
    ):
        raise InputError(
            f"its ViT has {len(blocks)} blocks with tokens of {length} numbers; known are those"
            f" of {', '.join(map(str, NETWORKS))} with {BLOCKS} blocks and a bias in the attention"
            " (its own ViT-S has none)"
        )
    return NETWORKS[length]


def _with_camera(positions: Tensor, embedding: Tensor, camera: str) -> tuple[Tensor, str]:
    """Adds the embedding of one camera to the positions; that network adds both to the tokens.

    Args:
        positions: (1, 1 + cells, C).
        embedding: (cameras, 1, C).
        camera: The camera's number, or ``mean``.
    """
    count = len(embedding)
    numbers = [str(number) for number in range(count)]
    if camera not in ("mean", *numbers):
        raise InputError(
            f"its network is told which of {count} cameras (or views) took an image (SIE), and ours"
            f" is not: `reid convert` with --camera mean, or --camera 0 ... {count - 1}, takes one"
            " for all images; the numbers are lower than with each image's own"
        )
    chosen = embedding.mean(0) if camera == "mean" else embedding[int(camera)]
    what = "the mean of all cameras" if camera == "mean" else f"camera {camera}"
    return positions + CAMERA_WEIGHT * chosen, f"all images are taken for those of {what}"


def _grid(cells: int) -> tuple[tuple[int, int], int]:
    """Returns (H, W) of the images and the distance of the patches that give so many of them."""
    for ratio, stride, unit in itertools.product((2, 3, 1), (PATCH, 12), range(32, 385, 32)):
        size = (ratio * unit, unit)
        rows, columns = ((side - PATCH) // stride + 1 for side in size)
        if rows * columns == cells:
            return size, stride
    raise InputError(
        f"its {cells} positions are those of no images with sides 1:1, 2:1 or 3:1 and patches every"
        f" {PATCH} or 12 pixels"
    )
