"""Captions of the navigation say how deep they are, as WAI-ARIA asks of a heading."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def level_captions(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mends the list of all pages, which the theme has put into the context."""
    tree = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-page-context", level_captions, priority=900)  # behind the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
