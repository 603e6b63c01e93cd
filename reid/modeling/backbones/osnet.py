"""Omni-scale networks, made for re-identification."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial, reduce
from typing import Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.modeling.backbones.registry import BACKBONES
from reid.utils.errors import ArgumentError

Norm = Literal["bn", "ibn", "ain"]
WIDTHS = {"x1_0": 1.0, "x0_75": 0.75, "x0_5": 0.5, "x0_25": 0.25}
CHANNELS = (64, 256, 384, 512)
SCALES = 4  # streams of 1, 2, 3, 4 convolutions in a block
# Blocks of AIN with instance normalization, found by the paper's search; table 2 of TPAMI 2021.
AIN_BLOCKS = ((True, True), (False, True), (True, False))


class ConvNorm(nn.Module):
    """Convolution without bias, normalization, and ReLU.

    Args:
        channels_in: Number of channels that come in.
        channels_out: Number of channels that go out.
        norm: Instance or batch normalization; None has none.
        relu: Whether a ReLU follows.
        kernel: Side of the kernel; the map is padded so that it keeps its size but for ``stride``.
        stride: Step of the kernel.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d,
        relu: bool = True,
        kernel: int = 1,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False
        )
        self.bn = norm(channels_out) if norm is not None else None
        self.relu = relu

    def after_conv(self, x: Tensor) -> Tensor:
        """Does what follows the convolution."""
        x = x if self.bn is None else self.bn(x)
        return F.relu(x) if self.relu else x

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H', W')."""
        return self.after_conv(self.conv(x))


class LightConv(nn.Module):
    """A 1 x 1 convolution, a 3 x 3 convolution of each channel, batch normalization, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        return F.relu(self.bn(self.conv2(self.conv1(x))))


class Gate(nn.Module):
    """Weighs each channel by a number in (0, 1) that depends on the means of all channels."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to the same shape."""
        means = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


def _stream(channels: int, length: int) -> nn.Sequential:
    return nn.Sequential(*(LightConv(channels) for _ in range(length)))


class _Streams(nn.Module):
    """The streams of AIN's files are below ``layers``."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.layers = _stream(channels, length)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Block(nn.Module):
    """A residual block of four streams with receptive fields of 3, 5, 7 and 9 cells.

    One gate weighs the channels of all streams, whose sum goes on.

    Args:
        channels_in: Number of channels that come in.
        channels_out: Number of channels that go out.
        norm: Kind of the network; decides the names of the streams and where instance normalization
            is.
        instance: Whether the block has instance normalization: of its output (``ibn``), or of what
            is added to its input (``ain``).
    """

    def __init__(self, channels_in: int, channels_out: int, norm: Norm, instance: bool) -> None:
        super().__init__()
        middle = channels_out // 4
        self.norm = norm
        self.conv1 = ConvNorm(channels_in, middle)
        if norm == "ain":
            self.conv2 = nn.ModuleList(_Streams(middle, n + 1) for n in range(SCALES))
        else:
            self.conv2a = LightConv(middle)
            self.conv2b = _stream(middle, 2)
            self.conv2c = _stream(middle, 3)
            self.conv2d = _stream(middle, 4)
        self.gate = Gate(middle)
        inner = None if norm == "ain" and instance else nn.BatchNorm2d
        self.conv3 = ConvNorm(middle, channels_out, inner, relu=False)
        self.IN = nn.InstanceNorm2d(channels_out, affine=True) if instance else None
        same = channels_in == channels_out
        self.downsample = None if same else ConvNorm(channels_in, channels_out, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H, W)."""
        identity = x if self.downsample is None else self.downsample(x)
        y = self.conv1(x)
        y = self.conv3(reduce(torch.add, (self.gate(stream(y)) for stream in self._streams())))
        if self.IN is not None and self.norm == "ain":
            y = self.IN(y)
        y = y + identity
        if self.IN is not None and self.norm == "ibn":
            y = self.IN(y)
        return F.relu(y)

    def _streams(self) -> Sequence[nn.Module]:
        if self.norm == "ain":
            return list(self.conv2)
        return (self.conv2a, self.conv2b, self.conv2c, self.conv2d)


class OSNet(nn.Module):
    """An omni-scale network without its last linear layer and its classifier.

    State-dict keys are those of the weights that the authors publish with torchreid, which load
    with MODEL.PRETRAIN_CHOICE path. Their layer ``fc`` behind the pooling (512 numbers at any
    width) is left out: it belongs to the head.

    Source: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019,
    arXiv:1905.00953, table 1; instance normalization: Zhou et al., "Learning Generalisable
    Omni-Scale Representations for Person Re-Identification", TPAMI 2021, arXiv:1910.06827.

    Args:
        width: Factor of all numbers of channels.
        norm: ``bn``; ``ibn``: instance normalization behind the first convolution and on the output
            of the first stage's blocks; ``ain``: behind the first convolution and inside the blocks
            that the paper's search found.
    """

    stages = ("conv1", "stem", "conv2", "conv3", "conv4", "conv5")
    fresh = ("conv1",)  # its output may be written to: a convolution does not need it backward
    classifier = ("fc.", "classifier.")

    def __init__(self, width: float, norm: Norm) -> None:
        super().__init__()
        first, *others = (int(width * channels) for channels in CHANNELS)
        outer = nn.BatchNorm2d if norm == "bn" else partial(nn.InstanceNorm2d, affine=True)
        self.norm = norm
        self.conv1 = ConvNorm(3, first, outer, kernel=7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2, self.pool2 = self._stage(0, first, others[0])
        self.conv3, self.pool3 = self._stage(1, others[0], others[1])
        self.conv4, _ = self._stage(2, others[1], others[2])
        self.conv5 = ConvNorm(others[2], others[2])
        self.feat_dim: int = others[2]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def imagenet(self) -> NoReturn:
        """Raises ArgumentError that says where the published weights are."""
        raise ArgumentError(
            "choice",
            "is imagenet, but the published weights of OSNet lie on a drive without a checksum, and"
            " are not fetched; download osnet_..._imagenet.pth from the model zoo of torchreid, set"
            " it to path and name the file, or set it to none",
        )

    def _stage(
        self, number: int, channels_in: int, channels_out: int
    ) -> tuple[nn.Sequential, nn.Module]:
        """Builds two blocks, and what halves the map; the files of AIN name the latter apart."""
        instance = {"bn": (False, False), "ibn": (number == 0,) * 2, "ain": AIN_BLOCKS[number]}
        blocks = [
            Block(channels, channels_out, self.norm, with_instance)
            for channels, with_instance in zip(
                (channels_in, channels_out), instance[self.norm], strict=True
            )
        ]
        if number == 2:
            return nn.Sequential(*blocks), nn.Identity()
        halving = nn.Sequential(ConvNorm(channels_out, channels_out), nn.AvgPool2d(2, stride=2))
        if self.norm == "ain":
            return nn.Sequential(*blocks), halving
        return nn.Sequential(*blocks, halving), nn.Identity()

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps normalized images to the last feature map, (B, feat_dim, h, w).

        Args:
            images: (B, 3, H, W) floating point, normalized.
            after: Modules by stage, applied to the output of their stage; other keys are not used.
                The output of ``conv1`` is the map before the normalization.
        """

        def tap(stage: str, x: Tensor) -> Tensor:
            return after[stage](x) if stage in after else x

        x = tap("conv1", self.conv1.conv(images))
        x = tap("stem", self.maxpool(self.conv1.after_conv(x)))
        x = tap("conv2", self.pool2(self.conv2(x)))
        x = tap("conv3", self.pool3(self.conv3(x)))
        x = tap("conv4", self.conv4(x))
        return tap("conv5", self.conv5(x))


def _register(norm: Norm, word: str, names: Collection[str]) -> None:
    for name in names:
        BACKBONES.register(f"osnet_{word}{name}")(partial(OSNet, WIDTHS[name], norm))


_register("bn", "", WIDTHS)
_register("ibn", "ibn_", ["x1_0"])
_register("ain", "ain_", ["x1_0"])
