"""`assay cost`: the command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show, show_json


def cost(
    keep: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Tell what would be saved if landed data were kept so long: 90d."),
    ] = None,
    shows_all: Annotated[
        bool, typer.Option("--all", help="Show each row, also those below 1 % of the total.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what each source, table and view takes, who reads it, and what it costs by costs.yml."""
    if as_json:
        show_json(lambda project: project.cost(keep=keep).found)
    else:
        show(lambda project: project.cost(keep=keep, shows_all=shows_all))
