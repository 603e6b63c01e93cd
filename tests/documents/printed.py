"""Is what a page shows what a command prints?"""

import math
import re

TOLERANCE = 0.01  # of a number; what a processor rounds otherwise is smaller
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


def differences(shown: str | None, printed: str, measured: bool) -> str:
    """Returns the lines of a page that a command does not print, or "".

    Args:
        shown: What the page shows; None or "" is nothing, which is always right.
        printed: What the command printed just now, on tiny people.
        measured: The page's numbers are of a long run: the words of a line must be those of one
            that was printed, whatever its numbers are.
    """
    wanted = (shown or "").splitlines()
    there = printed.splitlines()
    if measured:
        kinds = {_kind(line) for line in there}
        return "\n".join(line for line in wanted if _kind(line) not in kinds)
    if not wanted:
        return ""
    pairs = zip(wanted, there, strict=False)
    wrong = [line for line, other in pairs if not alike(line, other)]
    return "\n".join([*wrong, *wanted[len(there) :]])


def alike(line: str, other: str) -> bool:
    """Says whether two lines have the same words, and numbers that differ by TOLERANCE at most."""
    if _words(line) != _words(other):
        return False
    pairs = zip(_NUMBER.findall(line), _NUMBER.findall(other), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=TOLERANCE) for a, b in pairs)


def _words(line: str) -> str:
    """A line without its numbers, and without the widths of its columns."""
    return re.sub(r"-{3,}", "---", " ".join(_NUMBER.sub("#", line).split()))


def _kind(line: str) -> str:
    """The same without the name of the data set: the tests' people are others."""
    return re.sub(r"\b(synthetic|market1501)\b[\w-]*", "DATA", _words(line))
