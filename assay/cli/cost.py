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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what each source, table and view takes, who reads it, and what it costs by costs.yml."""
    if as_json:
        show_json(lambda project: project.cost(keep=keep).found)
    else:
        show(lambda project: project.cost(keep=keep))
