"""The exceptions that mean "what was handed in is wrong", and did-you-mean."""

import re
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input (a config key, a path, a file, an argument); one line that names the mend.

    The command-line tools print it and exit with code 2; every other exception is a bug and keeps
    its traceback.

    Args:
        message: One line.
    """

    def __init__(self, message: str) -> None:
        # A DataLoader re-raises a worker's exception with the worker's traceback as the message.
        caught = re.match(r"Caught (\w+) in DataLoader worker", message)
        if caught:
            message = message.rsplit(f"{caught[1]}: ", 1)[-1].strip()
        super().__init__(message)


class ArgumentError(InputError):
    """A function or a class was given a bad argument; the message begins with its name.

    Parts raise it about their own arguments. The builders, which know the config key that the
    argument came from, put the key in the place of the name.

    Args:
        argument: Name of the argument, as in the signature.
        problem: The rest of the sentence: ``must be at least 2, got 1``.
    """

    def __init__(self, argument: str, problem: str = "") -> None:
        super().__init__(f"{argument} {problem}" if problem else argument)
        self.argument, self.problem = argument, problem
        if not problem:  # a DataLoader re-raises a worker's error with one argument, the message
            self.argument, _, self.problem = str(self).partition(" ")


def in_one_line(error: BaseException) -> str:
    """Returns the kind of an exception of another project and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def suggest(word: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the nearest known word, or "" where none is near.

    Near is: equal but for upper and lower case, a beginning of at least three letters, or a slip of
    the pen (a letter too many, too few, changed, or swapped with the next; one for ten letters).
    So a typo is mended, and the name of something that does not exist is not taken for another.

    Args:
        word: As it was typed.
        known: What there is.

    Examples:
        >>> suggest("SOLVER.BASE_LRR", ["SOLVER.BASE_LR", "SOLVER.STEPS"])
        "; did you mean 'SOLVER.BASE_LR'?"
        >>> suggest("momentum", ["SOLVER.BASE_LR"])
        ''
    """
    typed = word.lower()
    slips = {name: _slips(typed, name.lower()) for name in sorted(known)}
    near = {name: n for name, n in slips.items() if n <= max(1, len(name) // 10) and n < len(typed)}
    if not near and len(typed) > 2:
        near = {name: 0 for name in slips if name.lower().startswith(typed)}
    # Of equally near ones the last: layer5 is taken for layer4.
    return f"; did you mean '{min(reversed(near), key=lambda name: near[name])}'?" if near else ""


def _slips(a: str, b: str) -> int:
    """Counts the slips of the pen between two words.

    Source: the restricted Damerau-Levenshtein distance, by its recurrence.
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, above, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


def unknown(kind: str, word: str, known: Iterable[str]) -> InputError:
    """Builds the error for a name that is not in a table, with the names that are.

    Args:
        kind: What the table holds.
        word: As it was typed.
        known: Names in the table.
    """
    names = sorted(known)
    mend = suggest(word, names) or "."
    return InputError(f"unknown {kind} '{word}'{mend} Known: {', '.join(names)}")
