"""The networks of other projects, written from their public definitions, with random weights.

Each class has the names of its project's files and computes what that project compares in a test.
Widths are free, so that tests are fast: those of ``narrow.py`` are ``NARROW``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NARROW = (64, (8, 16, 32, 64))  # channels of the stem, and of the four stages
WIDE = (64, (64, 128, 256, 512))
IDS = 5


def randomize(net: nn.Module, seed: int = 0) -> nn.Module:
    """Gives every parameter and running statistic a random value; returns the net for testing."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(draw(value).abs() + 0.5)
        elif name.endswith("num_batches_tracked"):
            value.fill_(7)
        elif value.ndim > 1:  # keeps the size of what goes through
            value.copy_(draw(value) * (1.5 / value[0].numel()) ** 0.5)
        else:
            value.copy_(draw(value) * 0.2 + float(name.endswith(("weight", ".p"))))
    return net.eval()


def norm(channels: int, ibn: bool = False) -> nn.Module:
    return IBN(channels) if ibn else nn.BatchNorm2d(channels)


class IBN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.IN = nn.InstanceNorm2d(self.half, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.half)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.IN(x[:, : self.half]), self.BN(x[:, self.half :])], 1)


class Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, or a bottleneck of 1 x 1, 3 x 3, 1 x 1."""

    def __init__(self, c_in: int, planes: int, stride: int, bottleneck: bool, ibn: bool) -> None:
        super().__init__()
        out = planes * 4 if bottleneck else planes
        first = 1 if bottleneck else stride
        side = 1 if bottleneck else 3
        self.conv1 = nn.Conv2d(c_in, planes, side, first, padding=side // 2, bias=False)
        self.bn1 = norm(planes, ibn)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride // first, padding=1, bias=False)
        self.bn2 = norm(planes)
        if bottleneck:
            self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
            self.bn3 = norm(out)
        self.downsample = None
        if stride != 1 or c_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, out, 1, stride, bias=False), norm(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "conv3"):
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class NonLocal(nn.Module):
    """fast-reid's: one inner channel, the affinity divided by the number of positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, 1, 1)
        self.W = nn.Sequential(nn.Conv2d(1, channels, 1), nn.BatchNorm2d(channels))
        self.theta = nn.Conv2d(channels, 1, 1)
        self.phi = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = (part(x).flatten(2)[:, 0] for part in (self.theta, self.phi, self.g))
        affinity = theta[:, :, None] * phi[:, None, :] / theta.shape[1]
        y = (affinity * g[:, None, :]).sum(2)
        return x + self.W(y.view(len(x), 1, *x.shape[2:]))


class ResNet(nn.Module):
    """A ResNet as a map of features.

    Args:
        blocks: Blocks of each stage.
        widths: Channels of the stem and of the stages.
        pool: Max pooling of the stem.
        relu: Whether the stem has a ReLU.
        stride: Of the last stage.
        bottleneck: Whether its blocks are bottlenecks.
        ibn: Whether it is a ResNet-IBN-a.
        non_local: Non-local blocks of each stage, behind its last blocks.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (2, 2, 2, 2),
        widths: tuple[int, Sequence[int]] = NARROW,
        pool: Callable[[], nn.Module] = lambda: nn.MaxPool2d(3, 2, 1),
        relu: bool = True,
        stride: int = 1,
        bottleneck: bool = False,
        ibn: bool = False,
        non_local: Sequence[int] = (),
    ) -> None:
        super().__init__()
        stem, planes = widths
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu, self.maxpool = relu, pool()
        channels = stem
        for stage, (count, width) in enumerate(zip(blocks, planes, strict=True), 1):
            first = {1: 1, 4: stride}.get(stage, 2)
            layers = []
            for index in range(count):
                step = first if index == 0 else 1
                layers.append(Block(channels, width, step, bottleneck, ibn and stage < 4))
                channels = width * 4 if bottleneck else width
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
            if non_local:
                more = (NonLocal(channels) for _ in range(non_local[stage - 1]))
                setattr(self, f"NL_{stage}", nn.ModuleList(more))
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        x = self.maxpool(F.relu(x) if self.relu else x)
        for stage in (1, 2, 3, 4):
            layer, more = getattr(self, f"layer{stage}"), list(getattr(self, f"NL_{stage}", ()))
            for index, block in enumerate(layer):
                x = block(x)
                behind = index - (len(layer) - len(more))
                x = more[behind](x) if behind >= 0 else x
        return x


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


class StrongBaseline(nn.Module):
    """reid-strong-baseline, and TransReID's CNN with another max pooling."""

    def __init__(self, neck: bool = True, **more: Any) -> None:
        super().__init__()
        self.base = ResNet(**{"relu": more.get("ibn", False), **more})
        if more.get("ibn"):
            self.base.fc = nn.Linear(self.base.channels, 3)  # of ImageNet, and not used
        if neck:
            self.bottleneck = nn.BatchNorm1d(self.base.channels)
        self.classifier = nn.Linear(self.base.channels, IDS, bias=not neck)

    def forward(self, x: Tensor) -> Tensor:
        feat = mean(self.base(x))
        return self.bottleneck(feat) if hasattr(self, "bottleneck") else feat


class GeM(nn.Module):
    def __init__(self, trained: bool) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * 3) if trained else 3.0

    def forward(self, x: Tensor) -> Tensor:
        return mean(x.clamp(min=1e-6) ** self.p) ** (1 / self.p)


class FastReIDHead(nn.Module):
    def __init__(self, channels: int, pool_layer: nn.Module, embedding: int) -> None:
        super().__init__()
        self.pool_layer = pool_layer
        last = embedding or channels
        first = [nn.Conv2d(channels, embedding, 1, bias=False)] if embedding else []
        self.bottleneck = nn.Sequential(*first, nn.BatchNorm2d(last))
        self.weight = nn.Parameter(torch.zeros(IDS, last))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool_layer(x)
        return self.bottleneck(pooled[:, :, None, None])[..., 0, 0]


class FastReID(nn.Module):
    """fast-reid: pixels in levels of 255, max pooling without border, feature behind the neck.

    Args:
        recipe: ``bot``, ``agw`` or ``sbs``.
        embedding: Length of its reduced feature; 0 is none.
        non_local: Of the ResNet.
        more: Arguments of the ResNet.
    """

    def __init__(
        self, recipe: str, embedding: int = 0, non_local: Sequence[int] = (), **more: Any
    ) -> None:
        super().__init__()
        pool = {"bot": Mean, "agw": lambda: GeM(False), "sbs": lambda: GeM(True)}[recipe]()
        blocks = non_local if recipe != "bot" else ()
        ceil = {"pool": lambda: nn.MaxPool2d(3, 2, ceil_mode=True), "non_local": blocks}
        self.backbone = ResNet(**{**ceil, **more})
        self.heads = FastReIDHead(self.backbone.channels, pool, embedding)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            levels = torch.tensor(values).view(1, 3, 1, 1) * 255
            self.register_buffer(f"pixel_{name}", levels, persistent=False)

    def forward(self, levels: Tensor) -> Tensor:
        return self.heads(self.backbone((levels - self.pixel_mean) / self.pixel_std))


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return mean(x)


class TorchreidResNet(ResNet):
    """torchreid's ResNet, with or without its layer ``fc``."""

    def __init__(self, embedding: int = 0, **more: Any) -> None:
        super().__init__(**{"stride": 1 if embedding else 2, **more})
        self.fc = fc(self.channels, embedding) if embedding else None
        self.classifier = nn.Linear(embedding or self.channels, IDS)

    def forward(self, x: Tensor) -> Tensor:
        feat = mean(super().forward(x))
        return feat if self.fc is None else self.fc(feat)


def fc(channels: int, embedding: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, embedding), nn.BatchNorm1d(embedding), nn.ReLU())


class ClassBlock(nn.Module):
    """layumi's block: linear layer, normalization, dropout; classifier."""

    def __init__(self, channels: int, linear: int) -> None:
        super().__init__()
        last = linear or channels
        first = [nn.Linear(channels, linear)] if linear else []
        self.add_block = nn.Sequential(*first, nn.BatchNorm1d(last), nn.Dropout(0.5))
        self.classifier = nn.Sequential(nn.Linear(last, IDS))


class Layumi(nn.Module):
    """layumi's ft_net; its test takes off the inner classifier."""

    def __init__(self, linear: int = 512, **more: Any) -> None:
        super().__init__()
        self.model = ResNet(**{"stride": 2, **more})
        self.model.fc = nn.Linear(self.model.channels, 3)  # of ImageNet, and not used
        self.classifier = ClassBlock(self.model.channels, linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier.add_block(mean(self.model(x)))


class OldLayumi(nn.Module):
    """The first ft_net: the block is the network's fc, and its test takes it off."""

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.model = ResNet(**{"stride": 2, **more})
        linear = nn.Linear(self.model.channels, 12)
        self.model.fc = nn.Sequential(linear, nn.BatchNorm1d(12), nn.LeakyReLU(0.1), nn.Dropout())
        self.classifier = nn.Sequential(nn.Linear(12, IDS))

    def forward(self, x: Tensor) -> Tensor:
        return mean(self.model(x))
