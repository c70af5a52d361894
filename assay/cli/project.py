"""Commands about the project as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assay.console.messages import faults_as_messages


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder, or one without a dbt project.")
    ],
    example: Annotated[
        str, typer.Option(help="retail: with the models of an invented retailer; none: empty.")
    ] = "none",
) -> None:
    """Write a dbt project of your own, on which `assay build` works at once."""
    with faults_as_messages():
        from assay.console.tables import console_for_people, line
        from assay.core.words import counted
        from assay.init.project import init_project

        files = init_project(folder, example)
        console = console_for_people()
        line(console, f"{folder} is a dbt project now: {counted(len(files), 'file')}.")
        line(console, "\nNext")
        if folder.absolute() != Path.cwd():
            line(console, f"  cd {folder}")
        first = "assay demo" if example == "retail" else "assay source add SOURCE.TABLE SAMPLE"
        line(console, f"  {first}\n  assay build")


def deps() -> None:
    """Make dbt's packages ready: link the installed Assay, and fetch dbt-expectations."""
    with faults_as_messages():
        from assay.core.places import require_project
        from assay.project.packages import make_packages_ready

        require_project()
        make_packages_ready()


def docs() -> None:
    """Write dbt's documentation, one HTML file: every table, column and test, with the graph."""
    with faults_as_messages():
        from assay.console.progress import display_on
        from assay.console.tables import console_for_people, line
        from assay.core.places import find_places
        from assay.project.docs import write_docs

        console = console_for_people()
        with display_on(console) as display:
            page = write_docs(find_places(), display)
        line(console, f"Open {page} in a browser.")


def doctor() -> None:
    """Look whether all is well: environment, project, warehouse, store, disk, clock; exit code 1 if not."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.doctor.checks import run_checks
        from assay.doctor.display import print_checks

        found = print_checks(run_checks(find_places()), console_for_people())
    if any(check.state == "problem" for check in found):
        raise typer.Exit(1)


def upgrade() -> None:
    """Bring ledger, landing tables and packages to the structure of the installed version."""
    with faults_as_messages():
        from assay.console.tables import console_for_people, line
        from assay.core.places import find_places
        from assay.doctor.upgrade import upgrade as bring_up_to_date

        console = console_for_people()
        changes = 0
        for change in bring_up_to_date(find_places()):
            changes += 1
            line(console, change)
        if not changes:
            line(console, "Nothing to change: all is of the installed version.")
