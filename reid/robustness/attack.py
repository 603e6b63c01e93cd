"""An attack: an method times an objective at a budget, and how it is put into a pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding, eval_mode
from reid.robustness.attacks import Attack
from reid.robustness.ball import L2, LEVELS, rms
from reid.robustness.guides import Case, Guides
from reid.robustness.objectives import Objective
from reid.robustness.rngs import ImageRNGs
from reid.utils.batch import Batch
from reid.utils.errors import InputError

L2_MARK = " l2"


@dataclass(frozen=True)
class RetrievalAttack:
    """What is done to each image.

    Attributes:
        name: As reported.
        method: How it seeks; knows the budget.
        objective: What it seeks; None for an method that does not ask.

    Raises:
        InputError: The objective has no gradient where the method takes its first, or no
            values that the method could compare.
    """

    name: str
    method: Attack
    objective: Objective | None

    @property
    def title(self) -> str:
        """The name, with the norm where that is not L-infinity: budgets of two norms differ."""
        return f"{self.name}{L2_MARK}" if isinstance(self.method.ball, L2) else self.name

    def __post_init__(self) -> None:
        flat = self.objective is not None and self.objective.flat_at_clean
        if flat and self.method.uses_gradient and not self.method.leaves_start:
            raise InputError(
                f"attack {self.name}: the gradient of this objective is zero at the clean image, so"
                " that the attack would never leave it; use an method with a random start"
                " (pgd, apgd, or fgsm with RANDOM_START True)"
            )
        if self.objective is not None and self.objective.redrawn and self.method.compares:
            raise InputError(
                f"attack {self.name}: this objective is drawn anew at each call, so that its values"
                " do not say which of two images is better; use mi_fgsm, bim, or pgd with one start"
            )

    @property
    def eps_255(self) -> float:
        """Budget in levels of an 8-bit pixel."""
        return round(self.method.ball.eps * LEVELS, 6)

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Tensor:
        """Returns perturbed (B, 3, H, W) images in [0, 1], within the ball around ``clean``.

        Args:
            embed: The model that the attacker sees.
            clean: (B, 3, H, W) in [0, 1].
            case: Identities, cameras and positions of the images, and the other side.
            rngs: A generator for each image.
        """
        if self.objective is None:
            return self.method(_no_loss, clean, rngs)
        return self.method(self.objective(embed, clean, case, rngs), clean, rngs).detach()


def _no_loss(images: Tensor) -> Tensor:
    raise RuntimeError("this method was given no objective")


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Eval mode, and no parameter asks for a gradient; both are put back afterwards.

    In eval mode regularizers are off and batch statistics fixed: what is attacked is what is
    evaluated, and it does not change under the attack.
    """
    asked = [(part, part.requires_grad) for part in module.parameters()]
    with eval_mode(module):
        try:
            for part, _ in asked:
                part.requires_grad_(False)
            yield
        finally:
            for part, before in asked:
                part.requires_grad_(before)


@dataclass
class Perturber:
    """An attack as the ``perturb`` argument of :func:`reid.evaluation.features.extract`.

    Images of identities that the other side does not show stay as they are: no ranking counts
    them.

    Attributes:
        attack: What is done.
        embed: The model that the attack sees, in :func:`frozen`: the one evaluated (white box) or
            a surrogate (transfer).
        guides: The other side, by ``embed``.
        seed: Of the random numbers; those of an image depend on its position in the split alone.
        on_grid: Round to 8 bits, as a picture file would.
        change: Largest change so far, in levels of a pixel and the norm of the ball.
    """

    attack: RetrievalAttack
    embed: Embedding
    guides: Guides
    seed: int
    on_grid: bool = True
    change: float = field(default=0.0, init=False)

    def __call__(self, images: Tensor, batch: Batch) -> Tensor:
        """Returns the images of a batch, perturbed.

        Args:
            images: (B, 3, H, W) in [0, 1].
            batch: Their identities, cameras and positions.
        """
        device = images.device
        pids, camids, indices = (x.to(device) for x in (batch.pids, batch.camids, batch.indices))
        rows = torch.isin(pids, self.guides.identities).nonzero().flatten()
        if not len(rows):
            return images
        clean = images[rows].contiguous(memory_format=torch.channels_last)
        rngs = ImageRNGs(self.seed, indices[rows].tolist())
        case = Case(pids[rows], camids[rows], indices[rows], self.guides)
        attacked = self.attack(self.embed, clean, case, rngs)
        ball = self.attack.method.ball
        if self.on_grid:
            attacked = ball.to_grid(attacked, clean)
        self._check(attacked, clean)
        return images.index_copy(0, rows, attacked)

    def _check(self, attacked: Tensor, clean: Tensor) -> None:
        """Measures the change; one outside the ball is a bug, and no number may come from it."""
        ball, exact = self.attack.method.ball, attacked.double() - clean.double()
        largest = rms(exact).max() if isinstance(ball, L2) else exact.abs().max()
        self.change = max(self.change, float(largest) * LEVELS)
        inside = bool(((attacked >= 0) & (attacked <= 1)).all())  # False for NaN too
        if not inside or self.change > ball.eps * LEVELS + 1e-4:
            raise RuntimeError(
                f"attack {self.attack.name} left its ball: change {self.change} levels, budget"
                f" {self.attack.eps_255}, in [0, 1]: {inside}"
            )
