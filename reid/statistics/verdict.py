"""What a comparison says, in a sentence."""

from reid.statistics.comparison import LEVEL, ONE_RUN, Comparison


def verdict(
    found: Comparison,
    p_of_all: float,
    names: tuple[str, str],
    comparisons: int,
    more_is_better: bool = True,
) -> str:
    """Returns a sentence: which group is better, or that there is no evidence and what it is worth.

    Args:
        found: The comparison.
        p_of_all: Its p-value after Holm's correction.
        names: Names of the first group and of the baseline.
        comparisons: Number of comparisons in the table.
        more_is_better: Whether a large value of the metric is good.
    """
    alpha = 1 - LEVEL
    if p_of_all < alpha:
        better, worse = names if (found.difference > 0) == more_is_better else names[::-1]
        models = ", of these two models" if found.speaks_of == ONE_RUN else ""
        return f"{better} is better than {worse} by {100 * abs(found.difference):.1f}{models}"
    could = f"a difference of {100 * found.detectable:.1f} could have been shown"
    if found.p < alpha:
        return f"no evidence of a difference among {comparisons} comparisons; {could}"
    return f"no evidence of a difference; {could}"
