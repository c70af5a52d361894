"""`assay encrypt`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Encryption of files at rest.", no_args_is_help=True)


@app.command()
def status() -> None:
    """Tell of each file whether it is encrypted, and with which key."""
    show(lambda project: project.encryption.status())


@app.command()
def rotate(
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a build to end.")
    ] = 0,
) -> None:
    """Write all files anew with the key that is set; the key before is in ASSAY_ENCRYPTION_KEY_BEFORE."""
    show(lambda project: project.encryption.rotate(wait=wait))
