"""ResNets for tests that depend on no width: the same layers, an eighth of the channels."""

from unittest import mock

import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from reid.modeling import BACKBONES

FEAT_DIM = 64


class Narrow(ResNet):
    """All behind the stem is narrow, and what it costs is a fiftieth."""

    def _make_layer(
        self, block: type[BasicBlock | Bottleneck], planes: int, *more: int, **settings: int
    ) -> nn.Sequential:
        made: nn.Sequential = super()._make_layer(block, planes // 8, *more, **settings)
        return made


def resnet18(weights: None = None) -> ResNet:
    """What stands in for ``torchvision.models.resnet18``."""
    net = Narrow(BasicBlock, [2, 2, 2, 2])
    net.fc = nn.Linear(FEAT_DIM, 1)
    return net


def resnet50(weights: None = None) -> ResNet:
    """What stands in for ``torchvision.models.resnet50``."""
    net = Narrow(Bottleneck, [3, 4, 6, 3])
    net.fc = nn.Linear(Bottleneck.expansion * FEAT_DIM, 1)
    return net


def backbone(**settings: int) -> nn.Module:
    """The backbone "resnet18" of the table, but narrow."""
    with mock.patch.object(torchvision.models, "resnet18", resnet18):
        made: nn.Module = BACKBONES["resnet18"](**settings)
    return made
