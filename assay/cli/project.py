"""Commands about the project as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import ask, show, show_result, tell_where


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder, or one without a dbt project.")
    ],
    example: Annotated[
        str, typer.Option(help="retail: with the models of an invented retailer; none: empty.")
    ] = "none",
) -> None:
    """Write a dbt project of your own, on which `assay build` works at once."""
    from assay.api.new_project import create_project

    show_result(lambda: create_project(folder, example=example))


def deps() -> None:
    """Make dbt's packages ready: link the installed Assay, and fetch dbt-expectations."""
    ask(lambda project: project.install_packages())


def docs() -> None:
    """Write dbt's documentation, one HTML file: every table, column and test, with the graph."""
    tell_where(ask(lambda project: project.docs()))


def doctor() -> None:
    """Look whether all is well: environment, project, warehouse, store, disk, clock; exit code 1 if not."""
    if any(check.state == "problem" for check in show(lambda project: project.doctor())):
        raise typer.Exit(1)


def upgrade() -> None:
    """Bring ledger, landing tables and packages to the structure of the installed version."""
    show(lambda project: project.upgrade())
