"""`assay features`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Feature views: what there is, what is in them, and their YAML.", no_args_is_help=True)

View = Annotated[str, typer.Argument(metavar="VIEW", help="Name of the model.")]


@app.command("list")
def list_views() -> None:
    """List the feature views, with what is built of them."""
    show(lambda project: project.feature_views())


@app.command()
def describe(view: View) -> None:
    """Describe a feature view: columns, derived features, who uses it, and its newest row."""
    show(lambda project: project.feature_view(view))


@app.command("yaml")
def print_yaml(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    write: Annotated[
        bool, typer.Option("--write", help="Put it into the folder's YAML file, in place of what is there.")
    ] = False,
) -> None:
    """Print the complete YAML entry of a model, written from its SQL; nothing needs to be built for that.

    A history becomes a feature view; tables, labels and training sets are described as what they are. Types
    are those of what it reads, descriptions made from the columns' names. What stands in the YAML already,
    descriptions and `feature_view` included, stays as it is; columns that are gone go.
    """
    show(lambda project: project.model_yaml(model, write=write))
