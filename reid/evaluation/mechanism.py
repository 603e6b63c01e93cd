"""What a network does to small changes of its pixels: its first layer and its pixel gradients."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

CUTOFF = 1 / 16  # cycles per pixel; below it lies what is larger than about 8 pixels


class Stem(NamedTuple):
    """The first layer of a network: a convolution on the pixels, and what normalizes its map."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d


def find_stem(model: nn.Module, images: Tensor) -> Stem | None:
    """Returns the stem of a network, or None if it does not begin with such a pair of layers.

    The convolution must be the first that runs, and be dense; the batch normalization must read
    its very map.

    Args:
        model: Maps the images to anything; it is run once, in the mode that it is in.
        images: (B, 3, H, W) in [0, 1].
    """
    maps: list[tuple[nn.Conv2d, Tensor]] = []
    stems: list[Stem] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            maps.append((module, output))
        elif isinstance(module, nn.BatchNorm2d) and maps and inputs[0] is maps[0][1]:
            stems.append(Stem(maps[0][0], module))

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    usable = [stem for stem in stems if stem.conv.groups == 1 and stem.norm.running_var is not None]
    return usable[0] if usable else None


def channel_deviations(model: nn.Module, conv: nn.Conv2d, batches: Iterable[Tensor]) -> Tensor:
    """Returns the standard deviation of each channel of a layer's map, (C,) float64.

    It is over all cells of all images together, so that it is what a batch normalization behind
    the layer would divide by.

    Args:
        model: The network that runs the layer once an image.
        conv: The layer.
        batches: Images, each (B, 3, H, W) in [0, 1].
    """
    sums: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        cells = output.detach().double().transpose(0, 1).flatten(1)
        ones = torch.full_like(cells[:, 0], cells.shape[1])
        sums.append(torch.stack([ones, cells.sum(1), cells.square().sum(1)]))

    hook = conv.register_forward_hook(note)
    try:
        with torch.no_grad():
            for images in batches:
                model(images)
    finally:
        hook.remove()
    count, total, squares = torch.stack(sums).sum(0)
    return (squares / count - (total / count).square()).clamp(min=0).sqrt()


def gains(stem: Stem, pixel_std: Tensor, eps: float) -> Tensor:
    """Returns how far a change of pixels moves each channel behind the normalization, (C,).

    It is the largest move of a cell under a change of at most ``eps`` of every colour value, from
    running statistics: eps * sum over taps of |w| / pixel_std * |gamma| / sqrt(running variance).
    A cell at the border, whose taps lie partly on the padding, moves less.

    Args:
        stem: Convolution and normalization.
        pixel_std: (3,), what the network divides its pixels by.
        eps: Largest change of a pixel in [0, 1].
    """
    conv, norm = stem
    variance = norm.running_var
    assert variance is not None
    taps = conv.weight.detach().abs().sum((2, 3)) / pixel_std.to(conv.weight.device)
    scale = torch.ones_like(variance) if norm.weight is None else norm.weight.detach().abs()
    return eps * taps.sum(1) * scale / (variance + norm.eps).sqrt()


def pixel_gradients(loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Returns the gradient of each image's loss with respect to its pixels, (B, 3, H, W).

    Args:
        loss: Maps (B, 3, H, W) to (B,), the loss of each image by itself.
        images: (B, 3, H, W) in [0, 1].
    """
    with torch.enable_grad():
        pixels = images.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(pixels).sum(), pixels)
    return gradient


def low_frequencies(size: tuple[int, int], cutoff: float = CUTOFF) -> Tensor:
    """Returns which entries of a discrete Fourier transform lie below a frequency, (H, W) bool.

    Args:
        size: (H, W) in pixels.
        cutoff: Length of (vertical, horizontal) frequency, in cycles per pixel.
    """
    vertical, horizontal = (torch.fft.fftfreq(n, dtype=torch.float64) for n in size)
    return (vertical[:, None].square() + horizontal.square()).sqrt() < cutoff


def low_frequency_share(gradients: Tensor, cutoff: float = CUTOFF) -> Tensor:
    """Returns the share of each gradient's energy below a frequency, (B,); NaN for one that is 0.

    The energy is that of the discrete Fourier transform, summed over the colours. It has the
    mean, frequency 0, too.

    Args:
        gradients: (B, 3, H, W).
        cutoff: In cycles per pixel.
    """
    energy = torch.fft.fft2(gradients.double()).abs().square().sum(1)
    low = low_frequencies((gradients.shape[2], gradients.shape[3]), cutoff).to(energy.device)
    return (energy * low).sum((1, 2)) / energy.sum((1, 2))


def rises(
    loss: Callable[[Tensor], Tensor], images: Tensor, gradients: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Returns how much one step raises each loss, and how much the gradient foretells, (B,) each.

    The step is that of FGSM: ``eps`` along the sign of the gradient, cut to [0, 1]. On a linear
    loss both are equal.

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        images: (B, 3, H, W) in [0, 1].
        gradients: Those of the loss at the images, (B, 3, H, W).
        eps: Size of the step.
    """
    moved = (images + eps * gradients.sign()).clamp(0, 1)
    with torch.no_grad():
        actual = loss(moved) - loss(images)
    return actual, (gradients * (moved - images)).sum((1, 2, 3))
