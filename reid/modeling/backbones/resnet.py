"""torchvision's ResNets with named stages."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from torch import Tensor, nn

from reid.modeling.backbones.registry import BACKBONES
from reid.utils.checks import Range
from reid.utils.errors import ArgumentError


class ResNet(nn.Module):
    """A torchvision ResNet without its classifier, which takes a module after every stage.

    Feature maps and state-dict keys are torchvision's, and so is the random initialization.

    Args:
        depth: 18, 34, 50, 101 or 152.
        last_stride: Stride of the last stage, 2 as in torchvision, or 1, which doubles height and
            width of the last map (Luo et al., arXiv:1903.07071, section 3.5).

    Raises:
        ArgumentError: The stride is neither 1 nor 2.
    """

    stages = ("conv1", "stem", "layer1", "layer2", "layer3", "layer4")
    fresh = ("conv1",)  # its output may be written to: a convolution does not need it backward

    def __init__(self, depth: int, last_stride: Annotated[int, Range(1, 2)] = 1) -> None:
        super().__init__()
        if last_stride not in (1, 2):
            raise ArgumentError("last_stride", f"must be 1 or 2, got {last_stride}")
        import torchvision  # here: it takes as long to load as torch, and most commands need none

        net = getattr(torchvision.models, f"resnet{depth}")(weights=None)
        self.feat_dim: int = net.fc.in_features
        self.conv1 = net.conv1
        self.bn1 = net.bn1
        self.relu = net.relu
        self.maxpool = net.maxpool
        self.layer1 = net.layer1
        self.layer2 = net.layer2
        self.layer3 = net.layer3
        self.layer4 = net.layer4
        for module in self.layer4.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.stride = (last_stride, last_stride)

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps normalized images to the last feature map, (B, feat_dim, h, w).

        Args:
            images: (B, 3, H, W) floating point, normalized.
            after: Modules by stage, applied to the output of their stage; other keys are not used.
                The output of ``conv1`` is the map before bn1; the ReLU behind bn1 works in place.
        """

        def tap(stage: str, x: Tensor) -> Tensor:
            return after[stage](x) if stage in after else x

        x = tap("conv1", self.conv1(images))
        x = tap("stem", self.maxpool(self.relu(self.bn1(x))))
        x = tap("layer1", self.layer1(x))
        x = tap("layer2", self.layer2(x))
        x = tap("layer3", self.layer3(x))
        return tap("layer4", self.layer4(x))


for _depth in (18, 34, 50, 101, 152):
    BACKBONES.register(f"resnet{_depth}")(partial(ResNet, _depth))
