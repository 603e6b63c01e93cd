"""The battery: silent on an honest model, loud on one that hides its gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluator import PEOPLE, attack, evaluator
from torch import Tensor, nn
from toys import DIM, Net

from reid.evaluation.features import Embedding
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.sanity import CHECKS, Check, SanityChecks, compared, falls, snapshot, verdict


def battery(
    t: RobustEvaluator, objective: str = "fna", surrogate: Embedding | None = None
) -> SanityChecks:
    def make(method: str, eps_255: float, **settings):
        few = {"queries": 60} if method == "square" else {}
        name = "" if method == "noise" else objective
        return attack(method, name, eps_255 / 255, **{**few, **settings})

    other = (surrogate, t.guides(surrogate)) if surrogate is not None else None
    reported = [make("pgd", 16.0), attack("pgd", "margin", 16 / 255)]
    knowing = [attack("pgd", name, 16 / 255) for name in ("margin", "smooth_ap")]
    return SanityChecks(t, make, OBJECTIVES[objective](), 16.0, other, reported, knowing)


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_an_honest_model_passes() -> None:
    checks = battery(evaluator(), surrogate=Embedding(Net(seed=5).eval())).run()
    assert [c for c in checks if not c.passed] == []
    assert len(checks) == 14
    assert verdict(checks) == "sanity: all 14 checks passed"


def test_without_a_surrogate_transfer_is_said_to_be_left_out() -> None:
    checks = battery(evaluator()).run()
    assert [c.name for c in checks if c.passed is None] == ["white box beats transfer"]
    assert "1 not run" in verdict(checks)


class Saturated(nn.Module):
    """Scores so large that their softmax, and with it the gradient of cross-entropy, is flat."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net().eval()

    def forward(self, images: Tensor):
        out = self.net(images)
        out.logits = out.logits * 1e5
        return out


def test_saturated_scores_are_found_out() -> None:
    t = evaluator()
    t = RobustEvaluator(Embedding(Saturated()), t.query, t.gallery, t.device, t.protocol)
    check = battery(t, "ce").has_gradient()
    assert not check.passed
    assert battery(evaluator(), "ce").has_gradient().passed


class Rounded(nn.Module):
    """A defence that only hides: pixels are cut to 8 steps, which have no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net().eval()

    def forward(self, images: Tensor):
        return self.net((images * 8).round() / 8)


def test_rounding_away_the_gradient_is_found_out() -> None:
    t = evaluator()
    t = RobustEvaluator(Embedding(Rounded()), t.query, t.gallery, t.device, t.protocol)
    checks = by_name(battery(t).run())
    assert checks["the gradient is there"].passed is False
    assert "DO NOT TRUST THESE NUMBERS" in verdict(list(checks.values()))


class Random(nn.Module):
    """A regularizer left on in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.rng = Net().eval(), torch.Generator().manual_seed(0)

    def forward(self, images: Tensor):
        out = self.net(images)
        out.feat_bn = out.feat_bn + torch.randn(DIM, generator=self.rng)
        return out


def test_a_random_model_is_found_out() -> None:
    t = evaluator()
    t = RobustEvaluator(Embedding(Random()), t.query, t.gallery, t.device, t.protocol)
    assert battery(t).repeats().passed is False


def test_a_random_model_is_let_through_where_the_attack_averages_over_its_draws() -> None:
    t = evaluator()
    t = RobustEvaluator(Embedding(Random()), t.query, t.gallery, t.device, t.protocol)
    checks = replace(battery(t), draws=4)
    found = checks.repeats()
    assert found.passed and "means over 4 draws" in found.detail
    assert checks.zero_budget().passed is None


def test_a_report_that_leaves_out_the_ranking_is_found_out() -> None:
    """One step away from oneself leaves far more than an attack that knows the ranking."""
    whole = battery(evaluator())
    weak = replace(whole, reported=[attack("fgsm", "sma", 16 / 255, random_start=True)])
    found = weak.ranking()
    assert found.passed is False and "report pgd-margin and pgd-smooth_ap, too" in found.detail
    both = replace(whole, reported=[*weak.reported, *whole.knowing]).ranking()
    assert both.passed and "overstated" not in both.detail
    assert replace(whole, reported=[]).ranking().passed is None


def test_checks_can_be_chosen() -> None:
    found = battery(evaluator()).run(names=["ranking", "repeats"])
    names = [check.name for check in found]
    assert names[0] == "the model is deterministic" and names[2] == "the model is as it was"
    assert len(names) == 3 and names[1].startswith("objectives that know the ranking")


def test_the_names_of_the_checks_are_those_that_run() -> None:
    ran = []
    battery(evaluator()).run(lambda name, check: ran.append(name) or Check(name, True, ""))
    assert tuple(ran) == CHECKS


def test_a_changed_model_and_a_gradient_left_behind_are_found_out() -> None:
    whole = battery(evaluator())
    embed = whole.evaluator.embed
    before = snapshot(embed)
    assert whole.unchanged(before).passed
    first = next(embed.parameters())
    first.grad = torch.zeros_like(first)
    assert not whole.unchanged(before).passed
    first.grad = None
    with torch.no_grad():
        first.flatten()[0] += 1e-6
    assert not whole.unchanged(before).passed


def test_a_rise_beyond_noise_fails_and_one_within_passes() -> None:
    t = evaluator()
    clean = t.untouched()[0]
    hurt = t.attacked(attack(eps=16 / 255), t.embed, t.guides(t.embed))[0]
    assert falls("x", [clean, hurt], [0, 16]).passed
    assert not falls("x", [hurt, clean], [16, 0]).passed
    assert falls("x", [clean, clean], [0, 0]).passed
    little, much = (replace(hurt, ap=hurt.ap + rise) for rise in (0.004, 0.006))
    assert falls("x", [hurt, little], [8, 16]).passed, "half a point for everybody is nothing"
    assert not falls("x", [hurt, much], [8, 16]).passed


def test_queries_that_only_the_weaker_attack_breaks_are_counted() -> None:
    t = evaluator()
    clean = t.untouched()[0]
    weak = replace(clean, first_hit=np.array([3, 0, 0, 2, 0, 0, 0, 0]))
    white = replace(clean, first_hit=np.array([0, 5, 5, 2, 5, 5, 5, 5]))
    assert (
        "1 of 8 first hits broken by noise alone"
        in compared("x", weak, white, ("noise", "pgd")).detail
    )


def test_the_gradient_is_looked_for_where_the_attack_is() -> None:
    """The first images of a gallery may be of people nobody asks for; they have no loss."""
    t = evaluator(side="gallery")
    t.gallery.reverse()  # the last batch holds distractors and junk
    assert t.gallery[0].pids.max() <= PEOPLE and (t.gallery[0].pids <= 0).any()
    assert battery(t, "metric").has_gradient().passed


@pytest.mark.parametrize(("passed", "word"), [(True, "all 1"), (False, "DO NOT TRUST")])
def test_the_verdict_is_in_words(passed: bool, word: str) -> None:
    assert word in verdict([Check("x", passed, "")])


def test_checks_that_were_stopped_go_on() -> None:
    """Each check runs once over all starts, and finds what it finds in a run without a stop."""
    done: dict[str, Check] = {}
    ran = []

    def keep(name, check):
        if name not in done:
            ran.append(name)
            if len(ran) in (3, 9):
                raise KeyboardInterrupt
            done[name] = check()
        return done[name]

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            battery(evaluator()).run(keep)
    assert battery(evaluator()).run(keep) == battery(evaluator()).run()
    assert len(ran) == 13 + 2 and len(done) == 13
