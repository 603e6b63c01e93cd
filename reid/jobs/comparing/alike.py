"""Which runs can be compared, and how they belong together: query sets, seeds, pairs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reid.jobs.comparing.runs import NAMES, OF_A_SET, Run
from reid.utils.errors import InputError

_LISTED = 4  # differences in a message


@dataclass(frozen=True)
class Match:
    """Runs of two groups on one set of queries.

    Attributes:
        first: Runs of the one group, by seed.
        second: Runs of the other, in the same order if they are paired.
        paired: Whether both groups have the same seeds, each once.
    """

    first: Sequence[Run]
    second: Sequence[Run]
    paired: bool


def named(groups: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """Gives saved features, which name no images, those of a run on the same people and cameras.

    Args:
        groups: Runs by the name of their group.
    """
    runs = [run for group in groups.values() for run in group]
    known = {run.about["ids"]: run.about for run in runs if run.about.get("dataset")}
    return {name: [_named(run, known) for run in group] for name, group in groups.items()}


def matched(first: Sequence[Run], second: Sequence[Run], pairing: str = "auto") -> list[Match]:
    """Sorts the runs of two groups by their query sets.

    Args:
        first: The runs of one group.
        second: The runs of the other.
        pairing: ``auto`` pairs runs if both groups have the same seeds on each query set;
            ``paired`` insists on it, ``independent`` never does.

    Raises:
        InputError: Two runs cannot be compared, a run is there twice, or seeds do not pair.
    """
    _check_alike([*first, *second])
    sets = [_by_set(runs) for runs in (first, second)]
    for here, there in (sets, sets[::-1]):
        for key, runs in here.items():
            if key not in there:
                raise _apart(runs[0], next(iter(there.values()))[0])
    both = [(runs, sets[1][key]) for key, runs in sets[0].items()]
    for pair in both:
        for runs in pair:
            _check_once(runs)
    fits = all(_seeds(one) == _seeds(other) and None not in _seeds(one) for one, other in both)
    if pairing == "paired" and not fits:
        raise InputError(
            f"the runs do not pair: seeds {_listed(both[0][0])} and {_listed(both[0][1])}; give"
            " both groups the same seeds, or use --seeds independent"
        )
    paired = fits and pairing != "independent"
    return [Match(_sorted(one), _sorted(other), paired) for one, other in both]


def cautions(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Returns lines about what is allowed, and may be a slip.

    Args:
        groups: Runs by the name of their group.
    """
    lines = [
        f"{run.folder}: {run.warning}" for runs in groups.values() for run in runs if run.warning
    ]
    recipes: dict[str, str] = {}
    for name, runs in groups.items():
        for of_set in _by_set(runs).values():
            hashes = {run.facts.get("recipe_hash"): run for run in of_set}
            if len(hashes) > 1:
                some = [str(run.folder) for run in list(hashes.values())[:2]]
                lines.append(f"{name} holds runs of several recipes, such as {' and '.join(some)}")
            for found in hashes:
                other = recipes.setdefault(str(found), name)
                if found and other != name:
                    lines.append(f"{other} and {name} are of one recipe, {found}")
    kinds = sorted({run.facts["weight"].rpartition("/")[2] for r in groups.values() for run in r})
    if len(kinds) > 1 and "best.pth" in kinds:
        lines.append(f"weights of several kinds are compared: {', '.join(kinds)}")
    return list(dict.fromkeys(lines))


def machines(groups: Mapping[str, Sequence[Run]]) -> str:
    """Says on what groups ran that did not run on the same; "" if they did, or it is not known.

    Args:
        groups: Runs by the name of their group.
    """
    found = {
        name: {_machine(run.facts.get("environment", "")) for run in runs}
        for name, runs in groups.items()
    }
    if any("" in each for each in found.values()) or len(set(map(frozenset, found.values()))) < 2:
        return ""
    told = "; ".join(f"{name}: {' and '.join(sorted(each))}" for name, each in found.items())
    return f"Not all groups were tested on the same kind of machine ({told})."


def _machine(environment: str) -> str:
    """Returns what rounds, of the line on the environment: torch and the device."""
    parts = re.search(r"(torch [^,]+),.* (device .+), \d+ threads", environment)
    return ", ".join(parts.groups()) if parts else ""


def _named(run: Run, known: Mapping[Any, Mapping[str, Any]]) -> Run:
    if run.about.get("dataset") or not run.about.get("ids"):
        return run
    same = known.get(run.about["ids"], {})
    images = {key: same.get(key) for key in ("dataset", "query", "gallery")}
    return replace(run, about={**run.about, **images})


def _check_alike(runs: Sequence[Run]) -> None:
    """Raises InputError if two runs differ in more than the images they were tested on."""
    first = runs[0]
    for other in runs[1:]:
        keys = {*first.about, *other.about} - set(OF_A_SET)
        wrong = [
            k for k in sorted(keys) if not k.startswith("DATASETS.") and _differ(first, other, k)
        ]
        if wrong:
            raise _cannot(first, other, wrong)


def _apart(first: Run, other: Run) -> InputError:
    """Builds the error for two groups that were tested on different images."""
    keys = [key for key in first.about if key in OF_A_SET or key.startswith("DATASETS.")]
    wrong = [key for key in keys if _differ(first, other, key)]
    return _cannot(first, other, wrong or ["query_index"])


def _differ(first: Run, other: Run, key: str) -> bool:
    return bool(first.about.get(key) != other.about.get(key))


def _cannot(first: Run, other: Run, keys: Sequence[str]) -> InputError:
    words = []
    for key in keys[:_LISTED]:
        values = [shown(run.about.get(key)) for run in (first, other)]
        same = "the valid queries" if key == "query_index" else NAMES.get(key, shown(key))
        words.append(same if key == "query_index" else f"{same} is {' and '.join(values)}")
    if len(keys) > _LISTED:
        words.append(f"and {len(keys) - _LISTED} more")
    how = "attack both" if "surrogate" in first.about else "test both"
    return InputError(
        f"{first.folder} and {other.folder} cannot be compared: {'; '.join(words)}; {how} in the"
        " same way, on the same images"
    )


def shown(value: object) -> str:
    """Returns what a file says as a short text that can be printed."""
    text = "not recorded" if value in (None, "") else str(value)
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= 40 else f"{printable[:40]}..."


def _by_set(runs: Sequence[Run]) -> dict[tuple[object, ...], list[Run]]:
    found: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(run.query_set, []).append(run)
    return found


def _check_once(runs: Sequence[Run]) -> None:
    """Raises InputError if a run counts twice: by its seed, or by its numbers."""
    seen: dict[object, Run] = {}
    for run in runs:
        key = tuple(run.files.values()) if run.seed is None else run.seed
        if key in seen:
            what = "the same run" if run.seed is None else f"both of seed {run.seed}"
            raise InputError(
                f"{seen[key].folder} and {run.folder} are {what}: a run counts once in a group;"
                " leave one out"
            )
        seen[key] = run


def _sorted(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.seed is None, run.seed or 0, str(run.folder)))


def _seeds(runs: Sequence[Run]) -> list[int | None]:
    return [run.seed for run in _sorted(runs)]


def _listed(runs: Sequence[Run]) -> str:
    return ", ".join("unknown" if seed is None else str(seed) for seed in _seeds(runs))
