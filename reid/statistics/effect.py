"""How large a difference is beside the spread of what was measured."""

from collections.abc import Sequence

import numpy as np

from reid.statistics.components import pooled_sd
from reid.statistics.groups import Block


def hedges_g(blocks: Sequence[Block], difference: float) -> float | None:
    """Returns the difference in standard deviations over runs; None if these tell too little.

    Of paired runs the spread is that of the differences of pairs, else that of the runs of both
    groups; it is taken within a block. The factor undoes the bias of few runs.
    Source: Hedges, "Distribution Theory for Glass's Estimator of Effect Size", 1981.

    Args:
        blocks: The two groups on each set of queries.
        difference: The mean difference of the blocks.
    """
    if blocks[0].paired:
        pairs = [block.first.metric - block.second.metric for block in blocks]
        df = sum(len(one) - 1 for one in pairs)
        spread = sum(float(((one - one.mean()) ** 2).sum()) for one in pairs)
    else:
        groups = [group for block in blocks for group in block.independent]
        df = sum(group.runs - 1 for group in groups)
        spread = pooled_sd(groups) ** 2 * df if df else 0.0
    return standardized(difference, spread, df)


def standardized(difference: float, spread: float, df: int) -> float | None:
    """Returns a difference in standard deviations, corrected for few values; None for too few.

    Args:
        difference: The difference.
        spread: Sum of squares around the mean.
        df: Degrees of freedom of it.
    """
    if df < 2 or not spread > 0:  # at one degree of freedom the factor is 0
        return None
    return float((1 - 3 / (4 * df - 1)) * difference / np.sqrt(spread / df))


def share_better(blocks: Sequence[Block]) -> float:
    """Returns the share of the identities on which the first group has the larger value.

    Ties count half.

    Args:
        blocks: The two groups on each set of queries.
    """
    added = np.concatenate([block.contributions for block in blocks])
    return float(np.mean(added > 0) + np.mean(added == 0) / 2)
