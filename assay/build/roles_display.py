"""Print which files of roles were written."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.build.roles import RoleFile
from assay.console.tables import line, table_titled
from assay.core.words import listed


def print_role_files(files: Sequence[RoleFile], console: Console) -> None:
    """Print the file of each role, and what it may read that is not published."""
    if not files:
        line(console, "No contract of a product has roles, so there are no files of roles.")
        return
    table = table_titled("Files of roles", is_wide=True)
    table.add_column("role", no_wrap=True)
    for name in ("tables", "rows"):
        table.add_column(name, justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("file", overflow="fold")
    for each in files:
        state = "written" if each.is_new else "up to date"
        table.add_row(each.role, f"{each.tables:,}", f"{each.rows:,}", state, str(each.path))
    console.print(table)
    for each in files:
        if each.missing:
            line(console, f"Not published, and so not in the file of {each.role}: {listed(each.missing)}")
