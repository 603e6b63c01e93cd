"""Files of a user's own parts as modules that can be imported by their name alone.

A loader's worker that was not forked (on Windows and macOS none is) unpickles its data set and its
augmentations, and imports the module of each class by name. So the name tells the file.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "reid_imports"  # files become modules below this name, so that they shadow nothing
_PREFIX = f"{PACKAGE}.file_"


def module_name(path: str) -> str:
    """Returns the name of the module of a file.

    Args:
        path: Absolute path of the file.
    """
    return _PREFIX + path.encode(errors="surrogateescape").hex()


class _Finder:
    """Finds the modules of :func:`module_name`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == PACKAGE:
            return ModuleSpec(PACKAGE, None, is_package=True)
        if not name.startswith(_PREFIX):
            return None
        file = bytes.fromhex(name.removeprefix(_PREFIX)).decode(errors="surrogateescape")
        return importlib.util.spec_from_file_location(name, file)


sys.meta_path.append(_Finder)
