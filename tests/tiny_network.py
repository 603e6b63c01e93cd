"""A backbone for tests of what surrounds the network; it is brought in by IMPORTS."""

from collections.abc import Mapping

from torch import Tensor, nn

from reid.modeling import BACKBONES


@BACKBONES.register("tiny_network")
class TinyNetwork(nn.Module):
    """Two convolutions with what carries a state: batch normalization."""

    stages = ("conv1", "layer1")
    feat_dim = 16

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=4, padding=2, bias=False)
        self.layer1 = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, self.feat_dim, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(self.feat_dim),
            nn.ReLU(inplace=True),
        )

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps (B, 3, H, W) to (B, 16, H / 8, W / 8)."""
        for stage in self.stages:
            images = getattr(self, stage)(images)
            if stage in after:
                images = after[stage](images)
        return images
