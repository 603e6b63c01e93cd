"""How Sphinx makes the site of these documents; ``scripts/docs.sh`` calls it.

The repository itself is the source folder: its Markdown files are pages where they lie, so that a
relative link between them works here as it does on any git host.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]

import reid  # noqa: E402  the package beside these documents, not an installed one

project = "reid"
author = "the reid authors"
copyright = author
release = version = reid.__version__

extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sources",  # docs/_ext: links to files that are no pages, and to code
    "accessible",  # docs/_ext: what the theme leaves to us
    "packages",  # docs/_ext: the pages of the reference
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "configs/**/README.md",
    "configs/README.md",
    "datasets/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
]
exclude_patterns = [
    "docs/contents.md",
    "docs/results",  # tables that stand in the record
    *(".*", "outputs", "build", "dist", "reid", "datasets/*/**"),
]

nb_execution_mode = "off"  # the tests execute the notebooks
myst_heading_anchors = 4

napoleon_use_ivar = True  # attributes are named once, not an entry each
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"

nitpicky = True
# Types of other projects: their documents lie on other hosts, and a build asks none.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|torchvision|numpy|np|PIL|matplotlib|scipy|yacs|qdrant_client|faiss)(\..*)?"),
    # The standard library's, and names that it has for types only.
    ("py:.*", r"(collections|pathlib|os|logging|typing|contextlib|argparse|multiprocessing)\..*"),
]

html_theme = "furo"
html_title = f"reid {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]
