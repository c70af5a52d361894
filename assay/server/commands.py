"""`assay keys`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.runs.messages import faults_as_messages

app = typer.Typer(help="API keys of the feature server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]


@app.command()
def create(
    name: Name,
    views: Annotated[str, typer.Option(metavar="VIEW,...", help="The feature views it is for; * for all.")],
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="From when on it is invalid (ISO 8601, UTC).", show_default="never"
        ),
    ] = None,
) -> None:
    """Make a key, and print it: it is shown this once, and kept as a hash."""
    with faults_as_messages():
        from assay.online.request import instant_given
        from assay.runs.fault import MISUSED, Fault
        from assay.runs.moment import now
        from assay.runs.places import find_places
        from assay.server.keys import KeyRing
        from assay.server.readable import require_known

        if not name.strip():
            raise Fault("NAME is empty: say whose key it is.", MISUSED)
        wanted = [view.strip() for view in views.split(",") if view.strip()]
        if not wanted:
            raise Fault("--views names none: write those the key is for, or *.", MISUSED)
        expires_at = instant_given(expires) if expires else None
        if expires_at and expires_at <= now():
            raise Fault(f"--expires {expires} has passed.", MISUSED)
        places = find_places()
        require_known(wanted, places)
        typer.echo(KeyRing(places.serving).create(name, wanted, expires_at))
        typer.echo("It is shown this once. To use it, send the header Authorization: Bearer KEY.", err=True)


@app.command("list")
def list_keys() -> None:
    """List the keys, what they are for, and whether they are valid."""
    with faults_as_messages():
        from assay.runs.places import find_places
        from assay.runs.report import console_for_people, table_titled
        from assay.server.keys import KeyRing

        table = table_titled("API keys (UTC)")
        for column in ("name", "state", "feature views", "created", "expires"):
            table.add_column(column)
        for key in KeyRing(find_places().serving).keys:
            expires = key.expires_at[:19] if key.expires_at else "never"
            table.add_row(key.name, key.state, ", ".join(key.views), key.created_at[:19], expires)
        console_for_people().print(table)


@app.command()
def revoke(name: Name) -> None:
    """Make a key invalid, at once for every server."""
    with faults_as_messages():
        from assay.runs.places import find_places
        from assay.server.keys import KeyRing

        KeyRing(find_places().serving).revoke(name)
        typer.echo(f"The key of {name} is revoked.")
