"""`assay online`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="Online stores: fill them, look at them, ask them.", no_args_is_help=True)

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="sqlite:PATH or redis://HOST:PORT/DATABASE.",
        show_default="$ASSAY_ONLINE_STORE, or online.sqlite beside the warehouse",
    ),
]


@app.command()
def sync(
    view: Annotated[str | None, typer.Option(help="Bring this view up to date, and no other.")] = None,
    store: StoreUrl = None,
) -> None:
    """Bring a store to what the last build published; only what differs is written."""
    with faults_as_messages():
        from assay.api.project import open_project
        from assay.console.tables import console_for_people

        console = console_for_people()
        open_project(console=console).online.sync(view, store=store).print(console)


@app.command()
def status(store: StoreUrl = None) -> None:
    """Tell what a store holds, of which build, and how old it is."""
    with faults_as_messages():
        from assay.console.tables import console_for_people
        from assay.core.places import find_places
        from assay.online.display import print_status
        from assay.online.stores.open import open_store, store_url

        print_status(open_store(store_url(store, find_places())), console_for_people())


@app.command()
def get(
    view: Annotated[str, typer.Option(help="The feature view.")],
    key: Annotated[list[str], typer.Option(help="The entity's key; once for each of several.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The instant (ISO 8601, UTC).", show_default="now"),
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="A request input.")
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Ask a store for an entity's features, as a server would answer."""
    with faults_as_messages():
        from assay.api.project import open_project
        from assay.console.tables import console_for_people
        from assay.online.get import inputs_in

        answer = open_project().online.get(view, key, at=at, inputs=inputs_in(given or []), store=store)
        answer.print(console_for_people())
