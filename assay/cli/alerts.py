"""`assay alerts`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.cli.call import ask, show

app = typer.Typer(help="Alerts: who is told when something breaks.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Alerts: who is told when something breaks."""


@app.command("list")
def list_alerts() -> None:
    """List the alerts that stand; exit code 1 if there are any."""
    if len(show(lambda project: project.alerts())):
        raise typer.Exit(1)


@app.command()
def explain(
    runbook: Annotated[str, typer.Argument(metavar="ALERT", help="Its kind, such as test-failed.")],
) -> None:
    """Say what an alert means, how to see more, what to do, and how to verify that it is over."""
    show(lambda project: project.runbook(runbook))


@app.command()
def close(
    runbook: Annotated[str, typer.Argument(metavar="ALERT", help="Its kind, such as stream-offsets-lost.")],
    name: Annotated[str, typer.Argument(help="Its name, as assay alerts list has it.")],
    reason: Annotated[str, typer.Option(metavar="WHY", help="Why, for the run ledger.")] = "",
) -> None:
    """Note that nobody needs to be told of an alert any more, although what it tells of is not over."""
    show(lambda project: project.close_alert(runbook, name, reason=reason))


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


@app.command()
def check() -> None:
    """Look which products are late now, and tell the channels of what has changed; exit code 1 if one is.

    For a scheduler: `assay build`, `assay build --watch` and `assay stream run` look by themselves.
    """
    checked = show(lambda project: project.check_alerts()).found
    for problem in checked.problems:
        typer.echo(problem, err=True)
    if any(each.missed_since for each in checked.found):
        raise typer.Exit(1)
