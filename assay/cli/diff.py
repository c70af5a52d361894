"""`assay diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import show, tell_where
from assay.console.messages import faults_as_messages


def diff(
    ref: Annotated[
        str, typer.Argument(metavar="REF", help="What to compare with: a commit, or a warehouse.")
    ],
    to: Annotated[
        str | None, typer.Option(metavar="REF", help="What to review.", show_default="the files as they are")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Compare a part of what is touched, in dbt's selection syntax.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="An HTML file to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a change does to tables, contracts and training sets; exit code 1 where it breaks one."""
    if as_json:
        with faults_as_messages():
            from assay.api.project import open_project

            # Progress goes to standard error.
            found = open_project().diff(ref, to=to, select=select, out=out)
            typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        found = show(lambda project: project.diff(ref, to=to, select=select, out=out))
    if out and not as_json:
        tell_where(out)
    if found.is_broken:
        raise typer.Exit(1)
