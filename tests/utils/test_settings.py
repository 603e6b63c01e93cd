"""A signature becomes settings, and values are made to fit them without loss."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import pytest

from reid.utils.checks import Range
from reid.utils.settings import Setting, argument_meanings, settings_of


def component(
    fact: int,
    flag: bool = False,
    count: int = 3,
    rate: float = 1.0,
    word: str = "a",
    kind: Literal["one", "two"] = "one",
    maybe: float | None = None,
    pair: tuple[float, float] = (0.0, 1.0),
    some: tuple[int, ...] = (1, 2),
    none: Sequence[float] = (),
    bare=None,
    untyped=(1, 2),
) -> None:
    """Does nothing.

    Args:
        fact: Is no setting.
        flag: Turns
            it on.
        rate: In ``units``: of something.
    """


FOUND = settings_of(component)


def test_arguments_with_a_default_are_settings() -> None:
    assert "fact" not in FOUND and len(FOUND) == 11
    assert next(iter(settings_of(partial(component, 1), facts=("flag",)))) == "count"


@pytest.mark.parametrize(
    ("name", "item", "many", "length", "optional"),
    [
        ("flag", bool, False, 0, False),
        ("count", int, False, 0, False),
        ("rate", float, False, 0, False),
        ("word", str, False, 0, False),
        ("kind", str, False, 0, False),
        ("maybe", float, False, 0, True),
        ("pair", float, True, 2, False),
        ("some", int, True, 0, False),
        ("none", float, True, 0, False),
        ("bare", None, False, 0, True),
        ("untyped", int, True, 0, False),
    ],
)
def test_types_are_read(name: str, item: type, many: bool, length: int, optional: bool) -> None:
    s = FOUND[name]
    assert (s.item, s.many, s.length, s.optional) == (item, many, length, optional)


@pytest.mark.parametrize(
    ("name", "value", "fitted"),
    [
        ("flag", 1, True),
        ("flag", False, False),
        ("rate", 2, 2.0),
        ("rate", "1e-4", 1e-4),
        ("maybe", None, None),
        ("maybe", 1, 1.0),
        ("pair", [1, 2], (1.0, 2.0)),
        ("pair", "(1, 2)", (1.0, 2.0)),
        ("some", 5, (5,)),
        ("some", (), ()),
        ("some", [1, 2, 3, 4], (1, 2, 3, 4)),
        ("none", [0.5], (0.5,)),
        ("none", "()", ()),
        ("bare", "text", "text"),
        ("bare", 4, 4),
        ("untyped", (1, 2, 3), (1, 2, 3)),
        ("kind", "two", "two"),
    ],
)
def test_values_fit(name: str, value: object, fitted: object) -> None:
    found = FOUND[name].fit(value)
    assert found == fitted and type(found) is type(fitted)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("flag", 2, "must be true or false, got 2"),
        ("flag", "yes", "must be true or false"),
        ("count", 1.0, "must be a whole number"),
        ("count", True, "must be a whole number"),
        ("count", None, "must be a whole number, got None"),
        ("rate", float("inf"), "must be a number"),
        ("rate", True, "must be a number"),
        ("word", 1, "must be text"),
        ("pair", [1], "must have 2 values"),
        ("kind", "three", "Known: one, two"),
        ("kind", "tow", "did you mean 'two'"),
        ("bare", {"a": 1}, "must be true or false, a number or text"),
        ("some", {"a": 1}, "must be a whole number"),
    ],
)
def test_values_that_do_not_fit(name: str, value: object, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is checked
        FOUND[name].fit(value)
    assert says in str(caught.value)


def test_bounds_hold_for_each_item() -> None:
    setting = Setting((1,), int, many=True, allowed=Range(1, 5))
    assert setting.fit([1, 5]) == (1, 5)
    with pytest.raises(ValueError, match="must be at least 1 and at most 5, got 6"):
        setting.fit([1, 6])


def test_meanings_are_those_of_the_docstring() -> None:
    assert argument_meanings(component) == {
        "fact": "Is no setting.",
        "flag": "Turns it on.",
        "rate": "In ``units``: of something.",
    }
