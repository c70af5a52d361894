"""`assay forget` and `assay retain`: commands import what they need, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show


def forget(
    people: Annotated[
        list[str],
        typer.Argument(metavar="ENTITY=KEY...", help="Who is forgotten: customer=17."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List everything that is kept of the person; change nothing.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="WHY", help="Why, for the run ledger.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Remove a person from landed files, warehouse, publications and training sets, and build anew."""
    if dry_run:
        show(lambda project: project.find_person(*people))
        return
    show(lambda project: project.forget(*people, reason=reason, wait=wait))


def retain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List files and rows, and where they would go; change nothing.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Remove landed rows that are older than contracts keep them; move such files away, or remove them."""
    show(lambda project: project.retain(dry_run=dry_run, wait=wait))
