"""`assay alerts`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import typer

from assay.console.messages import faults_as_messages

app = typer.Typer(help="Alerts: who is told when something breaks.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Alerts: who is told when something breaks."""


@app.command()
def test() -> None:
    """Send a test alert to every channel of alerts.yml; exit code 1 where one cannot be told."""
    with faults_as_messages():
        from assay.alerts.channels import send_all
        from assay.alerts.config import FILE, read_config
        from assay.alerts.states import Alert
        from assay.core.fault import MISUSED, Fault
        from assay.core.places import require_project

        require_project()
        config = read_config()
        if not config.channels and not config.problems:
            raise Fault(f"{FILE} names no channels: write them there, such as - type: stdout.", MISUSED)
        alert = Alert("broken", "a test", "alert", "", None, "warn", 1, "This is a test.", "")
        for problem in config.problems:
            typer.echo(problem, err=True)
        problems = len(config.problems)
        for channel in config.channels:
            said = send_all([alert], [channel])
            typer.echo(said[0] if said else f"Told {channel}.", err=bool(said))
            problems += len(said)
    if problems:
        raise typer.Exit(1)
