"""`assay alerts`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import typer

from assay.cli.call import ask

app = typer.Typer(help="Alerts: who is told when something breaks.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Alerts: who is told when something breaks."""


@app.command()
def test() -> None:
    """Send a test alert to every channel of alerts.yml; exit code 1 where one cannot be told."""
    sent = ask(lambda project: project.send_test_alert())
    for channel in sent.told:
        typer.echo(f"Told {channel}.")
    for problem in sent.problems:
        typer.echo(problem, err=True)
    if sent.problems:
        raise typer.Exit(1)
