"""What a search may know besides the loss: stages, by what images are compared, when to stop."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reid.robustness.attacks.base import Loss


class StagedLoss:
    """Losses that are raised one after the other; images are compared by the last one.

    Args:
        stages: At least one loss, (B, 3, H, W) in [0, 1] -> (B,).
    """

    def __init__(self, stages: Sequence[Loss]) -> None:
        self.stages = tuple(stages)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the last loss, (B,), of (B, 3, H, W) images in [0, 1]."""
        return self.stages[-1](images)

    def at(self, step: int, steps: int) -> Loss:
        """Returns the loss that a step raises; the steps are divided among the losses.

        Args:
            step: Number of the step, from 0.
            steps: Number of all steps.
        """
        return self.stages[step * len(self.stages) // steps]


class Search:
    """A loss, and what makes a search for its maximum stronger or cheaper.

    A loss that can tell has an attribute ``finished``, (R,) bool: which of the images that it saw
    last cannot get worse.

    Args:
        make: Builds the loss of some of the images, (R,) int64 rows of the batch.
        judge: Builds, in the same way, what images are compared by; None: the loss.
        stops: Whether a search may leave an image as soon as nothing can be gained any more.
        rows: (R,) the images of this search.
    """

    def __init__(
        self,
        make: Callable[[Tensor], Loss],
        judge: Callable[[Tensor], Loss] | None,
        stops: bool,
        rows: Tensor,
    ) -> None:
        self.make = make
        self.judge = judge
        self.stops = stops
        self.rows = rows
        self.loss = make(rows)
        self.score = self.loss if judge is None else judge(rows)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the loss, (R,), of (R, 3, H, W) images in [0, 1]."""
        return self.loss(images)

    def of(self, rows: Tensor) -> "Search":
        """Returns the same search for some of its images, (S,) int64."""
        return Search(self.make, self.judge, self.stops, self.rows[rows])

    def left(self, asked: Loss) -> Tensor | None:
        """Returns, (S,) int64, the images that can still get worse; None: all of them.

        Args:
            asked: The loss, stage or score that has just seen the images.
        """
        finished = getattr(asked, "finished", None) if self.stops else None
        if finished is None or not bool(finished.any()):
            return None
        return (~finished).nonzero().flatten()


def part(images: Tensor, rows: Tensor) -> Tensor:
    """Returns some images in the memory format of all, (R, 3, H, W).

    Args:
        images: (B, 3, H, W).
        rows: (R,) int64.
    """
    some = images[rows]
    if images.is_contiguous(memory_format=torch.channels_last):
        some = some.contiguous(memory_format=torch.channels_last)
    return some
