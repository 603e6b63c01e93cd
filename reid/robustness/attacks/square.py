"""Random search with squares: needs only the loss, no gradient."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reid.robustness.attacks.ascent import better
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_count, check_range

# Tenth-thousandths of the search after which the share of the image is halved.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@ATTACKS.register("square")
class Square(Attack):
    """Square attack: each query tries +-eps in one random square of each image.

    Black-box by score: whoever runs it sees distances only. A model that withstands gradients but
    not this hides its gradients.

    Source: Andriushchenko et al., "Square Attack", arXiv:1912.00049, algorithm 2.
    Differs: images need not be square. A square wider than the image becomes a rectangle of the
    same area.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        queries: Evaluations of the loss.
        share: Share of the image that the first squares cover.
    """

    uses_gradient = False
    compares = True
    leaves_start = True

    def __init__(self, eps: float, queries: int = 500, share: float = 0.3) -> None:
        check_count("queries", queries)
        check_range("share", share, 0, 1, above=True)
        self.ball, self.queries, self.share = make_ball("linf", eps), queries, share

    @torch.no_grad()
    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the perturbed images, (B, 3, H, W); takes no gradient."""
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

        On the CPU, and moved in two copies: image by image the copies would outlast the network.
        """
        count, channels, height, width = clean.shape
        size = window(self.share_at(query), height, width)
        inside = np.zeros((count, 1, height, width), dtype=bool)
        signs = np.empty((count, channels, 1, 1), dtype=np.float32)
        for row, sign, rng in zip(inside, signs, rngs.generators, strict=True):
            rows, columns = place(rng, size, (height, width))
            row[:, rows, columns] = True
            sign[...] = rng.choice((-1.0, 1.0), (channels, 1, 1))
        return torch.from_numpy(inside).to(clean.device), torch.from_numpy(signs).to(clean)

    def share_at(self, query: int) -> float:
        """Returns the share of the image that a query changes."""
        done = query * 10_000 / self.queries
        return self.share / 2 ** sum(done > after for after in HALVED)


def window(share: float, height: int, width: int) -> tuple[int, int]:
    """Returns (rows, columns) of a square of that part of the image; a rectangle if need be.

    Args:
        share: Area of the window / area of the image.
        height: Of the image.
        width: Of the image.
    """
    area = share * height * width
    columns = min(width, height, max(1, round(area**0.5)))
    return min(height, max(1, round(area / columns))), columns


def place(
    rng: np.random.Generator, size: Sequence[int], image: Sequence[int]
) -> tuple[slice, slice]:
    """Draws where in the image the window lies.

    Args:
        rng: Where the numbers come from.
        size: (rows, columns) of the window.
        image: (height, width) of the image.
    """
    starts = (int(rng.integers(whole - part + 1)) for part, whole in zip(size, image, strict=True))
    rows, columns = (slice(s, s + part) for s, part in zip(starts, size, strict=True))
    return rows, columns
