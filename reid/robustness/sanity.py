"""Sanity checks of an attack, which find broken attacks and hidden gradients.

Source: Carlini et al., "On Evaluating Adversarial Robustness", arXiv:1902.06705; Athalye et al.,
"Obfuscated Gradients Give a False Sense of Security", arXiv:1802.00420.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
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
from reid.robustness.result import Result, worst_case
from reid.robustness.rngs import ImageRNGs
from reid.utils.batch import to_unit
from reid.utils.errors import InputError

NOISE = 2.0  # a paired difference below this many standard errors counts as zero
POINT = 0.01  # one percentage point of mAP
HITS = 0.05  # five percentage points of Rank-1, of which 64 queries know steps of 1.6
HUGE = 64.0  # levels; no re-identification model is robust to such a budget

# What the checks of the battery are called in ATTACK.SANITY_CHECKS, the cheap ones first.
CHECKS = (
    *("repeats", "has_gradient", "zero_budget", "budgets", "steps", "iterating", "restarts"),
    *("converged", "ranking", "noise", "square", "transfer", "huge"),
)

# (method, eps in levels, settings) -> the attack, with the objective of the checks
AttackFactory = Callable[..., RetrievalAttack]


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: The statement that should hold.
        passed: Whether it holds; None if the check could not be run.
        detail: The numbers behind it.
    """

    name: str
    passed: bool | None
    detail: str


# (name of a check, the check) -> its outcome
Keep = Callable[[str, Callable[[], Check]], Check]


def _fresh(_: str, check: Callable[[], Check]) -> Check:
    return check()


@dataclass
class SanityChecks:
    """Runs all checks on one model.

    Attributes:
        evaluator: Evaluator of the model on a few images.
        make: Builds an attack: ``make(method, eps_255, **settings)``.
        objective: The objective that ``make`` uses.
        eps_255: Budget of the attacks, in 1/255.
        surrogate: Another model and its guides; None skips the check of transfer.
        reported: The attacks that the report is made of, at ``eps_255``.
        knowing: Attacks with objectives that know the ranking, as strong in steps and starts.
        draws: Number of draws of a random model that the attacks average over.
    """

    evaluator: RobustEvaluator
    make: AttackFactory
    objective: Objective
    eps_255: float
    surrogate: tuple[Embedding, Guides] | None = None
    reported: Sequence[RetrievalAttack] = ()
    knowing: Sequence[RetrievalAttack] = ()
    draws: int = 1

    def __post_init__(self) -> None:
        self.guides = self.evaluator.guides(self.evaluator.embed)
        self.clean = self.evaluator.untouched()[0]

    def run(self, keep: Keep = _fresh, names: Sequence[str] = ()) -> list[Check]:
        """Runs the checks, the cheap ones first; the last one is that the model is as it was.

        Args:
            keep: Runs one check, or returns what it found in a run that was stopped.
            names: Those of :data:`CHECKS` to run; empty is all.
        """
        before = snapshot(self.evaluator.embed)
        white = cache(lambda: self._pgd(self.eps_255))  # made when the first check asks for it
        checks: dict[str, Callable[[], Check]] = {
            "repeats": self.repeats,
            "has_gradient": self.has_gradient,
            "zero_budget": self.zero_budget,
            "budgets": lambda: self.budgets(white()),
            "steps": lambda: self.steps(white()),
            "iterating": lambda: self.iterating(white()),
            "restarts": lambda: self.restarts(white()),
            "converged": lambda: self.converged(white()),
            "ranking": self.ranking,
            "noise": lambda: self.beats("noise", "uniform noise", white()),
            "square": lambda: self.beats("square", "a search without gradients (Square)", white()),
            "transfer": lambda: self.transfer(white()),
            "huge": self.huge,
        }
        chosen = [name for name in CHECKS if name in (names or CHECKS)]
        return [*(keep(name, checks[name]) for name in chosen), self.unchanged(before)]

    def unchanged(self, before: Sequence[Tensor]) -> Check:
        """Checks that the attacks did not change the model.

        Args:
            before: Parameters and buffers before the attacks, from :func:`snapshot`.
        """
        pairs = zip(before, snapshot(self.evaluator.embed), strict=True)
        same = all(torch.equal(a, b) for a, b in pairs)
        num_gradients = sum(p.grad is not None for p in self.evaluator.embed.parameters())
        text = f"{len(before)} tensors compared, {num_gradients} gradients left behind"
        return Check("the model is as it was", same and not num_gradients, text)

    def repeats(self) -> Check:
        """Checks that the same pixels give the same features, so that the model is not random.

        A random model is no reason to fail if the attacks average over its draws (ATTACK.EOT).
        """
        images, _ = self._first_attacked()
        with frozen(self.evaluator.embed), torch.no_grad():
            one = self.evaluator.embed(images)
            two = self.evaluator.embed(images)
        most = float((one - two).abs().max())
        text = f"largest difference {most:.2g}"
        if most:
            text += (
                f"; losses and gradients are means over {self.draws} draws, each number is of one"
                if self.draws > 1
                else "; ATTACK.EOT averages losses and gradients over its draws"
            )
        return Check("the model is deterministic", most == 0 or self.draws > 1, text)

    def has_gradient(self) -> Check:
        """Checks that the loss has a gradient at a random point near the clean image."""
        images, case = self._first_attacked()
        rngs = ImageRNGs(self.evaluator.seed, case.indices.tolist())
        with frozen(self.evaluator.embed):
            loss = self.objective(self.evaluator.embed, images, case, rngs)
            _, grad = gradient(loss, self._method().ball.sample(images, rngs))
        zero = (grad == 0).flatten(1).float().mean(1)
        none = int((zero == 1).sum())
        mean = float(zero.mean())
        text = f"{none} of {len(zero)} images without any, {mean:.1%} of the pixels exactly zero"
        return Check("the gradient is there", none == 0 and mean < 0.5, text)

    def zero_budget(self) -> Check:
        """Checks that a budget of 0 changes nothing."""
        if self.draws > 1:
            text = "not run: ATTACK.EOT is for models whose features differ from draw to draw"
            return Check("eps 0 equals clean exactly", None, text)
        same = np.array_equal(self._run(self.make("pgd", 0.0)).ap, self.clean.ap)
        return Check("eps 0 equals clean exactly", same, "AP of each query compared")

    def budgets(self, white: Result) -> Check:
        """Checks that a larger budget never raises mAP."""
        levels = sorted({1.0, 2.0, 4.0, self.eps_255, 16.0})
        runs = [white if e == self.eps_255 else self._pgd(e) for e in levels]
        return falls("mAP falls with eps", [self.clean, *runs], [0, *levels])

    def steps(self, white: Result) -> Check:
        """Checks that more steps never raise mAP."""
        counts = (1, 5, 40)
        runs = [self._pgd(self.eps_255, steps=n, step=max(0.1, 2.5 / n)) for n in counts]
        return falls("mAP falls with steps", [self.clean, *runs], [0, *counts])

    def iterating(self, white: Result) -> Check:
        """Checks that many steps lower mAP at least as much as one step."""
        single = self._run(self.make("fgsm", self.eps_255, random_start=True))
        return falls("iterated beats single step", [single, white], ["fgsm", "pgd"])

    def restarts(self, white: Result) -> Check:
        """Checks that more restarts never raise mAP."""
        restarts = self._method().restarts
        more = self._pgd(self.eps_255, restarts=restarts + 2)
        return falls("restarts do not help the defender", [white, more], [restarts, restarts + 2])

    def beats(self, method: str, title: str, white: Result) -> Check:
        """Checks that the attack with gradients is at least as strong as one without.

        If it is weaker, the model hides its gradients.

        Args:
            method: Name of the attack without gradients.
            title: Description of that attack in the name of the check.
            white: Result of the attack with gradients.
        """
        other = self._run(self.make(method, self.eps_255))
        return compared(f"gradients beat {title}", other, white, (method, "pgd"))

    def transfer(self, white: Result) -> Check:
        """Checks that the white-box attack is at least as strong as a transfer attack."""
        name = "white box beats transfer"
        if self.surrogate is None:
            return Check(name, None, "not run: name a model by --surrogate-weight")
        attack = self.make("pgd", self.eps_255)
        black = self.evaluator.attacked(attack, *self.surrogate)[0]
        return compared(name, black, white, ("transfer", "white box"))

    def converged(self, white: Result) -> Check:
        """Checks that twice the steps and twice the starts change little."""
        method = self._method()
        longer = self._pgd(self.eps_255, steps=2 * method.steps, restarts=2 * method.restarts)
        fall = float(white.ap.mean() - longer.ap.mean())
        text = f"mAP {white.ap.mean():.1%}, with twice the steps and starts {longer.ap.mean():.1%}"
        return Check("the attack has converged", fall < POINT, text)

    def ranking(self) -> Check:
        """Checks that objectives that know the ranking do not break more than what is reported.

        The worst reported attack of each query is compared with each such attack alone, so that
        reporting more attacks can only help.
        """
        name = "objectives that know the ranking break no more"
        if not self.reported or not self.knowing:
            return Check(name, None, "not run: no attack by gradient is reported at this budget")
        worst = worst_case([self._run(one) for one in self.reported])
        others = {one.name: self._run(one) for one in self.knowing}
        parts = [_score(f"worst of {len(self.reported)} reported", worst)]
        parts += [_score(label, other) for label, other in others.items()]
        gaps = {label: (_gap(worst, o), _gap_of_hits(worst, o)) for label, o in others.items()}
        missed = [label for label, (ap, hit) in gaps.items() if ap > POINT or hit > HITS]
        if missed:
            parts.append(f"what is left is overstated: report {' and '.join(missed)}, too")
        return Check(name, not missed, "; ".join(parts))

    def huge(self) -> Check:
        """Checks that a budget to which no model is robust brings Rank-1 near zero."""
        end = self._pgd(HUGE, steps=40, step=0.1)
        rank1 = float(end.hit.mean())
        clean = float(self.clean.hit.mean())
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
        """Returns images of the first batch that holds some with a match on the other side."""
        side = self.evaluator.query if self.evaluator.side == "query" else self.evaluator.gallery
        for batch in side:
            ids = [x.to(self.evaluator.device) for x in (batch.pids, batch.camids, batch.indices)]
            rows = (self.guides.matches(*ids).number > 0).nonzero().flatten()
            if len(rows):
                images = to_unit(batch.images.to(self.evaluator.device))[rows]
                return images, Case(ids[0][rows], ids[1][rows], ids[2][rows], self.guides)
        raise InputError("no attacked image has a match on the other side: nothing to check")


def _score(label: str, result: Result) -> str:
    return f"{label} mAP {result.ap.mean():.1%} Rank-1 {result.hit.mean():.1%}"


def _gap(reported: Result, other: Result) -> float:
    return float(reported.ap.mean() - other.ap.mean())


def _gap_of_hits(reported: Result, other: Result) -> float:
    return float(reported.hit.mean() - other.hit.mean())


def falls(name: str, results: Sequence[Result], labels: Sequence[object]) -> Check:
    """Checks that mAP does not rise from one result to the next, except for noise.

    The noise is ``NOISE`` standard errors of the paired differences of the queries, and at least
    half a percentage point of mAP, because attacks raise a loss, and a greater loss does not always
    mean a lower AP.

    Args:
        name: Name of the check.
        results: Results in the order in which mAP should fall.
        labels: A label for each result.
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
    """Checks that the white-box attack is at least as strong; counts the queries where it is not.

    Source: Carlini et al. compare single inputs: one that only the weaker attack breaks shows that
    the stronger attack has not converged.

    Args:
        name: Name of the check.
        weaker: Result of the weaker attack.
        white: Result of the white-box attack.
        labels: Labels of the weaker and of the white-box attack.
    """
    check = falls(name, [weaker, white], labels)
    alone = int((~weaker.hit & white.hit).sum())
    text = f"{check.detail}; {alone} of {len(white.hit)} first hits broken by {labels[0]} alone"
    return Check(name, check.passed, text)


def snapshot(embed: Embedding) -> list[Tensor]:
    """Returns copies of all parameters and buffers, in the order of the state dict."""
    return [tensor.detach().clone() for tensor in embed.state_dict().values()]


def verdict(checks: Sequence[Check]) -> str:
    """Returns one line that says whether the results of the attack can be trusted."""
    failed = [check.name for check in checks if check.passed is False]
    if not failed:
        not_run = sum(check.passed is None for check in checks)
        note = f" ({not_run} not run)" if not_run else ""
        return f"sanity: all {len(checks) - not_run} checks passed{note}"
    return (
        "DO NOT TRUST THESE NUMBERS: "
        + "; ".join(f"'{name}' failed" for name in failed)
        + ". The attack is broken or the model hides its gradients (gradient masking), and what"
        " looks robust may not be."
    )
