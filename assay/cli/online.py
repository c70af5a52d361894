"""`assay online`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.arguments import split_inputs
from assay.cli.call import show

app = typer.Typer(help="Online stores: fill them, look at them, ask them.", no_args_is_help=True)

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="sqlite:PATH, redis://HOST:PORT/DATABASE, postgresql://HOST:PORT/DATABASE or "
        "dynamodb://TABLE?region=REGION.",
        show_default="$ASSAY_ONLINE_STORE, or online.sqlite beside the warehouse",
    ),
]


@app.command()
def sync(
    view: Annotated[str | None, typer.Option(help="Bring this view up to date, and no other.")] = None,
    store: StoreUrl = None,
) -> None:
    """Bring a store to what the last build published; only what differs is written."""
    show(lambda project: project.online.sync(view, store=store))


@app.command()
def status(store: StoreUrl = None) -> None:
    """Tell what a store holds, of which build, and how old it is."""
    show(lambda project: project.online.status(store=store))


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
    show(lambda project: project.online.get(view, key, at=at, inputs=split_inputs(given or []), store=store))
