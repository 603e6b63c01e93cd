"""Tests of "there is no difference", by exchanging what would then be the same.

If two recipes do equally well on an identity, then it is a matter of chance which of them did
better on it. The test exchanges their names, at random and for each identity by itself, and looks
how often the mean difference comes out as large as the one found. The seeds' own error is added as
for the interval (Student's t): few seeds have few exchanges, so their test by exchanges alone can
never be sure. With one run in each group nothing is added, and it is the usual permutation test of
paired queries, whose unit is the identity.
Source: Fisher, "The Design of Experiments", 1935; on retrieval: Smucker, Allan, Carterette, "A
Comparison of Statistical Significance Tests for Information Retrieval Evaluation", 2007.
"""

import math

import numpy as np

from reid.statistics.components import Components
from reid.statistics.groups import Block
from reid.statistics.resampling import Draws, seed_errors

MOST_EXCHANGES = 50_000
_ROUNDING = 1e-5  # of sums of thousands of float32


def null_differences(block: Block, parts: Components, draws: Draws, number: int = 0) -> np.ndarray:
    """Returns mean differences as they come out where there is none, (R,).

    Args:
        block: The two groups.
        parts: From :func:`reid.statistics.components.components`.
        draws: The random numbers.
        number: Number of the block.
    """
    signs = draws.signs(block.identities, number)
    exchanged = (signs @ block.contributions.astype(np.float32)).astype(np.float64)
    # The interaction with the seeds is in the seeds' own error, and counts once.
    share = parts.pure_identities / parts.identities if parts.identities > 0 else 0.0
    return np.sqrt(share) * exchanged + seed_errors(parts, draws, number)


def p_value(difference: float, nulls: np.ndarray) -> float:
    """Returns how often chance makes a mean difference at least as large, in either direction.

    The difference found is one of the exchanges, so that no p-value is 0.
    Source: Phipson and Smyth, "Permutation P-values should never be zero", 2010.

    Args:
        difference: The difference that was found.
        nulls: (R,) differences where there is none.
    """
    least = abs(difference) * (1 - _ROUNDING)
    return float((1 + np.count_nonzero(np.abs(nulls) >= least)) / (1 + len(nulls)))


def exchange_of_runs(
    first: np.ndarray, second: np.ndarray, paired: bool
) -> tuple[float, float] | None:
    """Returns the exact p-value of a test that exchanges whole runs, and the least it can be.

    It asks a narrower question, with no law of the seeds assumed: whether the recipes differ on
    exactly these identities. Paired runs are exchanged within their pair.

    Args:
        first: (S,) metric of each run of a group.
        second: (T,) the same of the other group.
        paired: Whether run k of the one belongs to run k of the other.

    Returns:
        The two, or None if there is one run in each group, or there are too many exchanges to try
        all.
    """
    sizes = len(first), len(second)
    ways = 2 ** sizes[0] if paired else math.comb(sum(sizes), sizes[0])
    if min(sizes) < 2 or ways > MOST_EXCHANGES:
        return None
    from scipy.stats import permutation_test

    found = permutation_test(
        (first, second),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=np.inf,
    )
    # Without pairs the exchange of all names is another split only if the groups are as large.
    mirrored = paired or sizes[0] == sizes[1]
    return float(found.pvalue), (2 if mirrored else 1) / ways
