"""`assay contracts check | sync | diff | adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(
    help="Contracts of sources and products, in the Open Data Contract Standard.", no_args_is_help=True
)


@app.command()
def check() -> None:
    """Check that contracts, dbt's YAML and the data agree; exit code 1 where they do not."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.contracts.check import check_project
        from assay.contracts.display import print_check

        checked = check_project()
        print_check(checked, console_for_people())
        raise typer.Exit(1 if checked.findings else 0)


@app.command()
def sync() -> None:
    """Write what contracts ask for into dbt's YAML; a second run changes nothing."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.contracts.check import sync_project
        from assay.contracts.display import print_sync

        synced = sync_project()
        print_sync(synced, console_for_people())
        raise typer.Exit(1 if synced.findings else 0)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A contract's file, or REVISION:PATH of git.")],
    new: Annotated[str, typer.Argument(help="The same contract later.")],
) -> None:
    """Say what a change of a contract breaks for its readers; exit code 1 where it breaks anything."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.contracts.diff import compare, load
        from assay.contracts.display import print_diff

        changes = compare(load(old), load(new))
        print_diff(changes, console_for_people())
        raise typer.Exit(1 if any(change.is_breaking for change in changes) else 0)


@app.command()
def adopt(
    model: Annotated[str, typer.Argument(help="A model of schema gold.")],
    product: Annotated[str, typer.Option(help="The product it is part of.")],
    owner: Annotated[str | None, typer.Option(help="Who answers for the product, if it is new.")] = None,
) -> None:
    """Begin a model's contract with what its YAML says."""
    with faults_as_messages():
        from assay.contracts.adopt import adopt as adopt_model
        from assay.project.project import Project

        path: Path = adopt_model(Project(), model, product, owner)
        typer.echo(f"{model} is in {path} now. Go over it, then: assay contracts sync")
