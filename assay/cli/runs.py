"""`assay runs`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="What builds did, from the run ledger.", no_args_is_help=True)


@app.command("list")
def list_runs() -> None:
    """List every run, newest first."""
    show(lambda project: project.runs())


@app.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or its beginning.")],
) -> None:
    """Show a run: how it ended, what failed with some of the rows, what took long, what grew or shrank."""
    show(lambda project: project.run(run_id))
