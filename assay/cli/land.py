"""`assay land`: fetch what other systems have, and keep what landed in few files."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Bring data in from databases and APIs, and merge landed files.", no_args_is_help=True)


@app.callback()
def land() -> None:
    """Bring data in from databases and APIs, and merge landed files."""


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


@app.command()
def compact(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell how many files would be merged; change nothing.")
    ] = False,
    least_mb: Annotated[int, typer.Option(help="End a merged file once it has this size.", min=0)] = 128,
    most_mb: Annotated[int, typer.Option(help="Leave larger landed files as they are.", min=1)] = 1024,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Merge landed files that are loaded into large ones, by the days on which they landed."""
    show(
        lambda project: project.compact_landing(
            dry_run=dry_run, least_mb=least_mb, most_mb=most_mb, wait=wait
        )
    )
