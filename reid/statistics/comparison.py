"""One comparison of two recipes: difference, interval, p-value, effect, what could be shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from reid.statistics.components import Components, between_splits, components, pooled_sd
from reid.statistics.detectable import detectable
from reid.statistics.effect import hedges_g, share_better, standardized
from reid.statistics.groups import Block, Side
from reid.statistics.permutation import exchange_of_runs, null_differences, p_value
from reid.statistics.resampling import (
    Draws,
    bootstrap_errors,
    interval,
    narrowing,
    seed_errors,
)
from reid.utils.errors import ArgumentError

LEVEL = 0.95
SEEDS = "new training seeds and new identities"
ONE_RUN = "new identities, for these two trained models"
SPLITS = "new splits"


@dataclass(frozen=True)
class Comparison:
    """What two groups of runs say; metrics and differences are fractions.

    Attributes:
        first_mean: Mean of the first group over its runs.
        first_sd: Standard deviation over these runs, within a set of queries; None for one run.
        first_runs: Number of these runs.
        second_mean: The same of the second group, the baseline.
        second_sd: See ``first_sd``.
        second_runs: See ``first_runs``.
        difference: First less second, the mean over the sets of queries.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        p: Of the permutation test, two-sided.
        effect: Hedges' g over runs; None where too few runs tell it.
        better: Share of the identities on which the first group has the larger value; ties count
            half.
        detectable: True difference that such a study finds with a probability of 0.8.
        p_runs: Exact p-value of the exchange of whole runs; None where there is none.
        least_p_runs: The least that ``p_runs`` can be.
        seed_sd: Standard error of the difference from the seeds, the interaction included.
        identity_sd: Standard error from the identities alone.
        df: Degrees of freedom of the standard error.
        identities: Number of identities, of all sets of queries.
        blocks: Number of sets of queries.
        paired: Whether runs are paired.
        speaks_of: What the interval and the test are about.
    """

    first_mean: float
    first_sd: float | None
    first_runs: int
    second_mean: float
    second_sd: float | None
    second_runs: int
    difference: float
    low: float
    high: float
    p: float
    effect: float | None
    better: float
    detectable: float
    p_runs: float | None
    least_p_runs: float | None
    seed_sd: float
    identity_sd: float
    df: float
    identities: int
    blocks: int
    paired: bool
    speaks_of: str

    def numbers(self) -> dict[str, float | int | str | None]:
        """Returns all of it as plain values; JSON has no infinity, which becomes None."""
        found = asdict(self)
        return {k: None if v == float("inf") else v for k, v in found.items()}


def compare(
    blocks: Sequence[Block], draws: Draws | None = None, exchange: bool = True
) -> Comparison:
    """Compares two recipes on one set of queries, or on several, each within itself.

    Several sets are splits or data seeds. Where each group has two runs or more on each of them,
    the question is about these splits, with new seeds and identities; where it has one run on each,
    it is about new splits.

    Args:
        blocks: The two groups on each set of queries.
        draws: The random numbers; None: 10 000 resamples of seed 0.
        exchange: Compute ``p_runs``, too, which tries all exchanges.

    Raises:
        ArgumentError: There is no block, a group has one run and the other has more, or blocks of
            single runs are mixed with others.

    Examples:
        Two runs of each group on four queries of two people; the first is better by 0.1 in all.

        >>> import numpy as np
        >>> from reid.statistics.groups import Block, Group
        >>> pids = np.array([1, 1, 2, 2])
        >>> second = np.array([[0.2, 0.4, 0.6, 0.8], [0.4, 0.2, 0.8, 0.6]])
        >>> groups = [Group.of(values, pids) for values in (second + 0.1, second)]
        >>> found = compare([Block(*groups, paired=True)])
        >>> round(found.first_mean, 3), round(found.second_mean, 3), round(found.difference, 3)
        (0.6, 0.5, 0.1)
    """
    _check(blocks)
    splits = len(blocks) > 1 and blocks[0].alone
    difference = float(np.mean([block.difference for block in blocks]))
    parts = _parts(blocks, splits)
    error, df = _error([part.variance for part in parts]), _df(parts)
    errors, nulls = _laws(blocks, parts, draws or Draws(), splits)
    if not blocks[0].alone:
        factor = narrowing(errors, error, df, LEVEL)
        errors, nulls = factor * errors, factor * nulls
    low, high = interval(difference, errors, LEVEL)
    runs = _runs_test(blocks, splits) if exchange else None
    means, sds, counts = _groups(blocks, splits)
    return Comparison(
        first_mean=means[0],
        first_sd=sds[0],
        first_runs=counts[0],
        second_mean=means[1],
        second_sd=sds[1],
        second_runs=counts[1],
        difference=difference,
        low=low,
        high=high,
        p=p_value(difference, nulls),
        effect=_effect(blocks, difference, splits),
        better=share_better(blocks),
        detectable=detectable((high - low) / 2, error, df),
        p_runs=runs[0] if runs else None,
        least_p_runs=runs[1] if runs else None,
        seed_sd=_error([part.seeds for part in parts]),
        identity_sd=_error([part.pure_identities for part in parts]),
        df=df,
        identities=sum(block.identities for block in blocks),
        blocks=len(blocks),
        paired=blocks[0].paired,
        speaks_of=SPLITS if splits else ONE_RUN if blocks[0].alone else SEEDS,
    )


def _parts(blocks: Sequence[Block], splits: bool) -> list[Components]:
    """Returns the variances of each block, or of all splits at once."""
    if splits:
        return [between_splits([block.difference for block in blocks])]
    return [components(block) for block in blocks]


def _laws(
    blocks: Sequence[Block], parts: Sequence[Components], draws: Draws, splits: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns errors of the difference, and differences where there is none, (R,) each."""
    if splits:
        errors = seed_errors(parts[0], draws)
        return errors, errors
    numbered = list(enumerate(zip(blocks, parts, strict=True)))
    errors, nulls = (
        np.mean([law(block, part, draws, k) for k, (block, part) in numbered], axis=0)
        for law in (bootstrap_errors, null_differences)
    )
    return errors, nulls


def _check(blocks: Sequence[Block]) -> None:
    if not blocks:
        raise ArgumentError("blocks", "must hold at least one set of queries")
    for block in blocks:
        sizes = [group.runs for _, group in block.parts]
        if min(sizes) == 1 and max(sizes) > 1:
            raise ArgumentError(
                "blocks",
                f"hold {' and '.join(map(str, sizes))} runs; one run tells nothing of seeds",
            )
    if len({block.alone for block in blocks}) == 2:
        raise ArgumentError("blocks", "hold one run on some sets of queries and several on others")
    if len({block.paired for block in blocks}) == 2:
        raise ArgumentError("blocks", "are paired on some sets of queries only")


def _groups(
    blocks: Sequence[Block], splits: bool
) -> tuple[list[float], list[float | None], list[int]]:
    """Returns mean, standard deviation and number of runs of both groups."""
    both: list[list[Side]] = [[b.first for b in blocks], [b.second for b in blocks]]
    means = [float(np.mean([side.mean for side in sides])) for sides in both]
    counts = [sum(side.runs for side in sides) for sides in both]
    return means, [_spread(sides, splits) for sides in both], counts


def _spread(sides: Sequence[Side], splits: bool) -> float | None:
    """Returns the standard deviation over runs; None for one run, and for gains of no pairs."""
    if splits:
        return float(np.concatenate([side.metric for side in sides]).std(ddof=1))
    if len(sides[0].independent) > 1:
        return None
    sd = pooled_sd(sides)
    return None if np.isnan(sd) else sd


def _effect(blocks: Sequence[Block], difference: float, splits: bool) -> float | None:
    if not splits:
        return hedges_g(blocks, difference)
    found = np.array([block.difference for block in blocks])
    return standardized(difference, float(((found - found.mean()) ** 2).sum()), len(found) - 1)


def _runs_test(blocks: Sequence[Block], splits: bool) -> tuple[float, float] | None:
    """Exchanges whole runs; runs of several sets of queries only within their pair."""
    paired = blocks[0].paired or splits
    if not paired and len(blocks[0].independent) > 2:
        return None
    if len(blocks) > 1 and (not paired or len({block.first.runs for block in blocks}) > 1):
        return None
    first, second = (
        np.concatenate([getattr(block, name).metric for block in blocks])
        for name in ("first", "second")
    )
    return exchange_of_runs(first, second, paired)


def _error(variances: Sequence[float]) -> float:
    return float(np.sqrt(sum(variances)) / len(variances))


def _df(parts: Sequence[Components]) -> float:
    total = sum(part.variance for part in parts)
    below = sum(part.variance**2 / part.df for part in parts)
    return total**2 / below if below > 0 else float("inf")
