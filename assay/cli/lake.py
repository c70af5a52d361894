"""`assay lake`: the commands import what they need, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="A lakehouse, and tables in open formats.", no_args_is_help=True)


class Format(StrEnum):
    """The open formats; named here too, since what writes them takes a while to load."""

    iceberg = "iceberg"
    delta = "delta"


@app.callback()
def lake() -> None:
    """Tables for tools that know nothing of Assay."""


@app.command()
def export(
    format: Annotated[Format, typer.Option(help="The table's format.")],
    table: Annotated[str, typer.Option(metavar="T", help="A published table.")],
    to: Annotated[
        Path, typer.Option(metavar="PLACE", help="A folder for tables; this one's own folder has its name.")
    ],
    run: Annotated[
        str | None,
        typer.Option(help="Whose publication, or the beginning of its id; what readers have now without it."),
    ] = None,
) -> None:
    """Export a published table as a new version of a table of Iceberg or Delta; what is unchanged stays."""
    show(lambda project: project.lake.export(table, to, format=format.value, run=run))
