"""Name -> component tables, filled by decorators when a package imports its own files."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from reid.utils.errors import unknown

T = TypeVar("T", bound=Callable[..., object])


class Registry(Generic[T]):
    """A table of components of one kind.

    Args:
        kind: What the table holds, for messages ("loss", "backbone").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._table: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that files a component under ``name``; a second one is refused."""

        def file_it(component: T) -> T:
            if name in self._table:
                raise RuntimeError(f"two components of kind {self.kind} are named '{name}'")
            self._table[name] = component
            return component

        return file_it

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


def import_submodules(package: str) -> None:
    """Imports every module of ``package`` in sorted order, so that its decorators run."""
    path = importlib.import_module(package).__path__
    for module in sorted(info.name for info in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{module}")
