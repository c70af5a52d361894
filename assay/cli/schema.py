"""`assay schema`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="How files differ from what their sources declare.", no_args_is_help=True)


@app.command("list")
def list_changes() -> None:
    """List all changes: open, accepted and over."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.contracts.accept import changes_on_record, tables_by_name
        from assay.contracts.schema_display import print_changes
        from assay.core.places import find_places

        print_changes(changes_on_record(find_places()), tables_by_name(), console_for_people())


@app.command()
def accept(
    table: Annotated[str, typer.Argument(metavar="SOURCE.TABLE", help="The landing table.")],
    column: Annotated[
        str | None, typer.Argument(metavar="[COLUMN]", help="This one alone.", show_default="all")
    ] = None,
) -> None:
    """Accept what is open of a landing table, by declaring it; the next build goes on with that."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.contracts.accept import accept as accept_changes
        from assay.contracts.schema_display import print_accepted
        from assay.core.places import find_places

        accepted = accept_changes(find_places(), table, column)
        print_accepted(accepted, console_for_people())
        raise typer.Exit(1 if accepted.refused else 0)
