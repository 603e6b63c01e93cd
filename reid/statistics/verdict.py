"""What a comparison says, in a sentence."""

from dataclasses import dataclass

from reid.statistics.comparison import LEVEL, ONE_RUN, Comparison


@dataclass(frozen=True)
class Adds:
    """The words of an interaction: does it add as much there as here?

    Attributes:
        what: What adds something: ``lfm``.
        there: Where the first gain was found: ``on top of erasing``.
        here: Where the second one was found: ``alone``.
    """

    what: str
    there: str
    here: str


def verdict(
    found: Comparison,
    p_of_all: float,
    names: tuple[str, str],
    comparisons: int,
    more_is_better: bool = True,
    adds: Adds | None = None,
) -> str:
    """Returns a sentence: which group is better, or that there is no evidence and what it is worth.

    Args:
        found: The comparison.
        p_of_all: Its p-value after Holm's correction.
        names: Names of the first group and of the baseline.
        comparisons: Number of comparisons in the table.
        more_is_better: Whether a large value of the metric is good.
        adds: The words of an interaction; None for two groups.
    """
    alpha = 1 - LEVEL
    size = f"{100 * abs(found.difference):.1f}"
    if p_of_all < alpha and adds is not None:
        more = "more" if found.difference > 0 else "less"
        models = ", of these models" if found.speaks_of == ONE_RUN else ""
        return f"{adds.what} adds {size} {more} {adds.there} than {adds.here}{models}"
    if p_of_all < alpha:
        better, worse = names if (found.difference > 0) == more_is_better else names[::-1]
        models = ", of these two models" if found.speaks_of == ONE_RUN else ""
        return f"{better} is better than {worse} by {size}{models}"
    none = "no evidence of a difference"
    if adds is not None:
        none = f"no evidence that {adds.what} adds more or less {adds.there} than {adds.here}"
    could = f"a difference of {100 * found.detectable:.1f} could have been shown"
    if found.p < alpha:
        return f"{none} among {comparisons} comparisons; {could}"
    return f"{none}; {could}"
