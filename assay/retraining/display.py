"""Print which training sets need retraining, and why."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.retraining.due import Verdict, stale_note


def print_verdicts(found: Sequence[Verdict], console: Console, why_held_back: str | None = None) -> None:
    """Print a table of all training sets, the reasons, and what to do next.

    `why_held_back` says why the verdicts rest on evidence of an earlier build; None if they do not.
    """
    if not found:
        line(console, "There are no training sets: models whose names begin with trn_ are.")
        return
    table = table_titled("Training sets")
    table.add_column("training set", no_wrap=True)
    table.add_column("retrain", no_wrap=True)
    table.add_column("last version", no_wrap=True)
    for name in ("days old", "new rows", "drifting"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        has_version = each.version is not None
        table.add_row(
            each.training_set,
            "yes" if each.is_due else "taken" if each.taken else "no",
            each.version or "-",
            f"{each.age_days:.0f}" if has_version and each.age_days is not None else "-",
            f"{each.new_rows:,}" if has_version else "-",
            "-" if each.feature_count is None else f"{each.drifting_count} of {each.feature_count}",
        )
    console.print(table)
    for each in found:
        taken = f" (taken for it: {each.taken})" if each.taken else ""
        line(console, f"{each.training_set}: {each.reason}{taken}")
    if why_held_back:
        line(console, stale_note(why_held_back))
    if any(each.is_due for each in found):
        console.print()
        line(console, "Next")
        line(console, "  assay retraining --create")
