"""ResNets with instance and batch normalization side by side."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn

from reid.modeling.backbones.pretrained import fetched
from reid.modeling.backbones.registry import BACKBONES
from reid.modeling.backbones.resnet import ResNet, StemPool
from reid.utils.checks import Range, Width

RELEASE = "https://github.com/XingangPan/IBN-Net/releases/download/v1.0"
# Each name ends with the first digits of the file's SHA-256.
FILES = {
    18: "resnet18_ibn_a-2f571257.pth",
    34: "resnet34_ibn_a-94bc1577.pth",
    50: "resnet50_ibn_a-d9d0bb7b.pth",
    101: "resnet101_ibn_a-59ea0ac6.pth",
}


class IBN(nn.Module):
    """Instance normalization of the first half of the channels, batch normalization of the rest.

    Source: Pan et al., "Two at Once", ECCV 2018, arXiv:1807.09441, section 3.2. The names ``IN``
    and ``BN`` are those of the published weights.

    Args:
        planes: Number of channels C; the first C // 2 get instance normalization.
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.boundary = planes // 2
        self.IN = nn.InstanceNorm2d(self.boundary, affine=True)
        self.BN = nn.BatchNorm2d(planes - self.boundary)

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes x, (B, C, H, W)."""
        first, second = x[:, : self.boundary], x[:, self.boundary :]
        return torch.cat([self.IN(first), self.BN(second)], 1)


class ResNetIBN(ResNet):
    """A ResNet with IBN behind the first convolution of each block but those of the last stage.

    State-dict keys are those of the published weights (``layer1.0.bn1.IN.weight``).

    Source: Pan et al., "Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net",
    ECCV 2018, arXiv:1807.09441, section 3.2, IBN-a.

    Args:
        depth: 18, 34, 50 or 101.
        last_stride: Stride of the last stage, 2 as in torchvision, or 1, which doubles height and
            width of the last map (Luo et al., arXiv:1903.07071, section 3.5).
        non_local: Numbers of non-local blocks in the four stages, each behind one of the last
            blocks of its stage. fast-reid's SBS and AGW have (0, 2, 3, 0) in a ResNet-50.
        non_local_channels: Inner channels of a non-local block; 0 is half of those of the map, as
            in the paper. The codes of fast-reid and AGW have 1.
        stem_relu: Whether a ReLU follows the first normalization.
        stem_pool: The max pooling of the stem: ``padded`` as in torchvision, ``ceil`` as in
            fast-reid, ``2x2`` as in TransReID's CNN.

    Raises:
        ArgumentError: The stride is neither 1 nor 2, the pooling is unknown, or a stage has fewer
            blocks than non-local ones.
    """

    def __init__(
        self,
        depth: int,
        last_stride: Annotated[int, Range(1, 2)] = 1,
        non_local: Annotated[tuple[int, int, int, int], Range(0, 36)] = (0, 0, 0, 0),
        non_local_channels: Width = 1,
        stem_relu: bool = True,
        stem_pool: StemPool = "padded",
    ) -> None:
        super().__init__(depth, last_stride, non_local, non_local_channels, stem_relu, stem_pool)
        self.depth = depth
        for stage in (self.layer1, self.layer2, self.layer3):
            for block in stage:
                block.bn1 = IBN(block.bn1.num_features)

    def imagenet(self) -> tuple[str, Mapping[str, Tensor]]:
        """Returns the weights that the authors publish, and where they are from."""
        return fetched(f"{RELEASE}/{FILES[self.depth]}", f"resnet{self.depth}_ibn_a")


for _depth in (18, 34, 50, 101):
    BACKBONES.register(f"resnet{_depth}_ibn_a")(partial(ResNetIBN, _depth))
