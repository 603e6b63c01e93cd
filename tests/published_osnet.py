"""torchreid's OSNet from its public definition; see published.py."""

import torch
from published import IDS, fc, mean
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    def __init__(self, c_in: int, c_out: int, side: int = 1, last: str = "relu") -> None:
        """``last`` is relu, linear (no ReLU), bare (nor a normalization) or in (instance norm)."""
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, side, max(1, side // 3), side // 2, bias=False)
        if last != "bare":
            self.bn = (
                nn.InstanceNorm2d(c_out, affine=True) if last == "in" else nn.BatchNorm2d(c_out)
            )
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.bn(x) if self.last != "bare" else x
        return F.relu(x) if self.last in ("relu", "in") else x


class Light(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 1, bias=False)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False, groups=c)
        self.bn = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv2(self.conv1(x))))


class Gate(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, c // 16, 1), nn.Conv2d(c // 16, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class Stream(nn.Module):
    def __init__(self, c: int, length: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Light(c) for _ in range(length)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Block(nn.Module):
    """``kind`` is "" or ain; ``instance`` says whether the block has an instance normalization."""

    def __init__(self, c_in: int, c_out: int, kind: str, instance: bool) -> None:
        super().__init__()
        middle = c_out // 4
        self.conv1 = ConvNorm(c_in, middle)
        if kind == "ain":
            self.conv2 = nn.ModuleList(Stream(middle, length) for length in (1, 2, 3, 4))
        else:
            self.conv2a = Light(middle)
            for letter, length in (("b", 2), ("c", 3), ("d", 4)):
                stream = nn.Sequential(*(Light(middle) for _ in range(length)))
                setattr(self, f"conv2{letter}", stream)
        self.gate = Gate(middle)
        bare = kind == "ain" and instance
        self.conv3 = ConvNorm(middle, c_out, last="bare" if bare else "linear")
        if c_in != c_out:
            self.downsample = ConvNorm(c_in, c_out, last="linear")
        if instance:
            self.IN = nn.InstanceNorm2d(c_out, affine=True)
        self.inside = bare

    def forward(self, x: Tensor) -> Tensor:
        streams = (
            list(self.conv2)
            if hasattr(self, "conv2")
            else [self.conv2a, self.conv2b, self.conv2c, self.conv2d]
        )
        first = self.conv1(x)
        y = self.conv3(torch.stack([self.gate(stream(first)) for stream in streams]).sum(0))
        y = self.IN(y) if self.inside else y
        y = y + (self.downsample(x) if hasattr(self, "downsample") else x)
        return F.relu(self.IN(y) if hasattr(self, "IN") and not self.inside else y)


# Which blocks of the three stages have an instance normalization.
INSTANCE = {
    "": ((False, False),) * 3,
    "ibn": ((True, True), (False, False), (False, False)),
    "ain": ((True, True), (False, True), (True, False)),
}


class OSNet(nn.Module):
    """Its feature is behind the layer ``fc``: 512 numbers."""

    def __init__(self, channels: tuple[int, int, int, int], kind: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.conv1 = ConvNorm(3, channels[0], 7, "in" if kind else "relu")
        for stage, instance in enumerate(INSTANCE[kind]):
            c_in, c_out = channels[stage], channels[stage + 1]
            blocks = [Block(c_in, c_out, kind, instance[0]), Block(c_out, c_out, kind, instance[1])]
            halving = nn.Sequential(ConvNorm(c_out, c_out), nn.AvgPool2d(2))
            if stage < 2 and kind == "ain":
                setattr(self, f"pool{stage + 2}", halving)
            elif stage < 2:
                blocks.append(halving)
            setattr(self, f"conv{stage + 2}", nn.Sequential(*blocks))
        self.conv5 = ConvNorm(channels[3], channels[3])
        self.fc = fc(channels[3], 512)
        self.classifier = nn.Linear(512, IDS)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        for stage in (2, 3, 4):
            x = getattr(self, f"conv{stage}")(x)
            x = getattr(self, f"pool{stage}", nn.Identity())(x)
        return self.fc(mean(self.conv5(x)))
