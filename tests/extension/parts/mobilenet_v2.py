"""torchvision's MobileNetV2 as a backbone; its ImageNet file loads as it is."""

from collections.abc import Mapping

import torchvision
from torch import Tensor, nn

from reid.modeling import BACKBONES


@BACKBONES.register("mobilenet_v2")
class MobileNetV2(nn.Module):
    """Stages: the first convolution, and the blocks up to each halving of the map.

    Args:
        width: Factor of all numbers of channels.
    """

    stages = ("conv1", "stem", "layer1", "layer2", "layer3", "layer4")
    classifier = "classifier."  # what its weight files hold besides the backbone
    ends = (1, 4, 7, 14, 19)  # of the stages, in ``features``

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(width_mult=width).features
        self.feat_dim = self.features[-1][0].out_channels

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps (B, 3, H, W) to (B, feat_dim, h, w)."""

        def tap(stage: str, x: Tensor) -> Tensor:
            return after[stage](x) if stage in after else x

        conv, norm, relu = self.features[0]
        x = tap("conv1", conv(images))
        x = relu(norm(x))
        begin = 1
        for stage, end in zip(self.stages[1:], self.ends, strict=True):
            for block in self.features[begin:end]:
                x = block(x)
            begin = max(begin, end)
            x = tap(stage, x)
        return x
