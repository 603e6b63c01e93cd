"""Random search with squares; it needs only values of the loss, no gradient."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.attacks.ascent import better
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Count, Share, check_count, check_range

# Ten-thousandths of the search after which the fraction of the image is halved.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@ATTACKS.register("square")
class Square(Attack):
    """Square attack: each query tries +-eps in one random square of each image.

    It is a black-box attack: it uses only distances. If a model is robust to attacks with gradients
    but not to this one, it hides its gradients.

    Source: Andriushchenko et al., "Square Attack", arXiv:1912.00049, algorithm 2.
    Differs: images need not be square. A square wider than the image becomes a rectangle of the
    same area.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        queries: Number of evaluations of the loss.
        share: Fraction of the image that the first squares cover, in (0, 1].
    """

    uses_gradient = False
    compares = True
    leaves_start = True

    def __init__(
        self,
        eps: float,
        queries: Count = 500,
        share: Share = 0.3,
    ) -> None:
        check_count("queries", queries)
        check_range("share", share, 0, 1, above=True)
        self.ball = make_ball("linf", eps)
        self.queries = queries
        self.share = share

    @torch.no_grad()
    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the best images found, (B, 3, H, W); takes no gradient.

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        _, channels, _, width = clean.shape
        stripes = rngs.uniform((channels, 1, width), clean).lt(0.5).to(clean.dtype)
        best = (clean + (2 * stripes - 1) * self.ball.eps).clamp_(0, 1)
        values = loss(best)
        for query in range(1, self.queries):
            inside, signs = self._draw(query, clean, rngs)
            candidate = torch.where(inside, clean + signs * self.ball.eps, best).clamp_(0, 1)
            best, values = better(best, values, candidate, loss(candidate))
        return best

    def _draw(self, query: int, clean: Tensor, rngs: ImageRNGs) -> tuple[Tensor, Tensor]:
        """Draws each image's window, (B, 1, H, W) bool, and its signs, (B, C, 1, 1).

        They are drawn on the CPU and copied to the device as two tensors, because a copy for each
        image would take longer than the network.
        """
        count, channels, height, width = clean.shape
        size = window_size(self.fraction_at(query), height, width)
        inside = np.zeros((count, 1, height, width), dtype=bool)
        signs = np.empty((count, channels, 1, 1), dtype=np.float32)
        for row, sign, rng in zip(inside, signs, rngs.generators, strict=True):
            rows, columns = draw_window(rng, size, (height, width))
            row[:, rows, columns] = True
            sign[...] = rng.choice((-1.0, 1.0), (channels, 1, 1))
        return torch.from_numpy(inside).to(clean.device), torch.from_numpy(signs).to(clean)

    def fraction_at(self, query: int) -> float:
        """Returns the fraction of the image that a query changes."""
        done = query * 10_000 / self.queries
        return self.share / 2 ** sum(done > after for after in HALVED)


def window_size(fraction: float, height: int, width: int) -> tuple[int, int]:
    """Returns (rows, columns) of a window: a square, or a rectangle if no square fits.

    Args:
        fraction: Area of the window / area of the image, in (0, 1].
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """
    area = fraction * height * width
    columns = min(width, height, max(1, round(area**0.5)))
    return min(height, max(1, round(area / columns))), columns


def draw_window(
    rng: np.random.Generator, size: Sequence[int], image: Sequence[int]
) -> tuple[slice, slice]:
    """Returns the rows and the columns of a window at a random position in the image.

    Args:
        rng: The random generator.
        size: (rows, columns) of the window.
        image: (height, width) of the image.
    """
    starts = (int(rng.integers(n - k + 1)) for k, n in zip(size, image, strict=True))
    rows, columns = (slice(s, s + k) for s, k in zip(starts, size, strict=True))
    return rows, columns
