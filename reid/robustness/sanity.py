"""Is an attack any good? Checks that catch broken attacks and hidden gradients.

Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705; Athalye et al.,
"Obfuscated Gradients Give a False Sense of Security", arXiv:1802.00420.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attack import RetrievalAttack, frozen
from reid.robustness.attacks.ascent import gradient
from reid.robustness.attacks.pgd import PGD
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.guides import Case, Guides
from reid.robustness.objectives import Objective
from reid.robustness.result import Result
from reid.robustness.rngs import ImageRNGs
from reid.utils.batch import to_unit
from reid.utils.errors import InputError

NOISE = 2.0  # standard errors of a paired difference that count as no difference
POINT = 0.01  # a percent of mAP
HUGE = 64.0  # levels that no model of people withstands

# (method, eps in levels, settings) -> the attack with the battery's objective
Make = Callable[..., RetrievalAttack]


@dataclass(frozen=True)
class Check:
    """One line of the battery.

    Attributes:
        name: What should hold.
        passed: Whether it does; None where it could not be run.
        detail: The numbers.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass
class SanityChecks:
    """Runs every check on one model.

    Attributes:
        trial: The model and a few of its images.
        make: Builds an attack: ``make(method, eps_255, **settings)``.
        objective: The one that ``make`` uses.
        eps_255: The budget of the checks that have one.
        surrogate: Another model, and the other side as it sees it; None skips transfer.
    """

    evaluator: RobustEvaluator
    make: Make
    objective: Objective
    eps_255: float
    surrogate: tuple[Embedding, Guides] | None = None

    def __post_init__(self) -> None:
        self.guides = self.evaluator.guides(self.evaluator.embed)
        self.clean = self.evaluator.untouched()[0]

    def run(self) -> list[Check]:
        """Runs all checks, the cheap ones first."""
        before = snapshot(self.evaluator.embed)
        checks = [self.repeats(), self.has_gradient(), self.zero_budget()]
        white = self._pgd(self.eps_255)
        checks += [
            self.budgets(white),
            self.steps(white),
            self.iterating(white),
            self.restarts(white),
            self.converged(white),
            self.beats("noise", "uniform noise", white),
            self.beats("square", "a search without gradients (Square)", white),
            self.transfer(white),
            self.huge(),
        ]
        return [*checks, self.unchanged(before)]

    def unchanged(self, before: Sequence[Tensor]) -> Check:
        """The attacks left no trace in the model, whose state was ``before``."""
        pairs = zip(before, snapshot(self.evaluator.embed), strict=True)
        same = all(torch.equal(a, b) for a, b in pairs)
        left = sum(p.grad is not None for p in self.evaluator.embed.parameters())
        text = f"{len(before)} tensors compared, {left} gradients left behind"
        return Check("the model is as it was", same and not left, text)

    def repeats(self) -> Check:
        """The same pixels give the same features: nothing random is on."""
        images, _ = self._first_attacked()
        with frozen(self.evaluator.embed), torch.no_grad():
            one, two = self.evaluator.embed(images), self.evaluator.embed(images)
        most = float((one - two).abs().max())
        return Check("the model is deterministic", most == 0, f"largest difference {most:.2g}")

    def has_gradient(self) -> Check:
        """The loss has a gradient a step away from the clean image."""
        images, case = self._first_attacked()
        rngs = ImageRNGs(self.evaluator.seed, case.indices.tolist())
        with frozen(self.evaluator.embed):
            loss = self.objective(self.evaluator.embed, images, case, rngs)
            _, grad = gradient(loss, self._method().ball.sample(images, rngs))
        zero = (grad == 0).flatten(1).float().mean(1)
        none, most = int((zero == 1).sum()), float(zero.mean())
        text = f"{none} of {len(zero)} images without any, {most:.1%} of the pixels exactly zero"
        return Check("the gradient is there", none == 0 and most < 0.5, text)

    def zero_budget(self) -> Check:
        """A budget of 0 changes nothing."""
        same = np.array_equal(self._run(self.make("pgd", 0.0)).ap, self.clean.ap)
        return Check("eps 0 equals clean exactly", same, "AP of each query compared")

    def budgets(self, white: Result) -> Check:
        """A larger budget never helps the defender."""
        levels = sorted({1.0, 2.0, 4.0, self.eps_255, 16.0})
        runs = [white if e == self.eps_255 else self._pgd(e) for e in levels]
        return falls("mAP falls with eps", [self.clean, *runs], [0, *levels])

    def steps(self, white: Result) -> Check:
        """More steps never help the defender."""
        counts = (1, 5, 40)
        runs = [self._pgd(self.eps_255, steps=n, step=max(0.1, 2.5 / n)) for n in counts]
        return falls("mAP falls with steps", [self.clean, *runs], [0, *counts])

    def iterating(self, white: Result) -> Check:
        """Many steps do at least as much as one."""
        single = self._run(self.make("fgsm", self.eps_255, random_start=True))
        return falls("iterated beats single step", [single, white], ["fgsm", "pgd"])

    def restarts(self, white: Result) -> Check:
        """More restarts never help the defender."""
        own = self._method().restarts
        again = self._pgd(self.eps_255, restarts=own + 2)
        return falls("restarts do not help the defender", [white, again], [own, own + 2])

    def beats(self, method: str, title: str, white: Result) -> Check:
        """Checks that gradients do at least as much as doing without; else they are hidden.

        Args:
            method: Name of the attack without gradients.
            title: What the check calls it.
            white: Result of the attack with gradients.
        """
        other = self._run(self.make(method, self.eps_255))
        return compared(f"gradients beat {title}", other, white, (method, "pgd"))

    def transfer(self, white: Result) -> Check:
        """Seeing the model does at least as much as seeing another one."""
        name = "white box beats transfer"
        if self.surrogate is None:
            return Check(name, None, "not run: name a model by --surrogate-weight")
        attack = self.make("pgd", self.eps_255)
        black = self.evaluator.attacked(attack, *self.surrogate)[0]
        return compared(name, black, white, ("transfer", "white box"))

    def converged(self, white: Result) -> Check:
        """Twice the steps and a second start change little: the attack is at its end."""
        own = self._method()
        longer = self._pgd(self.eps_255, steps=2 * own.steps, restarts=2 * own.restarts)
        fall = float(white.ap.mean() - longer.ap.mean())
        text = f"mAP {white.ap.mean():.1%}, with twice the steps and starts {longer.ap.mean():.1%}"
        return Check("the attack has converged", fall < POINT, text)

    def huge(self) -> Check:
        """A budget that no model withstands leaves nothing."""
        end = self._pgd(HUGE, steps=40, step=0.1)
        rank1, clean = float(end.hit.mean()), float(self.clean.hit.mean())
        text = f"Rank-1 {clean:.1%} -> {rank1:.1%}, mAP {end.ap.mean():.1%}"
        return Check(
            f"eps {HUGE:g} brings Rank-1 near zero", rank1 <= max(0.02, 0.05 * clean), text
        )

    def _method(self) -> PGD:
        """Returns the method of the white-box attack that the others are compared with."""
        return cast(PGD, self.make("pgd", self.eps_255).method)

    def _pgd(self, eps_255: float, **settings: float) -> Result:
        return self._run(self.make("pgd", eps_255, **{"random_start": True, **settings}))

    def _run(self, attack: RetrievalAttack) -> Result:
        return self.evaluator.attacked(attack, self.evaluator.embed, self.guides)[0]

    def _first_attacked(self) -> tuple[Tensor, Case]:
        """Returns the images of the first batch that has some that a ranking counts."""
        side = self.evaluator.query if self.evaluator.side == "query" else self.evaluator.gallery
        for batch in side:
            ids = [x.to(self.evaluator.device) for x in (batch.pids, batch.camids, batch.indices)]
            rows = (self.guides.own(ids[0], ids[1]).number > 0).nonzero().flatten()
            if len(rows):
                images = to_unit(batch.images.to(self.evaluator.device))[rows]
                return images, Case(ids[0][rows], ids[1][rows], ids[2][rows], self.guides)
        raise InputError("no attacked image has a match on the other side: nothing to check")


def falls(name: str, results: Sequence[Result], labels: Sequence[object]) -> Check:
    """Checks that the mean AP does not rise from one result to the next, within noise.

    Noise is ``NOISE`` standard errors of the paired differences of the queries, and half a point
    of mAP at least: attacks raise their loss, of which AP is only nearly a falling function.

    Args:
        name: Of the check.
        results: Each of which should not have a higher mAP than the one before.
        labels: What to call them.
    """
    maps = [float(o.ap.mean()) for o in results]
    text = ", ".join(f"{label}: {m:.1%}" for label, m in zip(labels, maps, strict=True))
    passed = True
    for a, b in pairwise(results):
        rise = b.ap - a.ap
        error = float(rise.std() / np.sqrt(len(rise)))
        passed &= float(rise.mean()) <= max(NOISE * error, POINT / 2)
    return Check(name, passed, f"mAP {text}")


def compared(name: str, weaker: Result, white: Result, labels: tuple[str, str]) -> Check:
    """Checks that the white box does at least as much; counts the queries where it does not.

    Source: Carlini et al. look at single inputs: one that only the weaker attack breaks shows that
    the stronger one is not at its end.

    Args:
        name: Of the check.
        weaker: Result of the weaker attack.
        white: Result of the white-box attack.
        labels: What to call the two.
    """
    check = falls(name, [weaker, white], labels)
    alone = int((~weaker.hit & white.hit).sum())
    text = f"{check.detail}; {alone} of {len(white.hit)} first hits broken by {labels[0]} alone"
    return Check(name, check.passed, text)


def snapshot(embed: Embedding) -> list[Tensor]:
    """Copies parameters and buffers."""
    return [tensor.detach().clone() for tensor in embed.state_dict().values()]


def verdict(checks: Sequence[Check]) -> str:
    """Returns one line that says whether the numbers may be believed."""
    failed = [check.name for check in checks if check.passed is False]
    if not failed:
        left = sum(check.passed is None for check in checks)
        note = f" ({left} not run)" if left else ""
        return f"sanity: all {len(checks) - left} checks passed{note}"
    return (
        "DO NOT TRUST THESE NUMBERS: "
        + "; ".join(f"'{name}' failed" for name in failed)
        + ". The attack is broken or the model hides its gradients (gradient masking), and what"
        " looks robust may not be."
    )
