"""`assay features`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="Feature views: what there is, what is in them, and their YAML.", no_args_is_help=True)

View = Annotated[str, typer.Argument(metavar="VIEW", help="Name of the model.")]


@app.command("list")
def list_views() -> None:
    """List the feature views, with what is built of them."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.features.display import print_views
        from assay.project.project import Project
        from assay.project.views import feature_views

        project = Project()
        print_views(feature_views(project), project.warehouse, console_for_people())


@app.command()
def describe(view: View) -> None:
    """Describe a feature view: columns, derived features, who uses it, and its newest row."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.features.display import print_view
        from assay.project.project import Project
        from assay.project.views import feature_views, view_named

        project = Project()
        print_view(view_named(view, feature_views(project)), project.warehouse, console_for_people())


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
    with faults_as_messages():
        from assay.core.words import counted
        from assay.features.generate import generate
        from assay.project.project import Project

        written = generate(Project(unfinished=True), model)
        if write:
            typer.echo(f"{written.save()}: {counted(written.columns, 'column')} of {model}")
        else:
            typer.echo(written.entry, nl=False)
