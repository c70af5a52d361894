"""`assay training-set`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.arguments import split_features, split_list, split_shares
from assay.cli.call import show

app = typer.Typer(
    help="Training sets: versions that can be listed, compared, rebuilt to the bit, and exported.",
    no_args_is_help=True,
)


class Format(StrEnum):
    """Formats of exports; named here too, since what writes them takes a while to load."""

    parquet = "parquet"
    csv = "csv"
    jsonl = "jsonl"
    arrow = "arrow"
    tfrecord = "tfrecord"
    npy = "npy"


_VERSION = typer.Argument(
    metavar="VERSION",
    help="A training set, of which the newest; or a version, or as much of its name as no other has.",
)


@app.command("list")
def list_versions() -> None:
    """List all versions, and the training sets that have none."""
    show(lambda project: project.training_sets())


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="trn_<what>, or only what.")],
    label: Annotated[str, typer.Option(metavar="MODEL", help="The label whose outcomes are to be learnt.")],
    features: Annotated[
        str,
        typer.Option(
            metavar="VIEW:FEATURE,...;...",
            help="Features by view, as ftr_a:col1,col2;ftr_b; without any, all.",
        ),
    ],
    split: Annotated[
        str, typer.Option(metavar="SHARE,...", help="After which shares of time training and validation end.")
    ] = "0.6,0.85",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
) -> None:
    """Write a training set: its model, and YAML with types and descriptions."""
    show(
        lambda project: project.add_training_set(
            name,
            label=label,
            features=split_features(features),
            split=split_shares(split),
            dry_run=dry_run,
        )
    )


@app.command("show")
def show_version(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A training set, of which the newest; or a version.")
    ],
) -> None:
    """Tell what is in a version, and what it was made from."""
    show(lambda project: project.training_set(name).card)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A training set.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|SNAPSHOT",
            help="Of what was known then (ISO 8601, UTC): the set is rebuilt for it; or as a lake was in a "
            "snapshot, by number or name.",
        ),
    ] = None,
) -> None:
    """Make a version of a training set; the same content is the same version."""
    show(lambda project: project.create_training_set(name, as_of=as_of))


@app.command()
def export(
    version: Annotated[str, _VERSION],
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    format_name: Annotated[Format, typer.Option("--format", help="The files' format.")] = Format.parquet,
    shards: Annotated[
        int, typer.Option(min=1, max=99_999, help="How many files, for readers side by side.")
    ] = 1,
    split: Annotated[
        str | None, typer.Option(help="Only rows of this split.", show_default="all rows")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Only these columns, in this order, as COLUMN,COLUMN.", show_default="all columns"),
    ] = None,
) -> None:
    """Write a version's rows as files: mixed, and the same bytes every time."""
    show(
        lambda project: project.training_set(version).export(
            out,
            format=format_name.value,
            shards=shards,
            split=split,
            columns=split_list(columns, "--columns") if columns is not None else (),
        )
    )


@app.command()
def log(
    version: Annotated[str, _VERSION],
    mlflow: Annotated[str, typer.Option(metavar="URI", help="MLflow's tracking server.")],
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID", help="The run that trains on it.", show_default="one of the version's name"
        ),
    ] = None,
) -> None:
    """Log a version to MLflow, as a dataset that a run trains on; a second time changes nothing."""
    show(lambda project: project.training_set(version).log(mlflow, run_id=run))


@app.command()
def verify(
    version: Annotated[str, _VERSION],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail as well where a column rests on what has no time: it may leak."),
    ] = False,
) -> None:
    """Build a version again, to the bit, and look for leaks: exit code 1 where it differs, or leaks."""
    if show(lambda project: project.training_set(version).verify(strict=strict)).failed:
        raise typer.Exit(1)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another version of the same set.")],
) -> None:
    """Tell which rows and columns differ between two versions, and why."""
    show(lambda project: project.training_set(before).diff(project.training_set(after)))
