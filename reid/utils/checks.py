"""Checks of arguments that many parts share; each raises an error that names the argument."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from reid.utils.errors import ArgumentError, suggest


@dataclass(frozen=True)
class Range:
    """The finite numbers between two bounds.

    In the annotation of an argument, ``p: Annotated[float, Range(0, 1)]``, it is what a config may
    say there; of a tuple it holds for each item.

    Attributes:
        least: Lower bound; -inf is none.
        most: Upper bound; inf is none.
        above: Whether the lower bound itself is left out.
        below: Whether the upper bound itself is left out.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        high_enough = self.least < value if self.above else self.least <= value
        low_enough = value < self.most if self.below else value <= self.most
        return math.isfinite(value) and high_enough and low_enough

    def __str__(self) -> str:
        bounds = []
        if math.isfinite(self.least):
            bounds.append(f"{'more than' if self.above else 'at least'} {number(self.least)}")
        if math.isfinite(self.most):
            bounds.append(f"{'less than' if self.below else 'at most'} {number(self.most)}")
        return " and ".join(bounds)


@dataclass(frozen=True)
class NamesPath:
    """In the annotation of an argument: the text names a file or a folder, and ``~`` is home."""


def number(value: float) -> str:
    """Writes a bound in full where it is a whole number, and short otherwise."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:g}"


# What a config may say of arguments that many parts have.
Probability: TypeAlias = Annotated[float, Range(0, 1)]
Share: TypeAlias = Annotated[float, Range(0, 1, above=True)]  # 0 would do nothing
DropRate: TypeAlias = Annotated[float, Range(0, 1, below=True)]  # at 1 nothing would be left
Area: TypeAlias = Annotated[tuple[float, float], Range(0, 1, above=True)]
Aspect: TypeAlias = Annotated[tuple[float, float], Range(0, 1000, above=True)]
Steps: TypeAlias = Annotated[int, Range(0, 100_000)]
Count: TypeAlias = Annotated[int, Range(1, 100_000)]
Width: TypeAlias = Annotated[int, Range(0, 100_000)]  # of a layer; 0 is no layer
Scale: TypeAlias = Annotated[float, Range(0, 10_000, above=True)]
Seed: TypeAlias = Annotated[int, Range(0, 2**63 - 1)]
PathText: TypeAlias = Annotated[str, NamesPath()]
StepSize: TypeAlias = Annotated[float, Range(0, 100, above=True)]


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
    allowed = Range(least, most, above)
    if value not in allowed:
        raise ArgumentError(name, f"must be {str(allowed) or 'a finite number'}, got {value}")


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
