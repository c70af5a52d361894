"""Print what roles may read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.contracts.grants import Grant, Role


def print_roles(
    roles: Sequence[Role], console: Console, *, in_lake: Mapping[tuple[str, str], str] | None = None
) -> None:
    """Print a row for each table of each role.

    Args:
        roles: to print.
        console: to print to.
        in_lake: what the role reads in a lake in Postgres, by role and table; None where there is none.
    """
    if not roles:
        line(console, "No contract of a product has roles: whoever can open the published file reads all.")
        return
    table = table_titled("Roles; what is not listed is not read", is_wide=True)
    for column in ("role", "table"):
        table.add_column(column, no_wrap=True)
    for column in ("columns", "hashed", "masked", "left out", "rows"):
        table.add_column(column, overflow="fold")
    if in_lake is not None:
        table.add_column("in the lake", overflow="fold")
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
                *([in_lake[role.name, grant.table]] if in_lake is not None else []),
            )
    console.print(table)


def _shielded(grant: Grant, shield: str) -> str:
    return ", ".join(name for name, how in grant.shields.items() if how == shield) or "-"
