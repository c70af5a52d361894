"""`assay land`: fetch what other systems have."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Bring data in from databases and APIs.", no_args_is_help=True)


@app.callback()
def land() -> None:
    """Bring data in from databases and APIs."""


@app.command()
def dlt(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:SOURCE]",
            help="A source or resource of dlt, or a function that returns one. Without it, all that "
            "contracts name.",
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="S[.T]",
            help="The source, or the one table, that rows land in.",
            show_default="dlt's name",
        ),
    ] = None,
) -> None:
    """Run a source of dlt into the landing zone: what is new in it, each row once."""
    if source is None:
        landed = show(lambda project: project.land_declared([into] if into else []))
    else:
        landed = show(lambda project: project.land_dlt(source, into=into))
    if any(each.error for each in landed):
        raise typer.Exit(1)
