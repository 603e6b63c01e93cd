"""How large a difference would have been found: what "no evidence" is worth."""

import numpy as np

from reid.statistics.resampling import student_quantile

POWER = 0.8


def detectable(half_width: float, error: float, df: float, power: float = POWER) -> float:
    """Returns the true difference that a study like this one finds with a given probability.

    It is found if the interval leaves out 0. The estimate lies above half the interval with
    probability ``power`` if the truth lies higher by that quantile of its error.
    Source: Bloom, "Minimum Detectable Effects", 1995.

    Args:
        half_width: Half of the interval's width.
        error: Standard error of the difference.
        df: Degrees of freedom of ``error``.
        power: The probability, in (0, 1).
    """
    return half_width + float(student_quantile(np.array(power), df)) * error
