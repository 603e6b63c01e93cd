"""An attack is a method and an objective at a budget; a perturber applies it to each batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding, eval_mode
from reid.robustness.attacks import ATTACKS, Attack, Loss
from reid.robustness.attacks.ascent import stage_at
from reid.robustness.attacks.search import Search, part
from reid.robustness.ball import L2, LEVELS, rms
from reid.robustness.draws import mean_over_draws
from reid.robustness.guides import Case, Guides
from reid.robustness.objectives import Objective
from reid.robustness.objectives.stages import Stages
from reid.robustness.rankings import WorstAP
from reid.robustness.rngs import ImageRNGs
from reid.utils.batch import Batch
from reid.utils.errors import InputError

L2_MARK = " l2"


@dataclass(frozen=True)
class RetrievalAttack:
    """A named attack on retrieval.

    Attributes:
        name: Name in reports.
        method: The search for better images; it has the budget.
        objective: The loss that the search raises; None for a method that uses no loss.
        choose_by: What images of several starts are compared by: ``loss``, ``ap`` (the AP of the
            ranking), or ``auto``: AP if the objective knows the ranking.
        early_stop: Whether images whose AP can hardly fall are left alone; see
            :meth:`reid.robustness.rankings.Rankings.hopeless`.
        draws: Number of draws of a random model that a loss is the mean of; 1 takes it as it is.

    Raises:
        InputError: The objective has no gradient at the point where the method takes its first
            one, the method compares values of the objective that are not comparable, or the
            objective has stages and the method takes none.
    """

    name: str
    method: Attack
    objective: Objective | None
    choose_by: str = "auto"
    early_stop: bool = True
    draws: int = 1

    @property
    def title(self) -> str:
        """The name, and the norm where that is not L-infinity, as budgets of two norms differ."""
        return f"{self.name}{L2_MARK}" if isinstance(self.method.ball, L2) else self.name

    def __post_init__(self) -> None:
        flat = self.objective is not None and self.objective.flat_at_clean
        if flat and self.method.uses_gradient and not self.method.leaves_start:
            raise InputError(
                f"attack {self.name}: the gradient of this objective is zero at the clean image, so"
                " that the attack would never leave it; use a method with a random start"
                " (pgd, apgd, or fgsm with RANDOM_START True)"
            )
        if self.objective is not None and self.objective.redrawn and self.method.compares:
            raise InputError(
                f"attack {self.name}: this objective is drawn anew at each call, so that its values"
                " do not say which of two images is better; use mi_fgsm, bim, or pgd with one start"
            )
        if isinstance(self.objective, Stages) and not self.method.takes_stages:
            able = [name for name in ATTACKS.names() if ATTACKS[name].takes_stages]
            raise InputError(
                f"attack {self.name}: this method raises one objective; those joined by + are for"
                f" {', '.join(able)}"
            )

    @property
    def eps_255(self) -> float:
        """Budget in levels of an 8-bit pixel."""
        return round(self.method.ball.eps * LEVELS, 6)

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Tensor:
        """Returns perturbed images, (B, 3, H, W) in [0, 1], within the ball around ``clean``.

        Args:
            embed: The model that the attacker sees; maps (B, 3, H, W) to (B, D).
            clean: (B, 3, H, W) in [0, 1].
            case: Identities, cameras and positions of the images, and the other side.
            rngs: A generator for each image.
        """
        if self.objective is None:
            return self.method(_no_loss, clean, rngs)
        return self.method(self._search(embed, clean, case, rngs), clean, rngs).detach()

    def stage(
        self,
        embed: Embedding,
        clean: Tensor,
        case: Case,
        rngs: ImageRNGs,
        step: int,
        steps: int,
    ) -> Loss:
        """Returns the loss (B, 3, H, W) -> (B,) that one step raises.

        Args:
            embed: The model that the attacker sees.
            clean: (B, 3, H, W) in [0, 1].
            case: Identities, cameras and positions of the images, and the other side.
            rngs: A generator for each image.
            step: Number of the step, from 0.
            steps: Number of all steps.
        """
        search = self._search(embed, clean, case, rngs, step * self.draws)
        return stage_at(search, step, steps)

    def _search(
        self,
        embed: Embedding,
        clean: Tensor,
        case: Case,
        rngs: ImageRNGs,
        first_draw: int = 0,
    ) -> Search:
        objective = self.objective
        assert objective is not None

        def make(rows: Tensor) -> Loss:
            loss = objective(embed, part(clean, rows), case.of(rows), rngs.of(rows))
            return mean_over_draws(loss, embed, self.draws, first_draw)

        def judge(rows: Tensor) -> Loss:
            return mean_over_draws(WorstAP(embed, case.of(rows).rankings()), embed, self.draws)

        by_ap = self.choose_by == "ap" or (self.choose_by == "auto" and objective.knows_ranking)
        stops = self.early_stop and objective.knows_ranking
        rows = torch.arange(len(clean), device=clean.device)
        return Search(make, judge if by_ap else None, stops, rows)


def _no_loss(images: Tensor) -> Tensor:
    raise RuntimeError("this method was given no objective")


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Sets eval mode and lets no parameter require a gradient; restores both afterwards.

    In eval mode regularizers are off and batch statistics are fixed, so that the attacked model is
    the evaluated one, and the attack does not change it.
    """
    states = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    with eval_mode(module):
        try:
            for parameter, _ in states:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter, before in states:
                parameter.requires_grad_(before)


@dataclass
class Passes:
    """Counts the images that a model computes gradients for."""

    gradients: int = 0


@contextmanager
def counted(model: nn.Module) -> Iterator[Passes]:
    """Counts forward and backward passes: images that the model is given with a gradient to take.

    Args:
        model: Maps (B, 3, H, W) to an output.
    """
    passes = Passes()

    def count(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        passes.gradients += len(args[0]) if args[0].requires_grad else 0

    handle = model.register_forward_pre_hook(count)
    try:
        yield passes
    finally:
        handle.remove()


@dataclass
class Perturber:
    """Applies an attack to batches: a ``perturb`` for :func:`reid.evaluation.features.extract`.

    Images whose identity the other side does not show stay clean, because no ranking counts them.

    Attributes:
        attack: The attack.
        embed: The model that the attack sees, in :func:`frozen`: the one evaluated (white box) or
            a surrogate (transfer).
        guides: Features of the other side, computed by ``embed``.
        seed: Seed of the random numbers; those of an image depend only on the seed and on its
            position in the split.
        on_grid: Whether to round the result to 8 bits, as an image file does.
        change: Largest change so far, in the norm of the ball and in 1/255 of the pixel range.
        attacked: Number of images attacked so far.
    """

    attack: RetrievalAttack
    embed: Embedding
    guides: Guides
    seed: int
    on_grid: bool = True
    change: float = field(default=0.0, init=False)
    attacked: int = field(default=0, init=False)

    def __call__(self, images: Tensor, batch: Batch) -> Tensor:
        """Returns the perturbed images of a batch, (B, 3, H, W) in [0, 1].

        Args:
            images: (B, 3, H, W) in [0, 1].
            batch: Identities, cameras and positions of the images.
        """
        found = self.case_of(batch, images.device)
        if found is None:
            return images
        rows, case = found
        clean = images[rows].contiguous(memory_format=torch.channels_last)
        rngs = ImageRNGs(self.seed, case.indices.tolist())
        self.attacked += len(rows)
        attacked = self._attack(clean, case, rngs)
        ball = self.attack.method.ball
        if self.on_grid:
            attacked = ball.to_grid(attacked, clean)
        self._check(attacked, clean)
        return images.index_copy(0, rows, attacked)

    def case_of(self, batch: Batch, device: torch.device) -> tuple[Tensor, Case] | None:
        """Returns the rows of a batch that are attacked, (R,) int64, and their case; None: no row.

        Args:
            batch: Identities, cameras and positions of the images.
            device: Device of the result.
        """
        pids, camids, indices = (x.to(device) for x in (batch.pids, batch.camids, batch.indices))
        rows = torch.isin(pids, self.guides.identities).nonzero().flatten()
        if not len(rows):
            return None
        return rows, Case(pids[rows], camids[rows], indices[rows], self.guides)

    def _attack(self, clean: Tensor, case: Case, rngs: ImageRNGs) -> Tensor:
        return self.attack(self.embed, clean, case, rngs)

    def _check(self, attacked: Tensor, clean: Tensor) -> None:
        """Records the largest change; stops the run if it is too large, because that is a bug."""
        ball = self.attack.method.ball
        exact = attacked.double() - clean.double()
        largest = rms(exact).max() if isinstance(ball, L2) else exact.abs().max()
        self.change = max(self.change, float(largest) * LEVELS)
        inside = bool(((attacked >= 0) & (attacked <= 1)).all())  # False for NaN too
        if not inside or self.change > ball.eps * LEVELS + 1e-4:
            raise RuntimeError(
                f"attack {self.attack.name} left its ball: change {self.change} levels, budget"
                f" {self.attack.eps_255}, in [0, 1]: {inside}"
            )
