"""The one exception that means "what was handed in is wrong", and did-you-mean."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input (a config key, a path, a file, an argument); one line that names the mend.

    The command-line tools print it and exit with code 2; every other exception is a bug and keeps
    its traceback.
    """

    def __init__(self, message: str) -> None:
        # A DataLoader re-raises a worker's exception with the worker's traceback as the message.
        if message.startswith("Caught InputError in DataLoader worker"):
            message = message.rsplit("InputError: ", 1)[-1].strip()
        super().__init__(message)


def suggest(word: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the nearest known word, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> InputError:
    """Builds the error for a name that is not in a table, with the names that are."""
    names = sorted(known)
    mend = suggest(word, names) or "."
    return InputError(f"unknown {kind} '{word}'{mend} Known: {', '.join(names)}")
