"""`assay runs`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="What builds did, from the run ledger.", no_args_is_help=True)


@app.command("list")
def list_runs() -> None:
    """List every run, newest first."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.ledger.show import print_runs

        print_runs(find_places(), console_for_people())


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or its beginning.")],
) -> None:
    """Show a run: how it ended, what failed with some of the rows, what took long, what grew or shrank."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.ledger.show import print_run

        print_run(find_places(), run_id, console_for_people())
