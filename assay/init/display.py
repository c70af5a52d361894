"""Print what was written of a new project, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from assay.console.tables import line
from assay.core.words import counted


def print_new_project(
    files: Sequence[Path], console: Console, *, folder: Path, example: str, is_here: bool
) -> None:
    """Print how many files a new project has, and the next commands.

    Args:
        files: that were written.
        console: the console to print on.
        folder: of the project.
        example: that it has.
        is_here: whether the folder is the current one.
    """
    line(console, f"{folder} is a dbt project now: {counted(len(files), 'file')}.")
    line(console, "\nNext")
    if not is_here:
        line(console, f"  cd {folder}")
    first = "assay demo" if example == "retail" else "assay source add SOURCE.TABLE SAMPLE"
    line(console, f"  {first}\n  assay build")
