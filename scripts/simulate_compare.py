"""Shows by simulation what the intervals and tests of ``reid compare`` hold.

    python scripts/simulate_compare.py                    # all cases, 2000 studies each: 10 minutes
    python scripts/simulate_compare.py --studies 400      # a first look: 1 minute
    python scripts/simulate_compare.py --only "2 x 2" --json coverage.json    # other rows stay

Each study draws two recipes, training seeds and identities anew. The AP of a query is

    AP = 1 / (1 + exp(-(1.5 x + level))),
    x = shift + identity + recipe x identity + seed + seed x identity + query + rest,

all parts normal. It is skewed, queries of an identity are alike, and each has 1 to 7 queries.
In a 2 x 2 study there are four recipes, and the effects of A and B on single identities are in AB,
too; the difference is that of differences. Both main effects are there, and AB is shifted so far
that the interaction of the mean AP is 0, or is not. In "rankings" each run is ranked in two ways.
Printed is how often an interval of 95 % holds the true difference, once where there is none and
once where there is one, and how often the test calls a difference where there is none (5 % of the
cases are right). "naive" is the coverage of a percentile bootstrap that draws seeds, too, with
replacement.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy.optimize import brentq
from scipy.special import expit
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid.statistics.comparison import compare
from reid.statistics.groups import Block, Gain, Group
from reid.statistics.resampling import Draws

RESAMPLES = 5000  # a study; half of what the command takes
NAIVE_RESAMPLES = 500
STEEP = 1.5
QUERY_SD = 0.8
REST_SD = 0.4
MOST_QUERIES = 7


@dataclass(frozen=True)
class Case:
    """How studies of a kind are drawn.

    Attributes:
        name: What the table calls it.
        seeds: Runs of each group.
        paired: Whether runs are paired in the analysis.
        seed_sd: Spread of the seeds' effect; 0.06 moves mAP by about 1 point, 0.15 by 2.5.
        shared: Share of the seeds' variance that both runs of a pair have in common.
        recipe_identity_sd: Spread of what a recipe gains on single identities.
        seed_identity_sd: Spread of what a seed gains on single identities.
        identities: Number of identities.
        even: Whether each has 4 queries.
        level: 1 gives a mean AP of 0.66, 3 of 0.87 with many queries near 1.
        unequal: Factor of ``seed_sd`` in the second group.
        skewed_seeds: Whether seed effects have an exponential law: now and then one fails.
        splits: Number of splits, each with identities of its own.
        four: "2 x 2" for four recipes, "rankings" for two recipes whose runs are ranked in two
            ways; "" for two recipes.
    """

    name: str
    seeds: int = 5
    paired: bool = True
    seed_sd: float = 0.06
    shared: float = 0.0
    recipe_identity_sd: float = 0.3
    seed_identity_sd: float = 0.4
    identities: int = 75
    even: bool = False
    level: float = 1.0
    unequal: float = 1.0
    skewed_seeds: bool = False
    splits: int = 1
    four: str = ""


MAIN_EFFECTS = (0.3, 0.5)  # of A and of B, in x
SEED_SDS = {"none": 0.0, "small": 0.06, "medium": 0.15, "dominant": 0.6}


def cases() -> list[Case]:
    """Returns the cases of the table."""
    grid = [
        Case(f"{seeds} seeds, {kind}, seeds vary: {name}", seeds, kind == "paired", sd)
        for kind in ("paired", "not paired")
        for seeds in (3, 5, 10)
        for name, sd in SEED_SDS.items()
    ]
    few = Case("")
    return [
        *grid,
        replace(few, name="5 seeds, paired, half of the seeds' effect shared", shared=0.5),
        replace(few, name="3 seeds, interaction alone", seeds=3, seed_sd=0, recipe_identity_sd=0),
        replace(few, name="5 seeds, interaction alone", seed_sd=0, recipe_identity_sd=0),
        replace(few, name="5 seeds, 20 identities", identities=20),
        replace(few, name="5 seeds, 300 identities", identities=300),
        replace(few, name="5 seeds, 4 queries each", even=True),
        replace(few, name="5 seeds, mean AP 0.87", level=3.0),
        replace(few, name="5 seeds, mean AP 0.13", level=-3.0),
        replace(few, name="5 seeds, not paired, spread x 4", paired=False, unequal=4.0),
        replace(few, name="5 seeds, now and then one fails", seed_sd=0.15, skewed_seeds=True),
        replace(few, name="one run each, these two models", seeds=1, seed_sd=0, seed_identity_sd=0),
        replace(few, name="2 data seeds x 3 seeds", seeds=3, splits=2),
        replace(few, name="5 splits, one run each", seeds=1, splits=5),
        *four_cases(),
    ]


def four_cases() -> list[Case]:
    """Returns the cases of differences of differences."""
    two = Case("", four="2 x 2")
    return [
        replace(two, name="2 x 2, 3 seeds, paired, seeds vary: small", seeds=3),
        replace(two, name="2 x 2, 5 seeds, paired, seeds vary: none", seed_sd=0.0),
        replace(two, name="2 x 2, 5 seeds, paired, seeds vary: small"),
        replace(two, name="2 x 2, 5 seeds, paired, seeds vary: medium", seed_sd=0.15),
        replace(two, name="2 x 2, 5 seeds, not paired, seeds vary: medium", seed_sd=0.15,
                paired=False),
        replace(two, name="2 x 2, 10 seeds, paired, seeds vary: medium", seeds=10, seed_sd=0.15),
        replace(two, name="2 x 2, 2 data seeds x 5 seeds", splits=2),
        replace(two, name="rankings, 5 seeds, paired, seeds vary: medium", seed_sd=0.15,
                four="rankings"),
        replace(two, name="rankings, 5 seeds, not paired, seeds vary: medium", seed_sd=0.15,
                four="rankings", paired=False),
    ]  # fmt: skip


def draw_study(case: Case, rng: np.random.Generator, shift: float = 0.0) -> list[Block]:
    """Draws the results of one study.

    Args:
        case: How.
        rng: Source of all random numbers.
        shift: By how much x of the first group lies higher.
    """
    return [_block(case, rng, shift) for _ in range(case.splits)]


def _block(case: Case, rng: np.random.Generator, shift: float) -> Block:
    most = case.identities
    queries = np.full(most, 4) if case.even else rng.integers(1, MOST_QUERIES + 1, most)
    pids = np.repeat(np.arange(most), queries)
    person = rng.standard_normal(most)
    query = QUERY_SD * rng.standard_normal(len(pids))
    if case.four:
        return _four(case, rng, shift, pids, person, query)
    common = _seeds(case, rng)
    groups = []
    for number in range(2):
        own = person + case.recipe_identity_sd * rng.standard_normal(most)
        seed = np.sqrt(case.shared) * common + np.sqrt(1 - case.shared) * _seeds(case, rng)
        both = case.seed_identity_sd * rng.standard_normal((case.seeds, most))
        rest = REST_SD * rng.standard_normal((case.seeds, len(pids)))
        x = (own + both + (case.unequal**number) * seed[:, None])[:, pids] + query + rest
        ap = expit(STEEP * (x + (shift if number == 0 else 0.0)) + case.level)
        groups.append(Group.of(ap, pids))
    return Block(groups[0], groups[1], case.paired)


def _four(
    case: Case,
    rng: np.random.Generator,
    shift: float,
    pids: np.ndarray,
    person: np.ndarray,
    query: np.ndarray,
) -> Block:
    """Draws plain, A, B and AB; in "rankings", B is another ranking of the same runs."""
    gains = case.recipe_identity_sd * rng.standard_normal((3, case.identities))  # of A, B, AB
    groups = {}
    kept: dict[bool, np.ndarray] = {}
    for (a, b), moved in shifts(case, shift).items():
        if not (case.four == "rankings" and b):  # else the run of the other ranking
            seed = _seeds(case, rng)[:, None]
            kept[a] = seed + case.seed_identity_sd * rng.standard_normal((case.seeds, len(person)))
        own = person + a * gains[0] + b * gains[1] + (a and b) * gains[2]
        rest = REST_SD * rng.standard_normal((case.seeds, len(pids)))
        x = (own + kept[a])[:, pids] + query + rest + moved
        groups[a, b] = Group.of(expit(STEEP * x + case.level), pids)
    if case.four == "rankings":
        within = [Gain(groups[a, True], groups[a, False], paired=True) for a in (True, False)]
        return Block(within[0], within[1], case.paired)
    on_top = Gain(groups[True, True], groups[False, True], case.paired)
    return Block(on_top, Gain(groups[True, False], groups[False, False], case.paired), case.paired)


@cache
def shifts(case: Case, shift: float) -> dict[tuple[bool, bool], float]:
    """Returns the shift of x for plain, A, B and AB; (has A, has B) are the keys.

    Args:
        case: How studies are drawn.
        shift: That of AB beyond the one at which the interaction of the mean AP is 0.
    """
    a, b = MAIN_EFFECTS
    alone = mean_ap(case, a, 1) + mean_ap(case, b, 1) - mean_ap(case, 0.0, 0)
    even = float(brentq(lambda both: mean_ap(case, both, 3) - alone, -3, 5))
    return {(False, False): 0.0, (True, False): a, (False, True): b, (True, True): even + shift}


@cache
def mean_ap(case: Case, shift: float, gains: int) -> float:
    """Returns the mean AP of a recipe, by Gauss and Hermite's rule.

    Args:
        case: How studies are drawn.
        shift: The shift of x.
        gains: How many effects on single identities the recipe has.
    """
    parts = (1, case.seed_sd, case.seed_identity_sd, QUERY_SD, REST_SD)
    sd = np.sqrt(sum(part**2 for part in parts) + gains * case.recipe_identity_sd**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(99)
    return float(weights @ expit(STEEP * (sd * nodes + shift) + case.level) / weights.sum())


def _seeds(case: Case, rng: np.random.Generator) -> np.ndarray:
    if case.skewed_seeds:
        return case.seed_sd * (1 - rng.exponential(size=case.seeds))
    return case.seed_sd * rng.standard_normal(case.seeds)


def true_difference(case: Case, shift: float) -> float:
    """Returns the difference of the two recipes over all seeds and identities.

    Args:
        case: How studies are drawn.
        shift: As in :func:`draw_study`.
    """
    if not shift and case.unequal == 1:
        return 0.0
    if case.four:
        a, b = MAIN_EFFECTS
        moved = shifts(case, shift)[True, True]
        one = mean_ap(case, moved, 3) - mean_ap(case, b, 1)
        return one - (mean_ap(case, a, 1) - mean_ap(case, 0.0, 0))
    if case.skewed_seeds:
        return float("nan")
    means = []
    for number in range(2):
        seeds = case.seed_sd**2 * (
            case.shared + (1 - case.shared) if number == 0 else case.unequal**2
        )
        parts = (case.recipe_identity_sd, case.seed_identity_sd, QUERY_SD, REST_SD)
        sd = np.sqrt(1 + seeds + sum(part**2 for part in parts))
        # Gauss and Hermite's rule for the mean of a function of a normal value.
        nodes, weights = np.polynomial.hermite_e.hermegauss(99)
        x = sd * nodes + (shift if number == 0 else 0.0)
        means.append(weights @ expit(STEEP * x + case.level) / weights.sum())
    return float(means[0] - means[1])


def naive_interval(blocks: list[Block], draws: Draws, rng: np.random.Generator) -> np.ndarray:
    """Returns a percentile interval over seeds and identities drawn with replacement.

    Args:
        blocks: The study.
        draws: Of identities.
        rng: Source of the draws of seeds.
    """
    total = np.zeros(draws.resamples)
    for number, block in enumerate(blocks):
        times = draws.times(block.identities, number)
        # So many groups, one behind the other, have the same seeds.
        together = len(block.parts) // (1 if block.paired else len(block.independent))
        for place, (sign, group) in enumerate(block.parts):
            sums, counts = (one.T.astype(np.float32) for one in (group.sums, group.counts))
            runs = (times @ sums) / (times @ counts)
            if place % together == 0:
                count = runs.shape[1]
                same = rng.multinomial(count, np.full(count, 1 / count), len(runs)) / count
            total += sign * (runs * same).sum(1)
    return np.quantile(total / len(blocks), [0.025, 0.975])


def simulate(case: Case, studies: int, shift: float, seed: int, naive: int = 0) -> dict[str, Any]:
    """Returns shares of studies whose interval holds the truth, and whose test calls a difference.

    Args:
        case: How studies are drawn.
        studies: How many.
        shift: As in :func:`draw_study`.
        seed: Seed of the studies and of the draws.
        naive: Number of studies that get the naive interval, too.
    """
    rng = np.random.default_rng([seed, 1])
    truth = true_difference(case, shift)
    draws, rough = Draws(RESAMPLES, seed), Draws(NAIVE_RESAMPLES, seed)
    held, called, naive_held, widths, found = [], [], [], [], []
    for number in range(studies):
        blocks = draw_study(case, rng, shift)
        result = compare(blocks, draws, exchange=False)
        held.append(result.low <= truth <= result.high)
        called.append(result.p < 0.05)
        widths.append((result.high - result.low) / 2)
        found.append(result.detectable)
        if number < naive:
            low, high = naive_interval(blocks, rough, rng)
            naive_held.append(low <= truth <= high)
    shares = {"coverage": held, "called": called, "naive": naive_held}
    return {
        **{key: float(np.mean(one)) if one else None for key, one in shares.items()},
        "half_width": float(np.median(widths)),
        "detectable": float(np.median(found)),
        "truth": truth,
    }


SHIFT = 0.25


def rows(chosen: list[Case], studies: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row of the table for each case.

    Args:
        chosen: The cases.
        studies: Number of studies of a case.
        seed: Seed of all.
    """
    for case in chosen:
        start = time.perf_counter()
        null = simulate(case, studies, 0.0, seed, naive=1000)
        row = {"case": asdict(case), "no_difference": null}
        if not case.skewed_seeds:  # the truth has no closed form
            row["difference"] = simulate(case, studies // 3, SHIFT, seed + 1)
        row["seconds"] = round(time.perf_counter() - start, 1)
        yield row


def table_row(row: dict[str, Any]) -> list[str]:
    """Returns the cells of a row in percent, or in points of mAP."""
    null, other = row["no_difference"], row.get("difference")

    def percent(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    return [
        row["case"]["name"],
        percent(null["coverage"]),
        percent(other["coverage"] if other else None),
        percent(null["called"]) if row["case"]["unequal"] == 1 else "",
        percent(null["naive"]),
        f"± {100 * null['half_width']:.1f}",
        f"{100 * null['detectable']:.1f}",
        f"{100 * other['truth']:.1f}" if other else "",
        percent(other["called"] if other else None),
    ]


HEADERS = (
    "case",
    "interval holds, no difference",
    "interval holds, a difference",
    "test calls one, none there",
    "naive interval holds",
    "half width",
    "detectable",
    "true difference",
    "test calls it",
)


def kept_rows(file: Path | None, chosen: list[Case], studies: int) -> list[dict[str, Any]]:
    """Returns the rows of a file that are not computed anew.

    Args:
        file: What an earlier run wrote; None, or no file, has none.
        chosen: The cases that are computed.
        studies: Number of studies of a case; rows of another number are not kept.
    """
    if file is None or not file.exists():
        return []
    content = json.loads(file.read_text())
    names = {case.name for case in chosen}
    same = content["studies"] == studies
    return [row for row in content["rows"] if same and row["case"]["name"] not in names]


def main() -> None:
    """Reads the arguments, simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="studies of each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--json", type=Path, help="file for the raw numbers")
    args = parser.parse_args()
    chosen = [case for case in cases() if args.only in case.name]
    others = kept_rows(args.json, chosen, args.studies)
    done: list[dict[str, Any]] = []
    for row in rows(chosen, args.studies, args.seed):
        done.append(row)
        print(*table_row(row), sep=" | ", flush=True)
        if args.json:  # after each case: the command takes long
            facts = {"command": f"python {sys.argv[0]} --json {args.json}", "studies": args.studies}
            versions = {"python": platform.python_version(), "numpy": np.__version__}
            versions |= {"scipy": scipy.__version__}
            content = {**facts, **versions, "rows": [*others, *done]}
            args.json.write_text(json.dumps(content, indent=1) + "\n")
    table = [table_row(row) for row in done]
    print("\n" + tabulate(table, HEADERS, "github", disable_numparse=True))


if __name__ == "__main__":
    main()
