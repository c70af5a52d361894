"""Print a trace."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted, listed
from assay.lineage.traced import (
    ColumnStep,
    Served,
    ServedView,
    Trace,
    TracedColumn,
    TracedFile,
    TracedPrediction,
    TracedVersion,
)
from assay.project.personal import Personal, read_personal

_ROWS_SHOWN = 20
_LINES_SHOWN = 8


def print_trace(trace: Trace, console: Console) -> None:
    """Print all that was found."""
    for found in trace.found:
        match found:
            case TracedPrediction():
                _print_prediction(found, read_personal(), console)
            case TracedVersion():
                _print_version(found, console)
            case TracedFile():
                _print_file(found, console)
            case TracedColumn():
                _print_column(found, console)
    if trace.waiting:
        have = "prediction has" if trace.waiting == 1 else "predictions have"
        line(
            console,
            f"Not looked at: {trace.waiting:,} {have} landed since gold.mon_lineage was built. To build it "
            "now: assay build --all",
        )


def _print_prediction(found: TracedPrediction, personal: Personal, console: Console) -> None:
    line(console, f"Prediction {found.prediction_id} of {found.predicted_at:%Y-%m-%d %H:%M:%S} UTC.")
    if found.source_file is None:
        line(console, "A build has the warehouse, so the file in which it landed cannot be looked up now.")
    else:
        line(console, f"It landed in {found.source_file}, row {found.row_number:,}.")
    run = f"trained by run {found.model_run_id}" if found.model_run_id else "whose run was not told"
    line(console, f"Model: {found.model_name}, {run}.")
    if found.training_version is None and found.kept_version:
        line(console, f"Training version: {found.kept_version}, which was logged to this run.")
    elif found.training_version is None:
        line(console, "Training version: not told. Send training_version with predictions to follow it.")
    else:
        kept = (
            f" To follow it: assay trace {found.kept_version}"
            if found.kept_version
            else " There is no such version beside this warehouse."
        )
        line(console, f"Training version: {found.training_version}.{kept}")
    if not found.views:
        line(console, "Features: none were told. Send them as served with predictions to follow them.")
    for view in found.views:
        _print_view(view, personal, console)


def _print_view(view: ServedView, personal: Personal, console: Console) -> None:
    keys = ", ".join(f"{name}={value}" for name, value in personal.shown(view.entity_keys).items())
    row = (
        f"its row from {view.valid_from} (UTC)"
        if view.valid_from
        else "of which the view knew nothing at that instant"
    )
    console.print()
    line(console, f"{view.feature_view} of {keys} as of {view.as_of} (UTC): {row}.")
    rows = sum(each.rows or 0 for each in view.landed)
    table = table_titled(f"{counted(rows, 'landed row')} may have entered", is_wide=True)
    for name in ("silver table", "found by", "file"):
        table.add_column(name)
    table.add_column("rows", justify="right")
    table.add_column("row numbers")
    for each in view.landed[-_ROWS_SHOWN:]:
        table.add_row(
            each.silver_table,
            each.linked_by or "-",
            each.source_file or "any",
            "any" if each.rows is None else f"{each.rows:,}",
            listed([f"{number}" for number in each.row_numbers], _LINES_SHOWN),
        )
    if view.landed:
        console.print(table)
    moved = {each.source_file: each.lies_in for each in view.landed[-_ROWS_SHOWN:] if each.lies_in}
    for file, paths in moved.items():
        line(console, f"{file} lies in {' and in '.join(paths)}; its lines keep their numbers.")
    if len(view.landed) > _ROWS_SHOWN:
        line(console, f"{len(view.landed) - _ROWS_SHOWN:,} more are in gold.mon_lineage.")


def _print_version(found: TracedVersion, console: Console) -> None:
    made = f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC"
    line(console, f"Version {found.version}: {counted(found.rows, 'row')}, made {made}.")
    line(console, f"Built in run {found.run_id} of commit {found.code_version or 'unknown'}.")
    line(console, f"Features of {', '.join(found.views) or 'no feature view'}.")
    table = table_titled("Made from", is_wide=True)
    table.add_column("landing table")
    for name in ("files", "rows"):
        table.add_column(name, justify="right")
    for name in ("first file", "last file"):
        table.add_column(name)
    for each in found.files:
        table.add_row(each.table, f"{each.files:,}", f"{each.rows:,}", each.first_file, each.last_file)
    console.print(table)
    line(console, f"Logged to runs of MLflow: {', '.join(found.model_run_ids) or 'none'}.")
    _print_served("Predictions that name it or such a run", found.served, console)


def _print_file(found: TracedFile, console: Console) -> None:
    line(console, f"File {found.source_file}:")
    for version in found.file_versions:
        why = f" ({version.error})" if version.error else ""
        line(
            console,
            f"  version {version.file_version} landed {version.landed_at} UTC: {version.status}{why}, "
            f"{counted(version.rows, 'row')}, in run {version.run_id[:8]}",
        )
    where = " and in ".join(found.lies_in)
    line(
        console, f"It lies in {where}." if where else "It lies nowhere any more: it was removed, or replaced."
    )
    for table in found.tables:
        rules = f" by {listed(table.rule_ids)}" if table.rule_ids else ""
        line(console, f"{table.silver_table}: {table.kept:,} kept, {table.rejected:,} rejected{rules}.")
    if not found.tables:
        line(console, "No checked table of silver has rows of it.")
    line(console, f"Feature views made of these: {', '.join(found.views) or 'none'}.")
    line(console, f"Training sets made of these: {', '.join(found.training_sets) or 'none'}.")
    line(console, f"Versions taken with it: {', '.join(found.versions) or 'none'}.")
    _print_served("Predictions that its rows may have entered", found.served, console)
    if found.perhaps.predictions:
        _print_served("Others, where rows cannot be told apart by entity", found.perhaps, console)


def _print_column(found: TracedColumn, console: Console) -> None:
    line(console, f"Column {found.table}.{found.column}.")
    _print_steps("It is made of", found.made_of, console)
    _print_steps("It makes", found.makes, console)
    for model, why in found.not_followed.items():
        line(console, f"Warning: the columns of {model} are not followed: {why}")
    line(console, f"Feature views: {', '.join(found.views) or 'none'}.")
    line(console, f"Versions with it: {', '.join(found.versions) or 'none'}.")
    _print_served("Predictions for which these views were served", found.served, console)


def _print_steps(title: str, steps: Iterable[ColumnStep], console: Console) -> None:
    line(console, f"{title}:")
    is_empty = True
    for step in steps:
        is_empty = False
        line(console, f"{'  ' * step.depth}{step.table}.{step.column}{' (as it is)' if step.is_same else ''}")
    if is_empty:
        line(console, "  no other column")


def _print_served(title: str, served: Served, console: Console) -> None:
    if not served.predictions:
        line(console, f"{title}: none.")
        return
    line(
        console,
        f"{title}: {served.predictions:,}, of {listed(served.models)}, from {served.first_at} to "
        f"{served.last_at} (UTC). Some are {listed(served.examples, len(served.examples))}.",
    )
