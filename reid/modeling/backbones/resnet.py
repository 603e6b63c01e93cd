"""torchvision's ResNets with named stages."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor, nn

from reid.modeling.backbones.non_local import NonLocal
from reid.modeling.backbones.registry import BACKBONES
from reid.utils.checks import Range, Width, check_choice
from reid.utils.errors import ArgumentError

StemPool = Literal["padded", "ceil", "2x2"]
STEM_POOLS: dict[str, Callable[[], nn.Module]] = {
    "padded": partial(nn.MaxPool2d, 3, stride=2, padding=1),
    "ceil": partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True),
    "2x2": partial(nn.MaxPool2d, 2),
}


class ResNet(nn.Module):
    """A torchvision ResNet without its classifier, which takes a module after every stage.

    Feature maps and state-dict keys are torchvision's, and so is the random initialization.

    Args:
        depth: 18, 34, 50, 101 or 152.
        last_stride: Stride of the last stage, 2 as in torchvision, or 1, which doubles height and
            width of the last map (Luo et al., arXiv:1903.07071, section 3.5).
        non_local: Numbers of non-local blocks in the four stages, each behind one of the last
            blocks of its stage. fast-reid's SBS and AGW have (0, 2, 3, 0) in a ResNet-50.
        non_local_channels: Inner channels of a non-local block; 0 is half of those of the map, as
            in the paper. The codes of fast-reid and AGW have 1.
        stem_relu: Whether a ReLU follows the first normalization. Networks of reid-strong-baseline
            and TransReID have none there; their weights mean nothing with it.
        stem_pool: The max pooling of the stem: ``padded``, 3 x 3 with a border of 1, as in
            torchvision; ``ceil``, 3 x 3 without border, as in fast-reid; ``2x2``, as in TransReID's
            CNN.

    Raises:
        ArgumentError: The stride is neither 1 nor 2, the pooling is unknown, or a stage has fewer
            blocks than non-local ones.
    """

    stages = ("conv1", "stem", "layer1", "layer2", "layer3", "layer4")
    extra = ".non_local."
    decisive = ("stem_relu", "stem_pool")
    fresh = ("conv1",)  # its output may be written to: a convolution does not need it backward

    def __init__(
        self,
        depth: int,
        last_stride: Annotated[int, Range(1, 2)] = 1,
        non_local: Annotated[tuple[int, int, int, int], Range(0, 36)] = (0, 0, 0, 0),
        non_local_channels: Width = 1,
        stem_relu: bool = True,
        stem_pool: StemPool = "padded",
    ) -> None:
        super().__init__()
        if last_stride not in (1, 2):
            raise ArgumentError("last_stride", f"must be 1 or 2, got {last_stride}")
        check_choice("stem_pool", stem_pool, tuple(STEM_POOLS))
        import torchvision  # here: it takes as long to load as torch, and most commands need none

        net = getattr(torchvision.models, f"resnet{depth}")(weights=None)
        self.feat_dim: int = net.fc.in_features
        self.stem_relu, self.stem_pool = stem_relu, stem_pool
        self.conv1 = net.conv1
        self.bn1 = net.bn1
        self.relu = net.relu if stem_relu else nn.Identity()
        self.maxpool = STEM_POOLS[stem_pool]()
        self.layer1 = net.layer1
        self.layer2 = net.layer2
        self.layer3 = net.layer3
        self.layer4 = net.layer4
        for module in self.layer4.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.stride = (last_stride, last_stride)
        self._add_non_local(non_local, non_local_channels)

    def _add_non_local(self, counts: Sequence[int], inner: int) -> None:
        """Gives the last blocks of each stage a non-local block; the names of all others stay."""
        for number, (stage, count) in enumerate(zip(self.stages[2:], counts, strict=True)):
            blocks = getattr(self, stage)
            channels = self.feat_dim >> (3 - number)  # each stage has twice those of the one before
            if not 0 <= count <= len(blocks):
                raise ArgumentError(
                    "non_local", f"must be 0 to {len(blocks)} in {stage}, got {count}"
                )
            for block in blocks[len(blocks) - count :]:
                block.non_local = NonLocal(channels, inner or channels // 2)

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps normalized images to the last feature map, (B, feat_dim, h, w).

        Args:
            images: (B, 3, H, W) floating point, normalized.
            after: Modules by stage, applied to the output of their stage; other keys are not used.
                The output of ``conv1`` is the map before bn1; the ReLU behind bn1 works in place.
        """

        def tap(stage: str, x: Tensor) -> Tensor:
            return after[stage](x) if stage in after else x

        def blocks(stage: str, x: Tensor) -> Tensor:
            for block in getattr(self, stage):
                x = block(x)
                if hasattr(block, "non_local"):
                    x = block.non_local(x)
            return tap(stage, x)

        x = tap("conv1", self.conv1(images))
        x = tap("stem", self.maxpool(self.relu(self.bn1(x))))
        for stage in self.stages[2:]:
            x = blocks(stage, x)
        return x


for _depth in (18, 34, 50, 101, 152):
    BACKBONES.register(f"resnet{_depth}")(partial(ResNet, _depth))
