"""`assay keys`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import ask, show

app = typer.Typer(help="API keys of the feature server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]


@app.command()
def create(
    name: Name,
    views: Annotated[
        str | None, typer.Option(metavar="VIEW,...", help="The feature views it may read; * for all.")
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="MODEL,...", help="The models whose predictions it may log; * for all."),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(metavar="SOURCE,...", help="The sources whose documents it may search; * for all."),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option(
            metavar="TAG,...", help="Of which a document must have one.", show_default="all documents"
        ),
    ] = None,
    experiments: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="The experiments it may assign entities to; * for all."),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role", metavar="ROLE", help="Whose rights it has, as contracts say.", show_default="all rights"
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="From when on it is invalid (ISO 8601, UTC).", show_default="never"
        ),
    ] = None,
) -> None:
    """Make a key, and print it: it is shown this once, and kept as a hash."""
    views_, models, sources_, tags_, experiments_ = (
        None if each is None else [part.strip() for part in each.split(",") if part.strip()]
        for each in (views, predictions, sources, tags, experiments)
    )
    typer.echo(
        ask(
            lambda project: project.keys.create(
                name,
                views=views_,
                predictions=models,
                sources=sources_,
                tags=tags_,
                experiments=experiments_,
                role=role,
                expires=expires,
            )
        )
    )
    typer.echo("It is shown this once. To use it, send the header Authorization: Bearer KEY.", err=True)


@app.command("list")
def list_keys() -> None:
    """List the keys, what they are for, and whether they are valid."""
    show(lambda project: project.keys.list())


@app.command()
def revoke(name: Name) -> None:
    """Make a key invalid, at once for every server."""
    ask(lambda project: project.keys.revoke(name))
    typer.echo(f"The key of {name} is revoked.")
