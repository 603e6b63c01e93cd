"""Holm's correction: of many comparisons some come out by chance alone."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that hold for all comparisons of a table at once, in the same order.

    If each that is below 5 % is called a difference, then the chance that even one of them is none
    is at most 5 %, however the comparisons depend on each other.
    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Args:
        p_values: One for each comparison.

    Examples:
        The smallest is multiplied by 3, the next by 2, the largest by 1.

        >>> [round(p, 3) for p in holm([0.04, 0.01, 0.015])]
        [0.04, 0.03, 0.03]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
