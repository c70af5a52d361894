"""HTML of pages that need no network, and how they are put in place."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from assay.core.disk import put_in_place
from assay.core.words import counted, moment


def environment(*packages: str) -> Environment:
    """Return what renders templates: those of these packages first, then those of the report.

    What is told is text in a page, whatever it holds.
    """
    found = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "assay.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"moment": moment, "counted": counted}
    return found


def replace_page(path: Path, text: str) -> Path:
    """Write a file in one step: who has it open sees the old one or the new one."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    return put_in_place(new, path)
