"""`assay source add`."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="Sources of data.", no_args_is_help=True)


@app.callback()
def sources() -> None:
    """Sources of data: their contracts and models."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="SOURCE.TABLE", help="What it is to be called.")],
    samples: Annotated[
        list[str],
        typer.Argument(
            metavar="SAMPLE...",
            help="CSV, JSON lines, Parquet, a Debezium log, or a table: file.duckdb:schema.table, or "
            "postgresql://user@host:5432/database:schema.table.",
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(help="Columns that tell rows apart, parted by commas; content_hash for none."),
    ] = None,
    event_at: Annotated[str | None, typer.Option(metavar="COLUMN", help="When it happened.")] = None,
    available: Annotated[
        str | None,
        typer.Option(metavar="COLUMN|landed|lag:2s", help="When the warehouse could first use a row."),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the source.")] = None,
    kafka: Annotated[
        str | None,
        typer.Option(metavar="HOST/TOPIC", help="The topic that rows come from: broker:9092/orders."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take what is proposed, and ask nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
    land: Annotated[bool, typer.Option(help="Copy the samples to the landing zone.")] = True,
) -> None:
    """Write a source's contract, models and YAML from a sample; once more, bring them to a newer sample."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.generate.display import ask_person, confirm, print_plan, print_written
        from assay.generate.propose import Answers
        from assay.generate.source import planned_source

        console = console_for_people()
        answers = Answers(
            [part.strip() for part in key.split(",")] if key else None, event_at, available, owner, kafka
        )
        ask = None if yes or dry_run else ask_person
        with planned_source(name, samples, answers, ask=ask, lands=land) as plan:
            print_plan(plan, console, with_difference=dry_run)
            if dry_run or not (plan.files or plan.landing):
                return
            if not yes:
                confirm()
            plan.write()
            print_written(plan, console)
