"""`assay lake`: the commands import what they need, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="A lakehouse, and tables in open formats.", no_args_is_help=True)


class Format(StrEnum):
    """The open formats; named here too, since what writes them takes a while to load."""

    iceberg = "iceberg"
    delta = "delta"


@app.callback()
def lake() -> None:
    """A warehouse in a lake, and tables for tools that know nothing of Assay."""


@app.command()
def export(
    format: Annotated[Format, typer.Option(help="The table's format.")],
    table: Annotated[str, typer.Option(metavar="T", help="A published table.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="PLACE",
            help="A folder for tables, or s3://bucket/prefix; this one's own folder has its name.",
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(help="Whose publication, or the beginning of its id; what readers have now without it."),
    ] = None,
) -> None:
    """Export a published table as a new version of a table of Iceberg or Delta; what is unchanged stays."""
    show(lambda project: project.lake.export(table, to, format=format.value, run=run))


Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")]


@app.command()
def status() -> None:
    """Tell how many files the lake's tables are made of, and which snapshot is the newest."""
    show(lambda project: project.lake.status())


@app.command()
def snapshots() -> None:
    """List the lake's snapshots: what changed, when, and their names."""
    show(lambda project: project.lake.snapshots())


@app.command()
def tag(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the snapshot is to be called.")],
    snapshot: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Of the snapshot.", show_default="the newest")
    ] = None,
    wait: Wait = 0,
) -> None:
    """Give a snapshot a name. It is kept, however old it becomes."""
    show(lambda project: project.lake.tag(name, snapshot=snapshot, wait=wait))


@app.command()
def publish(wait: Wait = 0) -> None:
    """Publish in this folder what the lake's newest build has left that passed, without building."""
    show(lambda project: project.lake.publish(wait=wait))


@app.command()
def compact(wait: Wait = 0) -> None:
    """Merge small files of the lake's tables. No value changes."""
    show(lambda project: project.lake.compact(wait=wait))


@app.command()
def expire(
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE", help="How old a snapshot is at least that is removed, such as 7d or 12h."
        ),
    ],
    wait: Wait = 0,
) -> None:
    """Remove old snapshots and the files that no other has. The newest stays, and those with a name."""
    show(lambda project: project.lake.expire(older_than, wait=wait))
