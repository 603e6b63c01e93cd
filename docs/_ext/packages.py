"""The directive ``package``: the public names of a package, and of its modules.

A part that is dropped into its folder is in the reference without another line.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


def modules_of(package: ModuleType, chosen: str | None) -> list[ModuleType]:
    """Returns the modules of a package that are documented.

    Args:
        package: The package.
        chosen: Names, separated by spaces, or ``all``: those without an underscore in front that
            are no packages; None takes none.
    """
    if chosen is None:
        return []
    names = chosen.split()
    if names == ["all"]:
        found = pkgutil.iter_modules(package.__path__)
        names = sorted(one.name for one in found if not one.ispkg and one.name[0] != "_")
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def own_names(module: ModuleType) -> list[str]:
    """Returns the public functions and classes that a module itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if name[0] != "_"
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    ]


class Package(SphinxDirective):
    """``.. package:: reid.losses``, with the modules of the option ``modules`` below."""

    required_arguments = 1
    option_spec: ClassVar = {"modules": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Makes the automodule directives and parses them."""
        package = importlib.import_module(self.arguments[0])
        exported = set(getattr(package, "__all__", []))
        lines = [f".. automodule:: {package.__name__}", ""]
        for module in modules_of(package, self.options.get("modules")):
            if set(own_names(module)) - exported:
                lines += section(module, exported)
        content = StringList(lines, source=package.__name__)
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, content, node)
        return node.children


def section(module: ModuleType, exported: set[str]) -> list[str]:
    """Returns the lines of a module; what its package exports stands there."""
    return [
        module.__name__,
        "-" * len(module.__name__),
        "",
        f".. automodule:: {module.__name__}",
        f"   :exclude-members: {', '.join(sorted(exported))}" if exported else "",
        "",
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("package", Package)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
