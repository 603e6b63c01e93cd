"""Checks of arguments that many parts share; each raises an error that names the argument."""

import math
from collections.abc import Collection, Sequence

from reid.utils.errors import ArgumentError, suggest


def check_range(
    name: str, value: float, least: float = -math.inf, most: float = math.inf, above: bool = False
) -> None:
    """Raises ArgumentError unless ``value`` is a finite number from ``least`` to ``most``.

    Args:
        name: Of the argument.
        value: What was given.
        least: Lower bound.
        most: Upper bound.
        above: Whether the value must be larger than ``least``, not only as large.
    """
    if math.isfinite(value) and (least < value if above else least <= value) and value <= most:
        return
    low = f"more than {least:g}" if above else f"at least {least:g}"
    bounds = [low] if math.isfinite(least) else []
    bounds += [f"at most {most:g}"] if math.isfinite(most) else []
    raise ArgumentError(name, f"must be {' and '.join(bounds) or 'a finite number'}, got {value}")


def check_probability(name: str, value: float) -> None:
    """Raises ArgumentError unless ``value`` is a probability.

    Args:
        name: Of the argument.
        value: What was given.
    """
    if not 0 <= value <= 1:
        raise ArgumentError(name, f"must be a probability in [0, 1], got {value}")


def check_count(name: str, value: float, least: int = 1) -> None:
    """Raises ArgumentError unless ``value`` is a whole number of at least ``least``.

    Args:
        name: Of the argument.
        value: What was given.
        least: The smallest number that makes sense.
    """
    if not math.isfinite(value) or value != int(value) or value < least:
        raise ArgumentError(name, f"must be a whole number of at least {least}, got {value}")


def check_interval(name: str, values: Sequence[float], most: float = math.inf) -> None:
    """Raises ArgumentError unless ``values`` are (low, high) with 0 < low <= high <= ``most``.

    Args:
        name: Of the argument.
        values: What was given.
        most: Upper bound of both.
    """
    if len(values) != 2 or not 0 < values[0] <= values[1] <= most or math.isinf(values[1]):
        limit = f" <= {most:g}" if math.isfinite(most) else ""
        raise ArgumentError(
            name, f"must be (low, high) with 0 < low <= high{limit}, got {tuple(values)}"
        )


def check_choice(name: str, value: str, known: Collection[str]) -> None:
    """Raises ArgumentError, with the nearest known word, unless ``value`` is one of ``known``.

    Args:
        name: Of the argument.
        value: What was given.
        known: What there is.
    """
    if value not in known:
        mend = suggest(value, known) or "."
        raise ArgumentError(
            name, f"has the unknown value '{value}'{mend} Known: {', '.join(known)}"
        )
