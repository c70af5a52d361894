"""Print what roles may read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.contracts.grants import Grant, Role


def print_roles(roles: Sequence[Role], console: Console, *, in_lake: bool = False) -> None:
    """Print a row for each table of each role; `in_lake` tells also which it reads in a lake in Postgres."""
    if not roles:
        line(console, "No contract of a product has roles: whoever can open the published file reads all.")
        return
    table = table_titled("Roles; what is not listed is not read", is_wide=True)
    for column in ("role", "table"):
        table.add_column(column, no_wrap=True)
    for column in ("columns", "hashed", "masked", "left out", "rows"):
        table.add_column(column, overflow="fold")
    if in_lake:
        table.add_column("in the lake", no_wrap=True)
    for role in roles:
        for grant in role.grants:
            table.add_row(
                role.name,
                grant.table,
                ", ".join(name for name in grant.columns if name not in grant.shields) or "-",
                _shielded(grant, "hash"),
                _shielded(grant, "mask"),
                ", ".join(grant.left_out) or "-",
                grant.rows or "all",
                *(["reads" if grant.is_whole else "its file only"] if in_lake else []),
            )
    console.print(table)


def _shielded(grant: Grant, shield: str) -> str:
    return ", ".join(name for name, how in grant.shields.items() if how == shield) or "-"
