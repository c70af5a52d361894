"""Print where the lineage page lies, and what it leaves out."""

from __future__ import annotations

from rich.console import Console

from assay.console.tables import line
from assay.core.words import counted
from assay.lineage.page import Page


def print_page(page: Page, console: Console) -> None:
    """Print which columns are not followed, and where the page lies."""
    for model, why in page.not_followed.items():
        line(console, f"Warning: the columns of {model} are not followed: {why}")
    line(console, f"{counted(page.models, 'model')} in {page.path}: open it in a browser.")
