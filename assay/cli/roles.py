"""`assay roles`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Who may read what of gold, as contracts say.", no_args_is_help=True)


@app.command("list")
def list_roles() -> None:
    """List what each role may read: tables, columns that are hidden, hashed or masked, and which rows."""
    show(lambda project: project.roles.list())


@app.command()
def apply(
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Write the files of roles anew where a contract, the key or what is published has changed."""
    show(lambda project: project.roles.apply(wait=wait))
