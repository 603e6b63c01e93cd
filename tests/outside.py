"""Parts from outside the package, in the process of the tests, and in no table afterwards."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reid.config.defaults import TABLES
from reid.utils.part_files import module_name


@contextmanager
def forgotten(files: Iterable[Path]) -> Iterator[None]:
    """What IMPORTS registers within is in the tables until the end; ``files`` can come again."""
    with pytest.MonkeyPatch.context() as patch:
        for table in TABLES:
            for name in ("_table", "_settings", "_files"):
                patch.setattr(table, name, dict(getattr(table, name)))
            if table.section is not None:
                patch.setattr(table.section, "taken", dict(table.section.taken))
        yield
    for file in files:
        sys.modules.pop(module_name(str(file)), None)
