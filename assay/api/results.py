"""What a generator wrote, or would write: findings that show themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Printed
from assay.console.tables import line
from assay.core.words import counted
from assay.generate.display import print_model, print_plan, print_written

if TYPE_CHECKING:
    from rich.console import Console

    from assay.generate.gold import GoldPlan
    from assay.generate.propose import Choice as Choice
    from assay.generate.source import Plan


class SourceChanges(Printed):
    """What was written of a source, or would be.

    Args:
        plan: what was found and proposed.
        folder: the project's.
        is_written: whether it was written.
    """

    def __init__(self, plan: Plan, folder: Path, *, is_written: bool) -> None:
        has_news = bool(plan.files or plan.landing)

        def write(console: Console) -> None:
            print_plan(plan, console, with_difference=has_news and not is_written)
            if self.is_written:
                print_written(plan, console)

        super().__init__(write, folder)
        self._plan = plan
        self.files = list(plan.files)
        self.is_written = is_written and has_news

    def print_proposal(self, console: Console) -> None:
        """Print what is proposed, without the files' text."""
        print_plan(self._plan, console, with_difference=False)

    def print_outcome(self, console: Console) -> None:
        """Print what was written, and what to do next."""
        if self.is_written:
            print_written(self._plan, console)


class ModelYaml(Printed):
    """The YAML entry of a model; `file` holds it, where it was written, and else is None.

    Args:
        name: of the model.
        entry: the text.
        columns: how many it has.
        file: where it was written.
        folder: the project's.
    """

    def __init__(self, name: str, entry: str, columns: int, file: Path | None, folder: Path) -> None:
        def write(console: Console) -> None:
            line(console, f"{file}: {counted(columns, 'column')} of {name}" if file else entry.rstrip("\n"))

        super().__init__(write, folder)
        self.entry, self.columns, self.file = entry, columns, file


class ModelChanges(Printed):
    """What was written of a model, or would be; no files where it is there already.

    Args:
        plan: what was proposed.
        folder: the project's.
        is_written: whether it was written.
    """

    def __init__(self, plan: GoldPlan, folder: Path, *, is_written: bool) -> None:
        super().__init__(lambda console: print_model(plan, console, is_written=is_written), folder)
        self.name = plan.name
        self.files = list(plan.files)
