"""`assay published`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="What readers have, what they had before, and the way back.", no_args_is_help=True)


@app.command("list")
def list_published() -> None:
    """List the publications that are kept, which one readers have, and which were rolled back."""
    show(lambda project: project.published.list())


@app.command()
def rollback(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its beginning.")],
    reason: Annotated[str, typer.Option(metavar="WHY", help="Why, for the run ledger.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Let readers and the online store go back to what a run published, until a build publishes again."""
    show(lambda project: project.published.rollback(run_id, reason=reason, wait=wait))
