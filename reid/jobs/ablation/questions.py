"""What a study's file asks of its results before there are any: PRIMARY and INTERACTIONS."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reid.jobs.ablation.study import shown
from reid.jobs.comparing.contrast import contrast_of
from reid.jobs.comparing.measures import METRICS
from reid.jobs.comparing.question import Primary
from reid.utils.errors import InputError, suggest

PRIMARY_KEYS = ("COMPARED", "TEST", "METRIC")
Fail = Callable[[str, str], InputError]  # (place in the file, problem) -> the error


def read_interactions(
    value: Any, variants: Sequence[str], wanted: Sequence[str], baseline: str, fail: Fail
) -> tuple[tuple[str, ...], ...]:
    """Reads INTERACTIONS; those of variants that a preset leaves out are left out.

    Args:
        value: What the file says.
        variants: Names of all variants.
        wanted: Names of those that are run.
        baseline: Name of the baseline.
        fail: Builds the error.

    Raises:
        InputError: An entry is no list of names, or names what is not there.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        wants = "a list of [both, one, other] or [variant, ranking]"
        raise fail("INTERACTIONS", f"must be {wants}, got {shown(value)}")
    found = [_names(one, "INTERACTIONS", variants, baseline, fail) for one in value]
    for names in found:
        if len(names) < 2:
            raise fail("INTERACTIONS", f"has {shown(list(names))}; name [both, one, other]")
    return tuple(names for names in found if _is_run(names, variants, wanted))


def read_primary(
    value: Any, variants: Sequence[str], wanted: Sequence[str], baseline: str, fail: Fail
) -> tuple[Primary, ...]:
    """Reads PRIMARY: one comparison, or a list; those of variants that a preset leaves out are out.

    Args:
        value: What the file says.
        variants: Names of all variants.
        wanted: Names of those that are run.
        baseline: Name of the baseline.
        fail: Builds the error.

    Raises:
        InputError: A key is unknown, or names what is not there.
    """
    entries = [] if value is None else value if isinstance(value, list) else [value]
    found = [_primary(entry, variants, baseline, fail) for entry in entries]
    if len({(tuple(one.compared), one.test, one.metric) for one in found}) < len(found):
        raise fail("PRIMARY", "names a comparison twice")
    return tuple(one for one in found if _is_run(one.compared, variants, wanted))


def _primary(value: Any, variants: Sequence[str], baseline: str, fail: Fail) -> Primary:
    if not isinstance(value, Mapping) or "COMPARED" not in value:
        wants = 'KEY: value lines, such as {COMPARED: lfm, TEST: "pgd-fna 4", METRIC: mAP}'
        raise fail("PRIMARY", f"must be {wants}, got {shown(value)}")
    for key in value:
        if key not in PRIMARY_KEYS:
            mend = suggest(str(key), PRIMARY_KEYS) or f"; known: {', '.join(PRIMARY_KEYS)}"
            raise fail("PRIMARY", f"unknown key {key}{mend}")
    compared = value["COMPARED"]
    names = [compared] if isinstance(compared, str) else compared
    test = str(value.get("TEST", "clean"))
    metric = str(value.get("METRIC", "mAP"))
    if metric not in METRICS:
        mend = suggest(metric, METRICS) or f"; known: {', '.join(METRICS)}"
        raise fail("PRIMARY.METRIC", f"is '{metric}'{mend}")
    return Primary(_names(names, "PRIMARY.COMPARED", variants, baseline, fail), test, metric)


def _names(
    value: Any, where: str, variants: Sequence[str], baseline: str, fail: Fail
) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise fail(where, f"must hold names of variants, got {shown(value)}")
    try:
        contrast_of(value, variants, baseline)
    except InputError as error:
        raise fail(where, str(error)) from error
    return tuple(value)


def _is_run(names: Sequence[str], variants: Sequence[str], wanted: Sequence[str]) -> bool:
    """Says whether a preset runs all variants that are named; rankings are none."""
    return all(name in wanted for name in names if name in variants)
