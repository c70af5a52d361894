"""`assay backfill`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Land files of the past, and say from when on they count.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(metavar="SOURCE.TABLE", help="The landing table.")]
Start = Annotated[str, typer.Option("--from", metavar="D", help="First day or moment of the interval (UTC).")]
End = Annotated[str, typer.Option("--to", metavar="D", help="First day or moment behind the interval.")]
Files = Annotated[list[str] | None, typer.Option(metavar="PATH", help="A file that lands; again for each.")]
Available = Annotated[
    str | None,
    typer.Option(
        metavar="event+LAG",
        help="How long after its event a row would have been there: event+0s, event+2h. "
        "Without it, rows count from when they land.",
    ),
]


@app.command()
def plan(source: Source, start: Start, end: End, files: Files = None, available: Available = None) -> None:
    """Print what a backfill will read, write and cost; nothing is written."""
    show(lambda project: project.backfills.plan(source, start, end, files or [], available=available))


@app.command()
def run(
    source: Source,
    start: Start,
    end: End,
    files: Files = None,
    available: Available = None,
    reason: Annotated[str, typer.Option(metavar="WHY", help="Why, for the run ledger.")] = "",
) -> None:
    """Land the files, build, and print what became of their rows; exit code 1 if one of these failed."""
    result = show(
        lambda project: project.backfills.run(
            source, start, end, files or [], available=available, reason=reason
        )
    )
    if result.problems:
        raise typer.Exit(1)
