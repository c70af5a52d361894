"""`assay keys`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="API keys of the feature server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]


@app.command()
def create(
    name: Name,
    views: Annotated[
        str | None, typer.Option(metavar="VIEW,...", help="The feature views it may read; * for all.")
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="MODEL,...", help="The models whose predictions it may log; * for all."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="From when on it is invalid (ISO 8601, UTC).", show_default="never"
        ),
    ] = None,
) -> None:
    """Make a key, and print it: it is shown this once, and kept as a hash."""
    with faults_as_messages():
        from assay.core.fault import MISUSED, Fault
        from assay.core.moment import now
        from assay.core.places import find_places
        from assay.online.request import instant_given
        from assay.server.keys import KeyRing
        from assay.server.readable import require_known

        if not name.strip():
            raise Fault("NAME is empty: say whose key it is.", MISUSED)
        wanted, models = (
            [each.strip() for each in (given or "").split(",") if each.strip()]
            for given in (views, predictions)
        )
        if views is not None and not wanted:
            raise Fault("--views names none: write those the key is for, or *.", MISUSED)
        if predictions is not None and not models:
            raise Fault("--predictions names no model: write those the key is for, or *.", MISUSED)
        if not wanted and not models:
            raise Fault("Say what the key is for: --views VIEW,... or --predictions MODEL,...", MISUSED)
        expires_at = instant_given(expires) if expires else None
        if expires_at and expires_at <= now():
            raise Fault(f"--expires {expires} has passed.", MISUSED)
        places = find_places()
        require_known(wanted, places)
        typer.echo(KeyRing(places.serving).create(name, wanted, expires_at, models))
        typer.echo("It is shown this once. To use it, send the header Authorization: Bearer KEY.", err=True)


@app.command("list")
def list_keys() -> None:
    """List the keys, what they are for, and whether they are valid."""
    with faults_as_messages():
        from rich.markup import escape

        from assay.console.tables import console_for_people, table_titled
        from assay.core.places import find_places
        from assay.server.keys import KeyRing

        table = table_titled("API keys (UTC)")
        for column in ("name", "state", "feature views", "predictions of", "created", "expires"):
            table.add_column(column)
        for key in KeyRing(find_places().serving).keys:
            expires = key.expires_at[:19] if key.expires_at else "never"
            scopes = [", ".join(scope) or "-" for scope in (key.views, key.predictions)]
            told = (key.name, key.state, *scopes, key.created_at[:19], expires)
            table.add_row(*map(escape, told))
        console_for_people().print(table)


@app.command()
def revoke(name: Name) -> None:
    """Make a key invalid, at once for every server."""
    with faults_as_messages():
        from assay.core.places import find_places
        from assay.server.keys import KeyRing

        KeyRing(find_places().serving).revoke(name)
        typer.echo(f"The key of {name} is revoked.")
