"""`assay source add`: the questions of a command that people answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.call import ask
from assay.core.fault import MISUSED, Fault

if TYPE_CHECKING:
    from assay.api.project import Project
    from assay.api.results import Choice, SourceChanges

_QUESTIONS = {
    "key": "Which columns tell rows apart (parted by commas, or content_hash)",
    "event time": "Which column says when it happened",
    "availability": "When could the warehouse first use a row: landed, lag:2s, or a column",
    "owner": "Who answers for the source",
}

app = typer.Typer(help="Sources of data.", no_args_is_help=True)


@app.callback()
def sources() -> None:
    """Sources of data: their contracts and models."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="SOURCE.TABLE", help="What it is to be called.")],
    samples: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SAMPLE...]",
            help="CSV, JSON lines, Parquet, a Debezium log, or a table: file.duckdb:schema.table, or "
            "postgresql://user@host:5432/database:schema.table. Without any, what --kafka "
            "or --dlt has.",
        ),
    ] = None,
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
    dlt: Annotated[
        str | None,
        typer.Option(metavar="MODULE:SOURCE", help="The source of dlt that rows come from: shop_api:orders."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take what is proposed, and ask nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
    land: Annotated[bool, typer.Option(help="Copy the samples to the landing zone.")] = True,
) -> None:
    """Write a source's contract, models and YAML from a sample; once more, bring them to a newer sample."""

    def write(project: Project) -> None:
        def agree(proposed: SourceChanges) -> bool:
            proposed.print_proposal(project.console)
            return yes or _confirm()

        changes = project.add_source(
            name,
            samples or [],
            key=[part.strip() for part in key.split(",")] if key else None,
            event_at=event_at,
            available=available,
            owner=owner,
            kafka=kafka,
            dlt=dlt,
            land=land,
            dry_run=dry_run,
            ask=None if yes or dry_run else _ask_person,
            agree=agree,
        )
        if changes.is_written:
            changes.print_outcome(project.console)
        else:
            changes.print(project.console)

    ask(write)


def _ask_person(name: str, choice: Choice) -> str:
    """Ask for what a sample cannot tell.

    Raises:
        Fault: nobody is there to answer.
    """
    also = f" (or {', '.join(choice.others)})" if choice.others else ""
    typer.echo(f"{name.capitalize()}: {choice.value}{also}. {choice.evidence}.")
    try:
        return str(typer.prompt(_QUESTIONS[name], default=choice.value))
    except typer.Abort as error:
        raise _nobody() from error


def _confirm() -> bool:
    """Ask whether to write what was shown.

    Raises:
        Fault: it is not to be written, or nobody is there to answer.
    """
    try:
        is_agreed = typer.confirm("Write this?", default=True)
    except typer.Abort as error:
        raise _nobody() from error
    if not is_agreed:
        raise Fault("Nothing was written.", MISUSED)
    return True


def _nobody() -> Fault:
    return Fault(
        "Nothing was written, as nobody answered: "
        "say --yes to take what is proposed, or --dry-run to see it.",
        MISUSED,
    )
