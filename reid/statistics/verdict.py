"""What a comparison says, in a sentence."""

from reid.statistics.comparison import LEVEL, Comparison


def verdict(found: Comparison, p_of_all: float, first: str, second: str, comparisons: int) -> str:
    """Returns a sentence: which group is better, or that there is no evidence and what it is worth.

    Args:
        found: The comparison of a metric of which more is better.
        p_of_all: Its p-value after Holm's correction.
        first: Name of the first group.
        second: Name of the second group, the baseline.
        comparisons: Number of comparisons in the table.
    """
    alpha = 1 - LEVEL
    if p_of_all < alpha:
        better, worse = (first, second) if found.difference > 0 else (second, first)
        return f"{better} is better than {worse} by {100 * abs(found.difference):.1f}"
    could = f"a difference of {100 * found.detectable:.1f} could have been shown"
    if found.p < alpha:
        return f"no evidence of a difference among {comparisons} comparisons; {could}"
    return f"no evidence of a difference; {could}"
