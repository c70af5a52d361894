"""`assay view`: the command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.arguments import split_list, split_measures
from assay.cli.call import show

app = typer.Typer(help="Feature views: write one.", no_args_is_help=True)


@app.callback()
def views() -> None:
    """Feature views: their models and YAML. `assay features` lists and describes them."""


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="ftr_<entity>__<what>, or only what it is about.")
    ],
    model: Annotated[
        str,
        typer.Option("--from", metavar="MODEL", help="The model of silver or gold whose rows are events."),
    ],
    entity: Annotated[str, typer.Option(metavar="KEY,...", help="Columns that name the entity.")],
    measures: Annotated[
        str,
        typer.Option(
            metavar="COLUMN:AGGREGATE,...;...", help="What is made of columns, as amount:sum,avg;*:count."
        ),
    ],
    windows: Annotated[
        str, typer.Option(metavar="LENGTH,...", help="Lengths of time such as 1h,7d, or all.")
    ],
    event_at: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When it happened.", show_default="event_at")
    ] = None,
    available_at: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When it was known.", show_default="available_at")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="Serve it online.")] = False,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
) -> None:
    """Write a feature view: its model, and YAML with types and descriptions; nothing needs to be built."""
    show(
        lambda project: project.add_view(
            name,
            model=model,
            entity=split_list(entity, "--entity"),
            measures=split_measures(measures),
            windows=split_list(windows, "--windows"),
            event_at=event_at,
            available_at=available_at,
            online=online,
            owner=owner,
            dry_run=dry_run,
        )
    )
