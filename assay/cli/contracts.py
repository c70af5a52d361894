"""`assay contracts check | sync | diff | adopt`."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import ask, show, show_result

app = typer.Typer(
    help="Contracts of sources and products, in the Open Data Contract Standard.", no_args_is_help=True
)


@app.command()
def check() -> None:
    """Check that contracts, dbt's YAML and the data agree; exit code 1 where they do not."""
    if show(lambda project: project.contracts.check()).found.findings:
        raise typer.Exit(1)


@app.command()
def sync() -> None:
    """Write what contracts ask for into dbt's YAML; a second run changes nothing."""
    if show(lambda project: project.contracts.sync()).found.findings:
        raise typer.Exit(1)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A contract's file, or REVISION:PATH of git.")],
    new: Annotated[str, typer.Argument(help="The same contract later.")],
) -> None:
    """Say what a change of a contract breaks for its readers; exit code 1 where it breaks anything."""
    from assay.api.contracts import compare_contracts

    if any(change.is_breaking for change in show_result(lambda: compare_contracts(old, new))):
        raise typer.Exit(1)


@app.command()
def adopt(
    model: Annotated[str, typer.Argument(help="A model of schema gold.")],
    product: Annotated[str, typer.Option(help="The product it is part of.")],
    owner: Annotated[str | None, typer.Option(help="Who answers for the product, if it is new.")] = None,
) -> None:
    """Begin a model's contract with what its YAML says."""
    path = ask(lambda project: project.contracts.adopt(model, product=product, owner=owner))
    typer.echo(f"{model} is in {path} now. Go over it, then: assay contracts sync")
