"""How every command works: it asks the project in the current folder, as Python does, and prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from assay.console.messages import faults_as_messages

if TYPE_CHECKING:
    from rich.console import Console

    from assay.api.project import Project


class Printable(Protocol):
    """A result that shows itself."""

    def print(self, console: Console) -> None:
        """Print it for people."""


Answer = TypeVar("Answer")
Shown = TypeVar("Shown", bound=Printable)


def ask(question: Callable[[Project], Answer]) -> Answer:
    """Ask the project in the current folder; a fault is printed and ends the command."""
    with faults_as_messages():
        from assay.api.project import open_project
        from assay.console.tables import console_for_people

        return question(open_project(console=console_for_people()))


def show(question: Callable[[Project], Shown]) -> Shown:
    """Ask the project in the current folder, print what it answers, and return it."""
    return show_result(lambda: ask(question))


def show_result(make: Callable[[], Shown]) -> Shown:
    """Print what a function returns, and return it; a fault is printed and ends the command."""
    with faults_as_messages():
        from assay.console.tables import console_for_people

        answer = make()
        answer.print(console_for_people())
    return answer


def show_json(question: Callable[[Project], Any]) -> None:
    """Ask the project in the current folder for a data class, and print it as JSON."""
    with faults_as_messages():
        from dataclasses import asdict

        from assay.api.project import open_project

        # Progress goes to standard error.
        typer.echo(json.dumps(asdict(question(open_project())), indent=2, default=str))


def tell_where(page: Path) -> None:
    """Print where a page lies, as it is called in the current folder."""
    here = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    typer.echo(f"Open {here} in a browser.")
