"""What a setting may be: read off a signature, or declared; and a value made to fit it.

A component's argument with a default is a setting, and a config key. Its type comes from the
annotation (``float | None``, ``tuple[int, ...]``, ``Literal["a", "b"]``), or else from the default.
"""

import ast
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from reid.utils.checks import NamesPath, Range
from reid.utils.errors import suggest

MOST_FLOAT = 3.4028235e38  # of 32 bits, in which networks compute
MOST_INT = 2**63 - 1
ANY_NUMBER = Range()
TOO_LARGE = " that 32 bits can hold"
TOO_LARGE = " that 32 bits can hold"
LONGEST_PATH = 4000  # bytes; Linux takes 4095, and folders and names are put behind it
LONGEST_NAME = 255  # bytes of one part of a path, on every file system in use
SHOWN = 80  # characters of a bad value in a message
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SCALARS = (bool, int, float, str)
WORDS: dict[type | None, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    None: "true or false, a number or text",
}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        default: Its value unless another is given: a bool, int, float, str or None, or a tuple of
            them.
        item: Type of the value, or of the items of a tuple; None admits any of the four.
        many: Whether it is a tuple.
        length: Number of items; 0 is any number.
        optional: Whether None is a value.
        choices: The values that are known; empty where all are.
        beginnings: What further values, checked where they are used, begin with (``timm:``).
        allowed: The numbers that are allowed; each item of a tuple is in it.
        path: Whether it names a file or a folder, in which ``~`` stands for the home folder.
        meaning: What it does, for a reader.
    """

    default: Any
    item: type | None
    many: bool = False
    length: int = 0
    optional: bool = False
    choices: Sequence[str] = ()
    beginnings: tuple[str, ...] = ()
    allowed: Range = ANY_NUMBER
    path: bool = False
    meaning: str = ""

    def fit(self, value: Any) -> Any:
        """Returns ``value`` as this setting's type.

        Lossless changes only: 1 for 1.0, "1e-4" (which is text to YAML 1.1) for a number, 1 and 0
        for true and false, a list, the text "(256, 128)" or a single word for a tuple.

        Raises:
            ValueError: The value does not fit; the message goes on behind the setting's name.
        """
        if value is None and self.optional:
            return None
        if not self.many:
            return self._fit_item(value)
        if isinstance(value, str) and value[:1] in ("(", "["):
            value = literal(value)
        items = value if isinstance(value, list | tuple) else (value,)
        fitted = tuple(self._fit_item(item) for item in items)
        if self.length and len(fitted) != self.length:
            raise ValueError(f"must have {self.length} values, got {shown(fitted)}")
        return fitted

    def _fit_item(self, value: Any) -> Any:
        converted = _convert(value, self.item)
        if isinstance(converted, str):
            self._check_text(converted)
        elif not isinstance(converted, bool) and converted not in self.allowed:
            raise ValueError(f"must be {self.allowed}, got {shown(value)}")
        return converted

    def _check_text(self, text: str) -> None:
        check_line(text)
        if self.choices and text not in self.choices and not text.startswith(self.beginnings):
            mend = suggest(text[:SHOWN], (*self.choices, *self.beginnings)) or "."
            known = (*self.choices, *(f"{begin}NAME" for begin in self.beginnings))
            raise ValueError(
                f"has the unknown value '{text[:SHOWN]}'{mend} Known: {', '.join(known)}"
            )
        if self.path:
            check_path(text)
            if self.default and not text:
                raise ValueError("is empty; '.' is the folder in which the command runs")


def check_line(text: str) -> None:
    """Raises ValueError, which goes on behind a name, for text with control characters."""
    if CONTROL.search(text):
        raise ValueError(f"must be text without control characters, got {shown(text)}")


def check_path(text: str) -> None:
    """Raises ValueError, which goes on behind a name, for a path that no file system takes."""
    check_line(text)
    size = len(text.encode(errors="surrogateescape"))
    if size > LONGEST_PATH:
        raise ValueError(f"has {size} bytes, a path has at most {LONGEST_PATH}: {shown(text)}")
    for part in re.split(r"[/\\]", text):
        size = len(part.encode(errors="surrogateescape"))
        if size > LONGEST_NAME:
            raise ValueError(
                f"has a part of {size} bytes, a name has at most {LONGEST_NAME}: {shown(text)}"
            )


def shown(value: object) -> str:
    """Returns a value as a message shows it: on one line, and cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out whole numbers of more than 4300 digits
        return "a whole number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _convert(value: Any, item: type | None) -> Any:
    if item is bool and isinstance(value, int) and value in (0, 1):
        return bool(value)
    if item is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        return _to_float(value)
    if type(value) is not item and not (item is None and isinstance(value, SCALARS)):
        raise ValueError(f"must be {WORDS[item]}, got {shown(value)}")
    if isinstance(value, float):
        return _to_float(value)
    if isinstance(value, int) and abs(value) > MOST_INT:
        raise ValueError(f"must be a whole number below 2**63, got {shown(value)}")
    return value


def _to_float(value: int | float | str) -> float:
    limit = ""
    try:
        number = float(value)
    except OverflowError:  # a whole number
        number = math.nan
        limit = TOO_LARGE
    except ValueError:
        number = math.nan
    if abs(number) <= MOST_FLOAT:
        return number
    limit = TOO_LARGE if math.isfinite(number) else limit
    raise ValueError(f"must be a number{limit}, got {shown(value)}")


def literal(text: str) -> Any:
    """Returns the Python literal in ``text``, or the text itself where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def settings_of(component: Callable[..., Any], facts: Collection[str] = ()) -> dict[str, Setting]:
    """Returns the arguments of ``component`` that have a default, by name, as settings.

    Args:
        component: A class, a function, or a partial of one.
        facts: Arguments that are filled in by the program; they are left out.

    Raises:
        ValueError: A default that a config cannot carry; the message goes on behind "argument ".
    """
    hints, meanings = _hints(component), argument_meanings(component)
    return {
        p.name: _setting(p, hints.get(p.name), meanings.get(p.name, ""))
        for p in inspect.signature(component).parameters.values()
        if p.default is not p.empty and p.name not in facts
    }


def facts_of(component: Callable[..., Any]) -> list[str]:
    """Returns the arguments of ``component`` that have no default: what is known at run time."""
    params = inspect.signature(component).parameters.values()
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in params if p.default is p.empty and p.kind not in open_ended]


def _setting(parameter: inspect.Parameter, hint: Any, meaning: str) -> Setting:
    name, default = parameter.name, parameter.default
    values = default if isinstance(default, tuple) else (default,)
    if isinstance(default, list | dict | set):
        raise ValueError(f"{name}: a {type(default).__name__} can be changed; make it a tuple")
    for value in values:
        if type(value) not in (*SCALARS, types.NoneType):
            raise ValueError(
                f"{name}: its default {value!r} is no value of a config; a default is true or"
                " false, a number, text, None, or a tuple of them"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: its default is {value}, which no config file can say")
    found = _from_hint(hint)
    many = isinstance(default, tuple) or bool(found.get("many"))
    item = found["item"] if "item" in found else _common_type(values)
    return Setting(
        default=default,
        item=item,
        many=many,
        length=int(found.get("length", 0)),
        optional=default is None or bool(found.get("optional")),
        choices=tuple(found.get("choices", ())),
        allowed=found.get("allowed", ANY_NUMBER),
        path=bool(found.get("path")),
        meaning=meaning,
    )


def _common_type(values: Collection[Any]) -> type | None:
    kinds = {type(value) for value in values} - {types.NoneType}
    if kinds == {int, float}:
        return float
    return kinds.pop() if len(kinds) == 1 else None


def _from_hint(hint: Any) -> dict[str, Any]:
    """Reads an annotation; an empty dict says that it tells nothing."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        ranges = [extra for extra in args[1:] if isinstance(extra, Range)]
        path = any(isinstance(extra, NamesPath) for extra in args[1:])
        return _from_hint(args[0]) | ({"allowed": ranges[0]} if ranges else {}) | {"path": path}
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in args if arg is not types.NoneType]
        found = _from_hint(inner[0]) if len(inner) == 1 else {}
        return {**found, "optional": True} if len(inner) < len(args) else found
    if origin is typing.Literal and all(isinstance(arg, str) for arg in args):
        return {"item": str, "choices": args}
    if origin is tuple and args:
        length = 0 if args[-1] is Ellipsis else len(args)
        return {**_from_hint(args[0]), "many": True, "length": length}
    if isinstance(origin, type) and issubclass(origin, Sequence) and args:
        return {**_from_hint(args[0]), "many": True}
    return {"item": hint} if hint in SCALARS else {}


def plain(component: Any) -> Any:
    """Returns what a partial stands for: the class or the function itself."""
    while isinstance(component, partial):
        component = component.func
    return component


def _hints(component: Callable[..., Any]) -> dict[str, Any]:
    function = plain(component)
    try:
        return typing.get_type_hints(
            vars(function).get("__init__", function) if isinstance(function, type) else function,
            include_extras=True,
        )
    except (NameError, TypeError, AttributeError):  # a name that exists for a type checker only
        return {}


def argument_meanings(component: Callable[..., Any]) -> dict[str, str]:
    """Returns what the Args section of a docstring says of each argument, on one line each."""
    text = inspect.getdoc(plain(component)) or ""
    found: dict[str, str] = {}
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", text, re.MULTILINE)
    name = ""
    for line in section[1].splitlines() if section else ():
        entry = re.match(r"    (\w+)[^:]*: (.*)", line)
        if entry and not line.startswith("     "):
            name, found[entry[1]] = entry[1], entry[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found
