"""An interval for a difference, from a bootstrap of two levels: identities and training seeds.

A resample draws as many identities as there are, with replacement, all queries of one together, the
same ones for both groups. That says what new identities would change.

The level of the seeds is drawn from Student's t and not from the runs. Of three to five seeds a
resample with replacement often holds two different ones, or one, and their spread is a third to a
fifth too small: an interval of 95 % made of such resamples holds the truth in 80 to 90 % of the
cases. Student's t is the exact law of a mean of few normal values whose spread is not known.

The sum of both levels is a problem of its own (Behrens and Fisher's): each brings the uncertainty
of its own spread. Fisher's solution adds the two laws, and holds the truth a little too often;
Satterthwaite's takes one t with degrees of freedom in between, and holds it a little too seldom.
The geometric mean of the two widths holds it as often as it should; scripts/simulate_compare.py
prints how often.
Sources: Owen, "The pigeonhole bootstrap", 2007, on two levels; Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993; Bouthillier et al., "Accounting for variance in machine
learning benchmarks", 2021, on what varies between runs.
"""

import numpy as np

from reid.statistics.components import Components
from reid.statistics.groups import Block, Group

RESAMPLES = 10_000
_AT_ONCE = 1000


class Draws:
    """Random numbers that all comparisons of a table share; they depend on the seed alone.

    Args:
        resamples: R.
        seed: Seed of all of them.
    """

    def __init__(self, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.resamples = resamples
        self.seed = seed
        self._kept: dict[tuple[str, int, int], np.ndarray] = {}

    def times(self, identities: int, block: int) -> np.ndarray:
        """Returns how often each identity is drawn, (R, I) float32.

        Args:
            identities: I.
            block: Number of the set of queries; each has draws of its own.
        """
        key = ("times", identities, block)
        if key not in self._kept:
            rng = self._rng(0, identities, block)
            counted = np.empty((self.resamples, identities), np.float32)
            for start in range(0, self.resamples, _AT_ONCE):  # less memory than all at once
                part = counted[start : start + _AT_ONCE]
                drawn = rng.integers(identities, size=part.shape)
                drawn += np.arange(len(part))[:, None] * identities
                part[:] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(part.shape)
            self._kept[key] = counted
        return self._kept[key]

    def signs(self, identities: int, block: int) -> np.ndarray:
        """Returns +1 or -1 for each identity, (R, I) float32.

        Args:
            identities: I.
            block: Number of the set of queries.
        """
        key = ("signs", identities, block)
        if key not in self._kept:
            rng = self._rng(1, identities, block)
            coins = rng.integers(2, size=(self.resamples, identities), dtype=np.int8)
            self._kept[key] = (2 * coins - 1).astype(np.float32)
        return self._kept[key]

    def student(self, df: float, block: int) -> np.ndarray:
        """Returns values of Student's t, (R,) float64: R quantiles in random order.

        With few degrees of freedom the tails are long, and random values would show another
        interval for each seed.

        Args:
            df: Degrees of freedom; infinity gives normal values.
            block: Number of the set of queries.
        """
        order = self._rng(2, 0, block).permutation(self.resamples)
        return student_quantile((order + 0.5) / self.resamples, df)

    def unsure(self, df: float, block: int) -> np.ndarray:
        """Returns factors of a spread that is known from few values, (R,) float64.

        Args:
            df: Degrees of freedom of the spread.
            block: Number of the set of queries.
        """
        if np.isinf(df):
            return np.ones(self.resamples)
        squares = self._rng(3, 0, block).chisquare(df, self.resamples)
        factors: np.ndarray = np.sqrt(df / squares)
        return factors

    def _rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *what])


def bootstrap_errors(block: Block, parts: Components, draws: Draws, number: int = 0) -> np.ndarray:
    """Returns errors of the difference of a block, as new seeds and identities make them, (R,).

    Args:
        block: The two groups.
        parts: From :func:`reid.statistics.components.components`.
        draws: The random numbers.
        number: Number of the block.
    """
    times = draws.times(block.identities, number)
    resampled = np.sum([sign * _means(group, times) for sign, group in block.parts], axis=0)
    errors = resampled - block.difference
    # The spread of these is that of I identities around their own mean, with the interaction.
    raw = float((block.influence**2).sum())
    scale = np.sqrt(parts.pure_identities / raw) if raw > 0 else 0.0
    return errors * scale * draws.unsure(parts.identities_df, number) + seed_errors(
        parts, draws, number
    )


def seed_errors(parts: Components, draws: Draws, number: int = 0) -> np.ndarray:
    """Returns errors of the difference as new seeds make them, (R,).

    Args:
        parts: The variances.
        draws: The random numbers.
        number: Number of the block.
    """
    return np.sqrt(parts.seeds) * draws.student(parts.seeds_df, number)


def narrowing(errors: np.ndarray, standard_error: float, df: float, level: float) -> float:
    """Returns the factor that brings the sum of both levels to the width that it should have.

    Args:
        errors: (R,) sums of errors of both levels, each with the uncertainty of its own spread.
        standard_error: Of the difference.
        df: Degrees of freedom of the standard error. Source: Satterthwaite, 1946.
        level: Level of the interval, in (0, 1).
    """
    wide = float(np.quantile(np.abs(errors), level))
    narrow = standard_error * float(student_quantile(np.array((1 + level) / 2), df))
    return min(1.0, (narrow / wide) ** 0.5) if wide > 0 else 1.0


def student_quantile(share: np.ndarray, df: float) -> np.ndarray:
    """Returns the values below which Student's t lies with given probabilities, (...).

    Args:
        share: (...) probabilities, in (0, 1).
        df: Degrees of freedom; infinity is the normal law.
    """
    from scipy.special import ndtri, stdtrit

    found: np.ndarray = ndtri(share) if np.isinf(df) else stdtrit(df, share)
    return found


def _means(group: Group, times: np.ndarray) -> np.ndarray:
    """Returns the mean metric of the runs in each resample, (R,): two matrix products."""
    sums, counts = (
        (times @ one.T.astype(np.float32)).astype(np.float64) for one in (group.sums, group.counts)
    )
    # A rate is not defined where a resample has no query that counts; it says nothing new then.
    ratios = np.broadcast_to(group.metric, sums.shape).copy()
    np.divide(sums, counts, out=ratios, where=counts > 0)
    means: np.ndarray = ratios.mean(1)
    return means


def interval(difference: float, errors: np.ndarray, level: float) -> tuple[float, float]:
    """Returns the ends of an interval around a difference.

    Args:
        difference: The difference.
        errors: (R,) errors of it.
        level: Share of the cases in which it is to hold the truth, in (0, 1).
    """
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return difference + float(low), difference + float(high)
