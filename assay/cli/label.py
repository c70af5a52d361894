"""`assay label`: the command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.arguments import split_list
from assay.cli.call import show

app = typer.Typer(help="Labels: write one.", no_args_is_help=True)


@app.callback()
def labels() -> None:
    """Labels: outcomes that models are to predict."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="lbl_<what>, or only what.")],
    spine: Annotated[
        str, typer.Option(metavar="MODEL", help="The model whose rows predictions are made for.")
    ],
    key: Annotated[
        str,
        typer.Option(metavar="KEY,...", help="Columns that name the entity; with the time they name a row."),
    ],
    prediction_at: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="When a prediction is asked for; not before the row is known.",
            show_default="available_at",
        ),
    ] = None,
    outcome_from: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model whose rows are what may happen.")
    ] = None,
    outcome_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,...", help="What that model calls the columns of --key.", show_default="--key"
        ),
    ] = None,
    outcome_at: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When it happened.", show_default="event_at")
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="How long after the prediction it may happen: 30d.")
    ] = None,
    absent: Annotated[bool, typer.Option("--absent", help="The outcome is that nothing happens.")] = False,
    outcome: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The spine's column that is the outcome, and known later."),
    ] = None,
    known_after: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="How long after the prediction the outcome is known.",
            show_default="the window and a day",
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Which rows may happen, or predictions are made for.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
) -> None:
    """Write a label: what happens within a time after the prediction, or a column that is known later."""
    show(
        lambda project: project.add_label(
            name,
            spine=spine,
            key=split_list(key, "--key"),
            prediction_at=prediction_at,
            outcome_from=outcome_from,
            outcome_key=split_list(outcome_key, "--outcome-key") if outcome_key else None,
            outcome_at=outcome_at,
            window=window,
            absent=absent,
            outcome=outcome,
            known_after=known_after,
            where=where,
            dry_run=dry_run,
        )
    )
