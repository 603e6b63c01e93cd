"""Links to what is no page: files and folders of the repository, and code that has no entry.

A linked text file gets a page with its text, a linked folder one with a list. Each entry of the
reference is linked to its lines. A name of the package in a docstring that has no entry is linked
to its lines, too; a name that does not exist is a warning, as any missing link is.
"""

import importlib
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

LANGUAGES = {
    "": "text", ".cff": "yaml", ".cfg": "ini", ".md": "markdown", ".py": "python",
    ".sh": "bash", ".toml": "toml", ".txt": "text", ".yml": "yaml",
}  # fmt: skip
IGNORED = {"__pycache__"}
ROOT = Path(__file__).parents[2]


def is_shown(path: Path) -> bool:
    """Whether a file or folder gets a page; other files, such as pictures, are downloads."""
    return path.is_dir() or (path.is_file() and path.suffix in LANGUAGES)


def page_of(env: BuildEnvironment, path: Path) -> str:
    """Returns the name of the page of a file or folder, without .html."""
    name = env.path2doc(str(path))
    if name in env.found_docs:
        return name
    here = place_of(env, path)
    return f"files/{here}/index" if path.is_dir() else f"files/{here}"


def place_of(env: BuildEnvironment, path: Path) -> str:
    """Returns the path of a file as seen from the documents, or from the repository."""
    base = env.srcdir if path.is_relative_to(env.srcdir) else ROOT
    return path.relative_to(base).as_posix()


def mark_links(app: Sphinx, doctree: nodes.document) -> None:
    """Takes links to files and folders away from those who download the one and miss the other."""
    for node in list(doctree.findall(_is_link)):
        _, full = app.env.relfn2path(node["reftarget"], node["refdoc"])
        path = Path(os.path.normpath(full))
        if is_shown(path):
            link = _link(str(path), node["refdoc"])
            link += node.children
            node.replace_self(link)


def _is_link(node: nodes.Node) -> bool:
    if isinstance(node, addnodes.download_reference):
        return "://" not in node["reftarget"]
    is_myst = isinstance(node, addnodes.pending_xref) and node["reftype"] == "myst"
    return is_myst and not node.get("refdomain")


def _link(path: str, document: str, line: int | None = None) -> addnodes.pending_xref:
    return addnodes.pending_xref(
        "", refdomain="", reftype="source", reftarget=path, refdoc=document, refline=line,
        refexplicit=True, refwarn=True,
    )  # fmt: skip


def add_source_links(app: Sphinx, doctree: nodes.document) -> None:
    """Puts a link to its lines at each entry of the reference."""
    for signature in doctree.findall(addnodes.desc_signature):
        if not signature.get("module") or not signature.get("fullname"):
            continue
        place = find_code(f"{signature['module']}.{signature['fullname']}")
        if place is not None:
            link = _link(str(place[0]), app.env.docname, place[1])
            link += nodes.inline("", "[source]", classes=["viewcode-link"])
            signature.insert(0, link)  # the style puts it to the right


def find_code(name: str) -> tuple[Path, int | None] | None:
    """Returns file and line of what a dotted name of the package names, if it names anything."""
    module, parts = _module_of(name)
    if module is None:
        return None
    found: Any = module
    for part in parts:
        if not hasattr(found, part):
            return None
        found = getattr(found, part)
    # What a package passes on lies in the module that it comes from.
    home = getattr(found, "__module__", None)
    if parts and isinstance(home, str) and home.startswith("reid."):
        module = importlib.import_module(home)
        parts = getattr(found, "__qualname__", ".".join(parts)).split(".")
    return Path(str(module.__file__)), _line(module, ".".join(parts))


def _module_of(name: str) -> tuple[ModuleType | None, list[str]]:
    parts = name.split(".")
    if parts[0] != "reid":
        return None, parts
    for count in range(len(parts), 0, -1):
        try:
            return importlib.import_module(".".join(parts[:count])), parts[count:]
        except ModuleNotFoundError:
            continue
    return None, parts


def _line(module: ModuleType, name: str) -> int | None:
    try:
        tags = ModuleAnalyzer.for_module(module.__name__).find_tags()
    except PycodeError:
        return None
    return tags[name][1] if name in tags else None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node
) -> nodes.Node | None:
    """Resolves links to files, and names of the package that Sphinx does not find."""
    if node["reftype"] == "source":
        return _to_page(app, node, content, Path(node["reftarget"]), node["refline"])
    if node.get("refdomain") != "py":
        return None
    for name in _candidates(env, node):
        entry = _entry(env, name)
        if entry is not None:
            uri = app.builder.get_relative_uri(node["refdoc"], entry[0])
            return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{entry[1]}")
        place = find_code(name)
        if place is not None:
            return _to_page(app, node, content, *place)
    return None


def _candidates(env: BuildEnvironment, node: addnodes.pending_xref) -> Iterator[str]:
    """Yields what a name may stand for.

    It is seen from the module whose docstring has it, which need not be the module that passes the
    entry on, and from what is around that. Without such a module it is the only entry of the name.
    """
    name = node["reftarget"].lstrip(".")
    yield name
    _, _, scope = (node.source or "").partition(":docstring of ")
    scope = scope or node.get("py:module") or ""
    while scope:
        yield f"{scope}.{name}"
        scope = scope.rpartition(".")[0]
    ending = f".{name}"
    entries = [one for one in env.domains["py"].objects if one.endswith(ending)]
    if len(entries) == 1:
        yield entries[0]


def _entry(env: BuildEnvironment, name: str) -> tuple[str, str] | None:
    """Returns page and anchor of a name, or of what a package passes on under the same name."""
    objects = env.domains["py"].objects
    scope, _, last = name.rpartition(".")
    while scope:
        found = objects.get(f"{scope}.{last}")
        if found is not None:
            return found.docname, found.node_id
        scope = scope.rpartition(".")[0]
    return None


def _to_page(
    app: Sphinx, node: addnodes.pending_xref, content: nodes.Node, path: Path, line: int | None
) -> nodes.reference:
    page = page_of(app.env, path)
    if page not in app.env.found_docs:
        _wanted(app).add(path)
    uri = app.builder.get_relative_uri(node["refdoc"], page)
    anchor = f"#L-{line}" if line else ""
    return nodes.reference("", "", content, internal=True, refuri=uri + anchor)


def _wanted(app: Sphinx) -> set[Path]:
    """The files and folders that pages of this build link to."""
    if not hasattr(app, "linked_sources"):
        app.linked_sources = set()
    return app.linked_sources


def make_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yields a page for each linked file and folder, and for what lies in such a folder."""
    waiting, done = sorted(_wanted(app)), set()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        page = page_of(app.env, path)
        title = place_of(app.env, path)
        if path.is_dir():
            inside = [one for one in sorted(path.iterdir()) if one.name not in IGNORED]
            waiting += [one for one in inside if is_shown(one) and _is_file_page(app, one)]
            body = _list(app, page, inside)
        else:
            body = _text(app, path)
        yield page, {"title": title, "body": f"<h1>{escape(title)}</h1>\n{body}"}, "page.html"


def _is_file_page(app: Sphinx, path: Path) -> bool:
    return page_of(app.env, path) not in app.env.found_docs


def _list(app: Sphinx, page: str, inside: list[Path]) -> str:
    lines = []
    for path in inside:
        name = escape(path.name)
        if is_shown(path):
            uri = app.builder.get_relative_uri(page, page_of(app.env, path))
            name = f'<a href="{quote(uri)}">{name}</a>'
        lines.append(f"<li>{name}</li>")
    return "<ul>\n" + "\n".join(lines) + "\n</ul>"


def _text(app: Sphinx, path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    highlighter = app.builder.highlighter
    return highlighter.highlight_block(text, LANGUAGES[path.suffix], linespans="L", force=True)


def leave_out_navigation(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Spares the pages of files the list of all pages, which takes most of the time of a build."""
    if page.startswith("files/"):
        context["toctree"] = lambda **_: ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("doctree-read", mark_links, priority=400)  # before downloads are collected
    app.connect("doctree-read", add_source_links)
    app.connect("missing-reference", resolve)
    app.connect("html-collect-pages", make_pages)
    app.connect("html-page-context", leave_out_navigation, priority=400)  # before the theme's
    return {"parallel_read_safe": True, "parallel_write_safe": False}
