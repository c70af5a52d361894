"""`assay query`: the commands import what they need, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import ask

app = typer.Typer(help="Queries of many readers on what is published.", no_args_is_help=True)


@app.callback()
def query() -> None:
    """Let others query what is published."""


@app.command()
def serve(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port, of this machine's own address.")
    ] = 9494,
) -> None:
    """Answer the queries of other DuckDBs on what is published, until interrupted.

    Readers say the token in ASSAY_QUERY_TOKEN; without it one is made up and shown.
    """
    ask(lambda project: project.serve_queries(port=port))
