"""`assay documents`: take documents into a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import show
from assay.core.fault import MISUSED

app = typer.Typer(help="Documents, for search and for language models.", no_args_is_help=True)


@app.callback()
def documents() -> None:
    """Documents, for search and for language models."""


@app.command()
def add(
    owner: Annotated[
        str | None, typer.Option(help="Who answers for the documents.", show_default="who runs this")
    ] = None,
) -> None:
    """Write the models and contracts that load documents, cut them into chunks and embed them."""
    show(lambda project: project.add_documents(owner=owner))


@app.command()
def land(
    folder: Annotated[Path, typer.Argument(help="With Markdown, text, HTML and PDF, at any depth.")],
    source: Annotated[
        str,
        typer.Option(metavar="NAME", help="What the documents are part of, such as handbook."),
    ],
) -> None:
    """Land a folder of documents: what is new in it, has changed or is gone."""
    show(lambda project: project.land_documents(folder, source=source))


@app.command()
def delete(
    document_ids: Annotated[
        list[str],
        typer.Argument(metavar="DOCUMENT_ID...", help="As search prints them, such as handbook/returns.md."),
    ],
) -> None:
    """Delete documents: searches hide them at once, and the next build publishes without them."""
    deleted = show(lambda project: project.delete_documents(document_ids))
    if any(each.deletion == "unknown" for each in deleted):
        raise typer.Exit(MISUSED)
