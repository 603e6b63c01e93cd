"""Name -> component tables, filled by decorators when a package imports its own files.

A table checks each component as it is registered: what is wrong with it is said at import, with the
file and the mend, and not when a training run first uses it.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar, cast

from reid.utils.errors import InputError, unknown
from reid.utils.settings import Setting, facts_of, plain, settings_of

T = TypeVar("T", bound=Callable[..., object])

NAME = re.compile(r"[a-z][a-z0-9_]*")
# YAML 1.1 reads these as true, false or nothing, so no name and no argument can be one of them.
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}


class RegistrationError(InputError):
    """A component that a table does not take; the message names its file and the mend."""


class Section:
    """A section of the config that holds the settings of the components of one or more tables.

    Args:
        name: Dotted: ``LOSS``, ``MODEL.REGULARIZER``.
        own_keys: Keys of the section itself, which are no component's.
        flat: Whether a component's settings stand in the section itself, behind the component's
            name (``INPUT.ERASING_PROB``; one of the same name alone: ``INPUT.PADDING``), and not in
            a section of their own (``LOSS.TRIPLET.MARGIN``).
    """

    def __init__(self, name: str, own_keys: Collection[str], flat: bool = False) -> None:
        self.name, self.own_keys, self.flat = name, frozenset(own_keys), flat
        self.taken: dict[str, str] = {}  # key -> what has it

    def key(self, component: str, argument: str) -> str:
        """Returns the key of a component's argument, relative to the section.

        Args:
            component: Registered name.
            argument: Name in its signature.
        """
        if not self.flat:
            return f"{component}.{argument}".upper()
        return (component if component == argument else f"{component}_{argument}").upper()


class Registry(Generic[T]):
    """A table of components of one kind.

    Args:
        kind: What the table holds, for messages ("loss", "backbone").
        section: Where the settings of its components stand; None where they have none.
        base: Class that each component derives from; None admits functions.
        attributes: Attributes that each class must have.
        values: The values that an attribute may have, where it has one.
        facts: Arguments that the program fills in; they are no settings, with or without a default.
        built: Attributes that the object must have when it is built, each with what it is.
        open_facts: Whether it may ask for others, too (a function that is called as it is).
    """

    def __init__(
        self,
        kind: str,
        section: Section | None = None,
        base: type | None = None,
        attributes: Mapping[str, str] | None = None,
        values: Mapping[str, Collection[object]] | None = None,
        facts: Collection[str] = (),
        built: Mapping[str, str] | None = None,
        open_facts: bool = False,
    ) -> None:
        self.kind, self.section, self.base = kind, section, base
        self.attributes, self.values = dict(attributes or {}), dict(values or {})
        self.facts, self.open_facts = tuple(facts), open_facts
        self.built = dict(built or {})
        self._table: dict[str, T] = {}
        self._settings: dict[str, dict[str, Setting]] = {}
        self._files: dict[str, str] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that puts a component into the table.

        Args:
            name: What a config calls it; lower case, and the name of its file.

        Raises:
            RegistrationError: A name that is missing or taken, or a component that does not keep
                to the table's contract; names the file and the mend.
        """
        frame = sys._getframe(1)
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"

        def refuse(problem: str) -> RegistrationError:
            return RegistrationError(f"{place}: {problem}")

        if not isinstance(cast(object, name), str):  # @TABLE.register, without the brackets
            shown = getattr(name, "__name__", repr(name))
            raise refuse(
                f"{self.kind} {shown} is registered without a name; write"
                f' @....register("{shown.lower()}")'
            )
        if not NAME.fullmatch(name) or name in YAML_WORDS:
            raise refuse(
                f"the name '{name}' of a {self.kind} must be lower-case letters, digits and _, and"
                " no word that YAML reads as a value (on, no, none, ...)"
            )
        if name in self._table:
            raise refuse(
                f"two components of kind {self.kind} are named '{name}', the other one in"
                f" {self._files[name]}; rename one"
            )

        def put(component: T) -> T:
            try:
                settings = self._check(component)
                self._claim(name, settings, place)
            except ValueError as error:
                raise refuse(f"{self.kind} '{name}': {error}") from error
            self._table[name], self._settings[name], self._files[name] = component, settings, place
            return component

        return put

    def _check(self, component: T) -> dict[str, Setting]:
        """Returns the component's settings; raises ValueError for one that breaks the contract."""
        built: Any = plain(component)
        if not callable(built):
            raise ValueError(f"a {type(built).__name__} cannot be called")
        self._check_class(built)
        for fact in () if self.open_facts else facts_of(component):
            if fact not in self.facts:
                known = f"; known at run time: {', '.join(self.facts)}" if self.facts else ""
                raise ValueError(
                    f"argument {fact} has no default; give it one, and it is a config key{known}"
                )
        if self.section is None:
            return {}
        try:
            settings = settings_of(component, self.facts)
        except ValueError as error:
            raise ValueError(f"argument {error}") from error
        for argument in settings:
            if argument != argument.lower() or argument in YAML_WORDS:
                raise ValueError(
                    f"argument {argument} cannot be a config key; write it in lower case, and not"
                    " as a word that YAML reads as a value (on, no, none, ...)"
                )
        return settings

    def _check_class(self, built: Any) -> None:
        """Raises ValueError unless a class has the base and the attributes that its table asks."""
        if self.base is not None and not isinstance(built, type):
            raise ValueError(
                f"a function cannot be one; write a class that derives from {_path(self.base)}"
            )
        if self.base is not None and not issubclass(built, self.base):
            raise ValueError(f"class {built.__name__} must derive from {_path(self.base)}")
        for attribute, mend in self.attributes.items():
            if not hasattr(built, attribute):
                raise ValueError(f"class {built.__name__} lacks '{attribute}'; {mend}")
        for attribute, known in self.values.items():
            if getattr(built, attribute, known) not in (*known, known):
                words = ", ".join(map(repr, known))
                value = getattr(built, attribute)
                raise ValueError(f"{attribute} is {value!r}; it must be one of {words}")

    def _claim(self, name: str, settings: Mapping[str, Setting], place: str) -> None:
        """Keeps the component's keys for it; raises ValueError where one is somebody else's."""
        if self.section is None:
            return
        keys = {name.upper()} if not self.section.flat else set()
        keys |= {self.section.key(name, argument) for argument in settings}
        for key in sorted(keys):
            if key in self.section.own_keys:
                raise ValueError(f"{self.section.name}.{key} is a key of that section; rename it")
            if key in self.section.taken:
                raise ValueError(
                    f"{self.section.name}.{key} belongs to {self.section.taken[key]}; rename one"
                )
        self.section.taken.update(dict.fromkeys(keys, f"the {self.kind} in {place}"))

    def __getitem__(self, name: str) -> T:
        """Returns the component; raises InputError that lists the known names."""
        if name not in self._table:
            raise unknown(self.kind, name, self._table)
        return self._table[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted(self._table)

    def settings(self, name: str) -> dict[str, Setting]:
        """Returns the settings of a component, by argument."""
        return self._settings[name]

    def check_built(self, name: str, component: object) -> None:
        """Raises RegistrationError if what was built lacks an attribute that its users need.

        Args:
            name: Registered name.
            component: What was built.
        """
        for attribute, meaning in self.built.items():
            if not hasattr(component, attribute):
                raise RegistrationError(
                    f"{self._files[name]}: {self.kind} '{name}' lacks the attribute '{attribute}':"
                    f" {meaning}; set it in __init__"
                )

    def file(self, name: str) -> str:
        """Returns the file and the line where a component was registered."""
        return self._files[name]


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def import_submodules(package: str) -> None:
    """Imports every module of ``package`` in sorted order, so that its decorators run.

    Modules whose name begins with ``_`` hold no component and are left out.
    """
    path = importlib.import_module(package).__path__
    for module in sorted(info.name for info in pkgutil.iter_modules(path)):
        if not module.startswith("_"):
            importlib.import_module(f"{package}.{module}")
