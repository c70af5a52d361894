"""`assay training-set`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

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


_VERSION = typer.Argument(metavar="VERSION", help="A version, or as much of its name as no other has.")


@app.command("list")
def list_versions() -> None:
    """List all versions, and the training sets that have none."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.training.display import print_list
        from assay.training.source import published_sets
        from assay.training.store import VersionStore

        places = find_places()
        versions = VersionStore(places).versions()
        print_list(versions, published_sets(places), console_for_people())


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
    with faults_as_messages():
        from assay.api.project import open_project
        from assay.console.tables import console_for_people
        from assay.generate.training_set import features_in, shares_in

        changes = open_project().add_training_set(
            name, label=label, features=features_in(features), split=shares_in(split), dry_run=dry_run
        )
        changes.print(console_for_people())


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A training set, of which the newest; or a version.")
    ],
) -> None:
    """Tell what is in a version, and what it was made from."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.training.display import print_version
        from assay.training.source import published_sets
        from assay.training.store import VersionStore

        places = find_places()
        store = VersionStore(places)
        version = store.find(name) if "@" in name else store.newest(name, published_sets(places))
        print_version(version, console_for_people())


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A training set.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Of what was known then (ISO 8601, UTC): the set is rebuilt for it."
        ),
    ] = None,
) -> None:
    """Make a version of a training set; the same content is the same version."""
    with faults_as_messages():
        from assay.console.progress import display_on
        from assay.console.tables import console_for_people
        from assay.core.moment import parse_moment
        from assay.training.create import create as create_version
        from assay.training.display import print_created

        console = console_for_people()
        with display_on(console) as display:
            version, is_new = create_version(
                name, parse_moment(as_of) if as_of is not None else None, display
            )
        print_created(version, is_new, console)


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
) -> None:
    """Write a version's rows as files: mixed, and the same bytes every time."""
    with faults_as_messages():
        from assay.console.progress import display_on
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.training.display import print_exported
        from assay.training.export import export as export_version
        from assay.training.store import VersionStore

        found = VersionStore(find_places()).find(version)
        console = console_for_people()
        with display_on(console) as display:
            written = export_version(found, format_name.value, shards, out, split, display)
        print_exported(found, format_name.value, written, out, console)


@app.command()
def verify(
    version: Annotated[str, _VERSION],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail as well where a column rests on what has no time: it may leak."),
    ] = False,
) -> None:
    """Build a version again, to the bit, and look for leaks: exit code 1 where it differs, or leaks."""
    with faults_as_messages():
        from assay.console.progress import display_on
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.training.display import print_verified
        from assay.training.store import VersionStore
        from assay.training.verify import verify as verify_version

        places = find_places()
        found = VersionStore(places).find(version)
        console = console_for_people()
        with display_on(console) as display:
            verification = verify_version(found, places, display)
        print_verified(found, verification, console, strict=strict)
    if verification.has_failed or (strict and not verification.is_proven):
        raise typer.Exit(1)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another version of the same set.")],
) -> None:
    """Tell which rows and columns differ between two versions, and why."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.training.diff import diff as difference
        from assay.training.display import print_diff
        from assay.training.store import VersionStore

        store = VersionStore(find_places())
        old, new = store.find(before), store.find(after)
        print_diff(old, new, difference(old, new), console_for_people())
