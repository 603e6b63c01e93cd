"""What a perturbation may be: a ball around the clean image, cut by the range [0, 1] of pixels."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError

HALVINGS = 16
LEVELS = 255  # an 8-bit pixel is a whole number of 1 / LEVELS


class Ball(Protocol):
    """Images within ``eps`` of the clean ones. All images are (B, 3, H, W) float in [0, 1]."""

    @property
    def eps(self) -> float:
        """Radius in [0, 1] units of a pixel."""

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Returns the nearest images that are allowed, (B, 3, H, W).

        Args:
            images: (B, 3, H, W).
            clean: (B, 3, H, W), the centers.
        """

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Walks up the gradient; returns (B, 3, H, W). An image without gradient stays.

        Args:
            images: (B, 3, H, W).
            gradient: (B, 3, H, W).
            size: Size of the step in radii; a number, or (B, 1, 1, 1).
        """

    def sample(self, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Draws an allowed image near each clean one, (B, 3, H, W).

        Args:
            clean: (B, 3, H, W).
            rngs: A generator for each image.
        """

    def to_grid(self, images: Tensor, clean: Tensor) -> Tensor:
        """Rounds to 8 bits without leaving the ball; returns (B, 3, H, W).

        Args:
            images: (B, 3, H, W).
            clean: (B, 3, H, W), on the grid already.
        """


@dataclass(frozen=True)
class Linf:
    """No value of a pixel changes by more than ``eps``."""

    eps: float
    name: ClassVar[str] = "linf"

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Cuts each value to the interval around the clean one, (B, 3, H, W); see :class:`Ball`."""
        return torch.clamp(images, clean - self.eps, clean + self.eps).clamp_(0, 1)

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Walks along the sign of the gradient, (B, 3, H, W); see :class:`Ball`."""
        return images + gradient.sign() * (size * self.eps)

    def sample(self, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Draws each value uniformly before the cut to [0, 1], (B, 3, H, W); see :class:`Ball`."""
        noise = rngs.uniform(clean.shape[1:], clean).mul_(2).sub_(1)
        return (clean + noise.mul_(self.eps)).clamp_(0, 1)

    def to_grid(self, images: Tensor, clean: Tensor) -> Tensor:
        """Rounds the change to whole levels, (B, 3, H, W); see :class:`Ball`."""
        most = int(self.eps * LEVELS + 1e-6)
        change = ((images - clean) * LEVELS).round_().clamp_(-most, most)
        return _on_grid(clean, change)


@dataclass(frozen=True)
class L2:
    """The root of the mean squared change over all values of an image is at most ``eps``.

    A mean and not a sum, so that ``eps`` keeps its unit and its meaning at every image size; the
    plain Euclidean radius is ``eps * sqrt(3 * H * W)``.
    """

    eps: float
    name: ClassVar[str] = "l2"

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Shortens changes that are too long, (B, 3, H, W); see :class:`Ball`."""
        change = images - clean
        factor = (self.eps / rms(change).clamp(min=1e-12)).clamp(max=1)
        return (clean + change * factor).clamp_(0, 1)

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Walks along the gradient, divided by its length, (B, 3, H, W); see :class:`Ball`."""
        length = rms(gradient)
        direction = torch.where(length > 0, gradient / length.clamp(min=1e-30), 0)
        return images + direction * (size * self.eps)

    def sample(self, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Draws a uniform direction and a uniform length, (B, 3, H, W); see :class:`Ball`."""
        direction = rngs.normal(clean.shape[1:], clean)
        length = rngs.uniform((1, 1, 1), clean) * self.eps
        return (clean + direction / rms(direction) * length).clamp_(0, 1)

    def to_grid(self, images: Tensor, clean: Tensor) -> Tensor:
        """Rounds to whole levels, (B, 3, H, W); see :class:`Ball`.

        Rounding lengthens a change, so that one on the sphere would leave the ball. It is shortened
        first, by a factor found in halves: what remains is within a hair of what is allowed.
        """
        exact, most = (images - clean) * LEVELS, self.eps * LEVELS + 1e-6
        low, high = torch.zeros_like(rms(exact)), torch.ones_like(rms(exact))
        for _ in range(HALVINGS):
            middle = torch.where(high == 1, high, (low + high) / 2)  # the whole is tried first
            fits = rms((exact * middle).round()) <= most
            low = torch.where(fits, middle, low)
            high = torch.where(fits, high, torch.where(high == 1, 1 - 1e-7, middle))
        return _on_grid(clean, (exact * low).round())


Norm: TypeAlias = Literal["linf", "l2"]
NORMS: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}


def make_ball(norm: str, eps: float) -> Ball:
    """Builds a ball.

    Args:
        norm: ``linf``, or ``l2`` (root mean square over an image).
        eps: Radius in [0, 1] units of a pixel.

    Raises:
        ArgumentError: An unknown norm, or a radius outside [0, 1].
    """
    check_choice("norm", norm, NORMS)
    if not 0 <= eps <= 1:
        raise ArgumentError("eps", f"must be 0 to 255 levels of a pixel, got {eps * LEVELS:g}")
    return NORMS[norm](eps)


def rms(values: Tensor) -> Tensor:
    """Root of the mean square of each image, (B, 1, 1, 1)."""
    return values.square().mean((1, 2, 3), keepdim=True).sqrt()


def _on_grid(clean: Tensor, change: Tensor) -> Tensor:
    # Whole levels are added and divided once, so that equal levels are equal bits.
    return (clean * LEVELS).round_().add_(change).clamp_(0, LEVELS).div_(LEVELS)
