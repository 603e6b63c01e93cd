"""Searches that know more than a loss: stages, starts compared by AP, images left alone, draws."""

import pytest
import torch
from test_evaluator import attack, evaluator, run
from torch import Tensor, nn
from toys import Net, case, images, linear

from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import ReRanking
from reid.robustness import rankings
from reid.robustness.attack import RetrievalAttack, frozen
from reid.robustness.attacks import ATTACKS
from reid.robustness.attacks.ascent import ascend, best_of, gradient
from reid.robustness.attacks.pgd import PGD
from reid.robustness.attacks.search import Search, StagedLoss
from reid.robustness.ball import Linf
from reid.robustness.draws import ExpectedLoss, seeded
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.objectives.stages import Stages
from reid.robustness.rngs import ImageRNGs
from reid.utils.errors import InputError

EPS = 8 / 255


def two_stages() -> Stages:
    return Stages([OBJECTIVES["margin"](), OBJECTIVES["smooth_ap"]()])


def test_the_second_objective_goes_on_where_the_first_one_ended() -> None:
    embed, clean = linear(normalize=True), images()
    about, rngs = case(embed), ImageRNGs(0, range(6))
    ball = Linf(EPS)
    method = PGD(EPS, steps=6, random_start=False)
    whole = RetrievalAttack("x", method, two_stages())(embed, clean, about, rngs)
    by_hand = clean
    for objective in two_stages().objectives:
        by_hand = ascend(objective(embed, clean, about, rngs), by_hand, clean, ball, 3, 0.25)
    assert torch.equal(whole, by_hand)


def test_steps_are_divided_among_the_stages() -> None:
    first, second, third = (lambda x, k=k: x.flatten(1).sum(1) * k for k in range(3))
    loss = StagedLoss([first, second, third])
    assert [loss.at(step, 7) for step in range(7)] == 3 * [first] + 2 * [second] + 2 * [third]
    assert loss.at(0, 1) is first
    assert torch.equal(loss(images()), third(images()))


@pytest.mark.parametrize("method", ["fgsm", "mi_fgsm", "apgd", "square"])
def test_a_method_of_one_objective_says_so(method: str) -> None:
    with pytest.raises(InputError, match=r"joined by \+ are for bim, pgd"):
        RetrievalAttack("x", ATTACKS[method](eps=EPS), two_stages())


def test_starts_are_compared_by_the_score_and_not_by_the_loss() -> None:
    """The brighter start has the greater loss, the darker one the greater score."""
    starts = [images() + 0.1, images() - 0.1]

    def bright(x: Tensor) -> Tensor:
        return x.flatten(1).sum(1)

    def chosen(judge) -> Tensor:
        left = iter(starts)
        search = Search(lambda rows: bright, judge, False, torch.arange(6))
        attempt = lambda loss, clean, rngs: next(left)  # noqa: E731
        return best_of(search, 2, attempt, images(), ImageRNGs(0, range(6)))

    assert torch.equal(chosen(None), starts[0])
    assert torch.equal(chosen(lambda rows: lambda x: -bright(x)), starts[1])


@pytest.mark.parametrize("name", ["margin", "fna"])
def test_choosing_by_ap_never_leaves_more_ap(name: str) -> None:
    """Both ways see the same starts, which do not depend on the choice."""
    t = evaluator()
    aps = []
    for choose_by in ("ap", "loss"):
        method = ATTACKS["pgd"](eps=EPS, steps=5, restarts=6)
        a = RetrievalAttack("x", method, OBJECTIVES[name](), choose_by, early_stop=False)
        t.on_grid = False
        aps.append(run(t, a)[0].ap)
    assert (aps[0] <= aps[1] + 1e-6).all()
    assert (aps[0] < aps[1] - 1e-3).any()


def test_auto_chooses_by_ap_where_the_objective_knows_the_ranking() -> None:
    embed = linear(normalize=True)
    about, clean = case(embed), images()
    for name, expected in (("margin", True), ("smooth_ap", True), ("fna", False)):
        search = attack("pgd", name)._search(embed, clean, about, ImageRNGs(0, range(6)))
        assert (search.score is not search.loss) == expected


@pytest.mark.parametrize("restarts", [1, 3])
def test_stopping_early_saves_passes_and_costs_no_more_ap_than_it_says(
    monkeypatch, restarts: int
) -> None:
    monkeypatch.setattr(rankings, "SLACK", 0.05)  # of these few images, a place is worth that
    found = []
    for early_stop in (True, False):
        method = ATTACKS["pgd"](eps=96 / 255, steps=20, restarts=restarts)
        made = RetrievalAttack("x", method, two_stages(), "auto", early_stop)
        t = evaluator()
        t.on_grid = False
        found += run(t, made)
    stopped, whole = found
    assert (stopped.ap <= whole.ap + 0.05).all()
    assert whole.facts["passes"] == 20 * restarts
    assert stopped.facts["passes"] < 0.8 * whole.facts["passes"]


@pytest.mark.parametrize("where", ["gallery", "re-ranked", "transfer"])
def test_nothing_stops_early_where_another_ranking_is_scored(monkeypatch, where: str) -> None:
    monkeypatch.setattr(rankings, "SLACK", 2.0)  # with which every image would stop at once
    t = evaluator(side="gallery" if where == "gallery" else "query")
    if where == "re-ranked":
        t = evaluator(rerank=ReRanking(k1=4, k2=2))
    attacker = Embedding(Net(seed=5).eval()) if where == "transfer" else t.embed
    (found, *_) = t.attacked(attack("pgd", "margin", steps=3), attacker, t.guides(attacker))
    assert found.facts["passes"] == 3


def test_an_image_that_was_finished_with_stays_where_it_was() -> None:
    class Loss:
        """Ends for an image as soon as it is brighter than its bound."""

        def __init__(self, bounds: Tensor) -> None:
            self.bounds = bounds

        def __call__(self, x: Tensor) -> Tensor:
            self.finished = x.detach().flatten(1).mean(1) > self.bounds
            return x.flatten(1).sum(1)

    clean = torch.full((3, 3, 4, 2), 0.5, dtype=torch.float64)
    bounds = torch.tensor([0.525, 0.585, 9.0], dtype=torch.float64)
    search = Search(lambda rows: Loss(bounds[rows]), None, True, torch.arange(3))
    out = ascend(search, clean, clean, Linf(0.1), 20, 0.1)
    torch.testing.assert_close(out[:, 0, 0, 0], torch.tensor([0.53, 0.59, 0.6]).double())


def test_a_start_after_the_last_possible_one_is_not_made() -> None:
    class Done:
        def __call__(self, x: Tensor) -> Tensor:
            self.finished = torch.ones(len(x), dtype=torch.bool)
            return x.flatten(1).sum(1)

    starts = []
    search = Search(lambda rows: Done(), lambda rows: Done(), True, torch.arange(6))
    attempt = lambda loss, clean, rngs: starts.append(1) or clean  # noqa: E731
    best_of(search, 5, attempt, images(), ImageRNGs(0, range(6)))
    assert len(starts) == 1


class Noisy(nn.Module):
    """A model that draws from torch's own generator, as a layer left on in evaluation does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net().eval()

    def forward(self, x: Tensor):
        out = self.net(x * (1 + 0.5 * torch.randn(x.shape[1:])))
        return out


def test_the_mean_over_draws_is_that_of_the_draws_written_out() -> None:
    embed, x = Embedding(Noisy()).eval(), images(dtype=torch.float32)

    def loss(images: Tensor) -> Tensor:
        return embed(images)[:, 0]

    parts = []
    for seed in range(4):
        with seeded(embed, seed):
            parts.append(gradient(loss, x))
    before = torch.get_rng_state()
    values, grad = gradient(ExpectedLoss(loss, embed, 4), x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(values, torch.stack([v for v, _ in parts]).mean(0))
    torch.testing.assert_close(grad, torch.stack([g for _, g in parts]).mean(0))
    assert not torch.allclose(parts[0][1], parts[1][1])


def test_averaging_over_draws_raises_the_expected_loss_further() -> None:
    """Judged by fresh draws, which neither attack has seen."""
    embed, clean = Embedding(Noisy()).eval(), images(dtype=torch.float32)

    def loss(x: Tensor) -> Tensor:
        return embed(x)[:, 0]

    risen = {}
    for draws in (1, 20):
        with frozen(embed):
            attack = PGD(EPS, steps=4, random_start=False)
            out = attack(ExpectedLoss(loss, embed, draws), clean, ImageRNGs(0, range(6)))
        fresh = ExpectedLoss(loss, embed, 200, seed=10_000)
        with torch.no_grad():
            risen[draws] = float(fresh(out).mean())
    assert risen[20] > risen[1]


def test_each_call_has_draws_of_its_own() -> None:
    embed, x = Embedding(Noisy()).eval(), images(dtype=torch.float32)
    loss = ExpectedLoss(lambda images: embed(images)[:, 0], embed, 2)
    again = ExpectedLoss(lambda images: embed(images)[:, 0], embed, 2)
    with torch.no_grad():
        one, two, first = loss(x), loss(x), again(x)
    assert torch.equal(one, first) and not torch.equal(one, two)
