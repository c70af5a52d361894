"""Print a review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import change, counted, figure, listed, number, value
from assay.diff.breaks import Break
from assay.diff.compare import ChangedColumn, RowDiff, Sample, Spread
from assay.diff.review import Review
from assay.diff.tables import Cost, TableDiff
from assay.diff.training import TrainingDiff

if TYPE_CHECKING:
    from assay.diff.drift import ViewDrift
    from assay.drift.measure import FeatureDrift

_MIB = 1 << 20


def print_review(review: Review, console: Console) -> None:
    """Print what a change does: breaks first, then table by table, and a conclusion."""
    if review.tables:
        _print_summary(review.tables, console)
    for each in review.tables:
        if each.is_detailed:
            _print_table(each, console)
    for training in review.training:
        _print_training(training, console)
    for drift in review.drift:
        _print_drift(drift, console)
    for change_ in review.contract_changes:
        if not change_.is_breaking:
            line(console, f"Contract: {change_.where}: {change_.what}")
    for note in review.notes:
        line(console, note)
    for each_break in review.breaks:
        line(console, f"BREAKS {describe_break(each_break)}")
    line(console, conclude(review))


def describe_break(found: Break) -> str:
    """Return a broken promise in words."""
    subject = f"{found.kind} {found.where}"
    return f"{subject}{' ' if found.kind == 'test' else ': '}{found.what}"


def conclude(review: Review) -> str:
    """Return in a sentence what the change does."""
    found = [each.status for each in review.tables]
    said = [
        f"{found.count(status):,} {status}"
        for status in ("added", "removed", "changed", "not built", "not compared", "same")
        if status in found
    ]
    tables = (
        f"{counted(len(found), 'table')} touched from {review.base} to {review.head}: {', '.join(said)}"
        if found
        else f"No table is touched from {review.base} to {review.head}"
    )
    broken = counted(len(review.breaks), "promise") if review.breaks else "no promise"
    return f"{tables}; {broken} broken."


def _print_training(training: TrainingDiff, console: Console) -> None:
    if not training.bits_change:
        return line(console, f"\n{training.name}: {training.note or f'its bits stay ({training.after})'}")
    line(console, f"\n{training.name}: its bits change, from {training.before} to {training.after}")
    if training.note:
        return line(console, f"  {training.note}")
    for name, (before, after) in pair_scores(training).items():
        line(console, f"  {name.replace('_', ' ')}: {figure(before, 4)} > {figure(after, 4)}")
    return None


def pair_scores(training: TrainingDiff) -> dict[str, tuple[float | None, float | None]]:
    """Return the scores before and after, by name."""
    before, after = training.scores_before, training.scores_after
    return {name: (before.get(name), after.get(name)) for name in {**before, **after}}


def _print_drift(drift: ViewDrift, console: Console) -> None:
    table = table_titled(f"\n{drift.view}: drift of changed features", is_wide=True)
    table.add_column("feature", overflow="fold")
    for name in ("verdict", "PSI", "KS", "mean", "NULLs"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in drift.features:
        table.add_row(each.feature, each.verdict, *drift_figures(each))
    console.print(table)


def drift_figures(feature: FeatureDrift) -> list[str]:
    """Return PSI, KS, shift of the mean in deviations, and growth of the share of NULLs, in words."""
    return [
        number(feature.psi, ".3f"),
        number(feature.ks, ".3f"),
        number(feature.mean_shift, "+.2f"),
        number(feature.null_shift, "+.1%"),
    ]


def _print_summary(tables: Sequence[TableDiff], console: Console) -> None:
    table = table_titled("Tables", is_wide=True)
    table.add_column("table", overflow="fold")
    table.add_column("is", no_wrap=True)
    for name in ("rows", "added", "removed", "changed", "columns", "seconds", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in tables:
        table.add_row(each.pair.name, each.status, *describe_rows(each.rows), *describe_costs(each))
    console.print(table)


def describe_rows(rows: RowDiff | None) -> list[str]:
    """Return how many rows there are, and are added, removed and changed, and how many columns differ."""
    if rows is None:
        return ["-"] * 5
    counts = (rows.added, rows.removed, rows.changed, len(rows.columns) + len(rows.changed_columns))
    return [_before_after(rows.rows_before, rows.rows_after), *(number(count or None) for count in counts)]


def describe_costs(table: TableDiff) -> list[str]:
    """Return seconds and mebibytes, before and after where they differ."""
    return [_costs(table.before, table.after, name) for name in ("seconds", "bytes")]


def _before_after(before: int, after: int) -> str:
    return f"{after:,}" if before == after else f"{after:,} ({change(after, before)})"


def _costs(before: Cost | None, after: Cost | None, name: str) -> str:
    said = []
    for cost in (before, after):
        found = getattr(cost, name) if cost else None
        said.append("-" if found is None else f"{found / _MIB:.1f}" if name == "bytes" else f"{found:.1f}")
    return said[0] if said[0] == said[1] else " > ".join(said)


def _print_table(table: TableDiff, console: Console) -> None:
    rows = table.rows
    line(console, f"\n{table.pair.name} {table.status}{': ' + table.why_not if table.why_not else ''}")
    if rows is None or table.status == "added":
        return
    for column in rows.columns:
        line(console, f"  column {describe_column(column.name, column.before, column.after)}")
    if rows.no_key:
        line(console, f"  rows are compared as a whole: {rows.no_key}")
    if rows.changed_columns:
        _print_columns(rows, console)
    if rows.samples:
        _print_samples(rows.samples, console)


def describe_column(name: str, before: str | None, after: str | None) -> str:
    """Return what became of a column."""
    if before is None:
        return f"{name} is new ({after})"
    return f"{name} is gone ({before})" if after is None else f"{name} was {before} and is {after}"


def _print_columns(rows: RowDiff, console: Console) -> None:
    table = table_titled("  columns that changed", is_wide=True)
    table.add_column("column", overflow="fold")
    for name in ("rows", "NULLs", "least", "mean", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for column in rows.changed_columns:
        table.add_row(column.name, f"{column.rows:,}", *describe_spreads(column))
    console.print(table)


def describe_spreads(column: ChangedColumn) -> list[str]:
    """Return the share of NULLs, least, mean and most of a column, before and after where they differ."""
    found = []
    for name in ("null_share", "least", "mean", "most"):
        said = [_figure(each, name) for each in (column.before, column.after)]
        found.append(said[0] if said[0] == said[1] else " > ".join(said))
    return found


def _figure(spread: Spread | None, name: str) -> str:
    found = getattr(spread, name) if spread else None
    return "-" if found is None else f"{found:.1%}" if name == "null_share" else figure(found)


def _print_samples(samples: Sequence[Sample], console: Console) -> None:
    table = table_titled("  samples")
    for name in ("row", "key", "column", "before", "after"):
        table.add_column(name, overflow="fold")
    for sample in samples:
        for place, (name, (before, after)) in enumerate(sample.values.items()):
            table.add_row(
                "" if place else sample.kind,
                "" if place else describe_key(sample),
                name,
                "-" if sample.kind == "added" else value(before),
                "-" if sample.kind == "removed" else value(after),
            )
    console.print(table)


def describe_key(sample: Sample) -> str:
    """Return the key of a row in words; an empty text for one without."""
    return listed([f"{name} {value(found)}" for name, found in sample.key.items()], most=9)
