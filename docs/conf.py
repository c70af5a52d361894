"""How Sphinx makes the site of these guides: `make site`. It asks nothing of any network."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from generated import commands_reference, front_page, link_pages, macros_reference, python_reference

project = "Assay"
copyright = "the Assay authors"
html_title = "Assay"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_heading_anchors = 4
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
# Jinja in SQL and comments in JSON are no SQL and JSON to the highlighter; blocks are shown all the same.
suppress_warnings = ["misc.highlighting_failure"]

_GENERATED = {
    "reference/commands": commands_reference,
    "reference/macros": macros_reference,
    "reference/python": python_reference,
}


# In a clone, what follows says where the reference is.
PLACE = "<!-- generated below -->"


def _complete_page(_: Sphinx, page: str, content: list[str]) -> None:
    """Put what is generated onto the pages that introduce it."""
    if page == "index":
        content[0] = front_page() + content[0]
    if page == "decisions":
        content[0] = (Path(__file__).parents[1] / "DECISIONS.md").read_text()
    if page in _GENERATED:
        content[0] = content[0].partition(PLACE)[0] + _GENERATED[page]()
    content[0] = link_pages(content[0])


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", _complete_page)
