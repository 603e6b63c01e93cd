"""The allowed perturbations: a ball around the clean image, cut to the range [0, 1] of pixels."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError

HALVINGS = 16  # steps of the bisection in L2.to_grid
LEVELS = 255  # an 8-bit pixel is a whole number of 1 / LEVELS


class Ball(Protocol):
    """The images within ``eps`` of clean images. All images are (B, 3, H, W) float in [0, 1]."""

    @property
    def eps(self) -> float:
        """Radius in [0, 1] units of a pixel."""

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Returns the nearest allowed images, (B, 3, H, W) in [0, 1].

        Args:
            images: (B, 3, H, W), any values.
            clean: (B, 3, H, W) in [0, 1], the centers.
        """

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Returns images moved along the gradient, (B, 3, H, W); a zero gradient moves nothing.

        Args:
            images: (B, 3, H, W).
            gradient: (B, 3, H, W).
            size: Size of the step in units of ``eps``; a number, or (B, 1, 1, 1).
        """

    def sample(self, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns a random allowed image near each clean one, (B, 3, H, W) in [0, 1].

        Args:
            clean: (B, 3, H, W) in [0, 1].
            rngs: A generator for each image.
        """

    def to_grid(self, images: Tensor, clean: Tensor) -> Tensor:
        """Returns images rounded to 8 bits that are still in the ball, (B, 3, H, W) in [0, 1].

        Args:
            images: (B, 3, H, W).
            clean: (B, 3, H, W) in [0, 1], whole multiples of 1/255.
        """


@dataclass(frozen=True)
class Linf:
    """The ball in which no value of a pixel changes by more than ``eps``.

    Examples:
        >>> import torch
        >>> ball = Linf(eps=0.1)
        >>> ball.project(torch.tensor([0.9, 0.45, 0.0]), torch.tensor([0.5, 0.5, 0.05]))
        tensor([0.6000, 0.4500, 0.0000])
    """

    eps: float
    name: ClassVar[str] = "linf"

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Clamps each value to the interval around its center, (B, 3, H, W); see :class:`Ball`."""
        return torch.clamp(images, clean - self.eps, clean + self.eps).clamp_(0, 1)

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Moves along the sign of the gradient, (B, 3, H, W); see :class:`Ball`."""
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
    """The ball in which the root mean square of the change of an image is at most ``eps``.

    It is a mean and not a sum, so that ``eps`` means the same at every image size; the Euclidean
    radius is ``eps * sqrt(3 * H * W)``.
    """

    eps: float
    name: ClassVar[str] = "l2"

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Shortens changes that are too long, (B, 3, H, W); see :class:`Ball`."""
        change = images - clean
        factor = (self.eps / rms(change).clamp(min=1e-12)).clamp(max=1)
        return (clean + change * factor).clamp_(0, 1)

    def step(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """Moves along the gradient, divided by its length, (B, 3, H, W); see :class:`Ball`."""
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

        Rounding can lengthen a change, so that an image at the border would leave the ball. The
        change is therefore shortened first, by the largest factor that bisection finds.
        """
        exact = (images - clean) * LEVELS
        most = self.eps * LEVELS + 1e-6
        low = torch.zeros_like(rms(exact))
        high = torch.ones_like(rms(exact))
        for _ in range(HALVINGS):
            middle = torch.where(high == 1, high, (low + high) / 2)  # factor 1 is tried first
            fits = rms((exact * middle).round()) <= most
            low = torch.where(fits, middle, low)
            high = torch.where(fits, high, torch.where(high == 1, 1 - 1e-7, middle))
        return _on_grid(clean, (exact * low).round())


Norm: TypeAlias = Literal["linf", "l2"]
NORMS: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}


def make_ball(norm: str, eps: float) -> Ball:
    """Builds the ball of a norm and a radius.

    Args:
        norm: ``linf``, or ``l2`` (root mean square over an image).
        eps: Radius in [0, 1] units of a pixel.

    Raises:
        ArgumentError: The norm is unknown, or the radius is outside [0, 1].
    """
    check_choice("norm", norm, NORMS)
    if not 0 <= eps <= 1:
        raise ArgumentError("eps", f"must be 0 to 255 levels of a pixel, got {eps * LEVELS:g}")
    return NORMS[norm](eps)


def rms(values: Tensor) -> Tensor:
    """Returns the root mean square of each image of (B, 3, H, W), as (B, 1, 1, 1)."""
    return values.square().mean((1, 2, 3), keepdim=True).sqrt()


def _on_grid(clean: Tensor, change: Tensor) -> Tensor:
    # Whole levels are added, and divided only once, so that equal levels give equal bits.
    return (clean * LEVELS).round_().add_(change).clamp_(0, LEVELS).div_(LEVELS)
