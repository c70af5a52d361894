"""`assay schema`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="How files differ from what their sources declare.", no_args_is_help=True)


@app.command("list")
def list_changes() -> None:
    """List all changes: open, accepted and over."""
    show(lambda project: project.schema_changes())


@app.command()
def accept(
    table: Annotated[str, typer.Argument(metavar="SOURCE.TABLE", help="The landing table.")],
    column: Annotated[
        str | None, typer.Argument(metavar="[COLUMN]", help="This one alone.", show_default="all")
    ] = None,
) -> None:
    """Accept what is open of a landing table, by declaring it; the next build goes on with that."""
    if show(lambda project: project.accept_schema_changes(table, column)).found.refused:
        raise typer.Exit(1)
