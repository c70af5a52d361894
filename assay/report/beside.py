"""Other pages of the project: copied beside a page that may be moved or sent, or linked where they lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote


def copy_beside(page: Path, copy: Path) -> bool:
    """Keep a page beside another, and tell whether it is there; an old copy would mislead, so it goes."""
    if not page.is_file():
        copy.unlink(missing_ok=True)
        return False
    shutil.copyfile(page, copy)
    return True


def link_between(folder: Path, page: Path) -> str:
    """Return the address of a page as seen from a folder; empty if there is no such page."""
    return quote(os.path.relpath(page, folder).replace(os.sep, "/")) if page.is_file() else ""
