"""Print which features drift."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import table_titled
from assay.drift.compare import Comparison
from assay.drift.spec import Rows


def print_comparisons(found: Sequence[Comparison], console: Console) -> None:
    """Print a table for each comparison, the largest drift first, left-out columns, and a summary."""
    for each in found:
        compared = f"{each.source.name}: {_said(each.current)} against {_said(each.reference)}"
        if not each.features:
            console.print(f"{compared}: no column can be compared. {_left_out(each)}")
            continue
        table = table_titled(compared)
        table.add_column("feature", overflow="fold", ratio=1)
        table.add_column("verdict", no_wrap=True)
        has_categories = any(feature.kind == "categorical" for feature in each.features)
        names = ["PSI", "KS", "JS", "mean", "NULLs", "p", *(["unseen"] if has_categories else [])]
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        for feature in each.features:
            table.add_row(
                feature.feature,
                feature.verdict,
                _number(feature.psi),
                _number(feature.ks),
                _number(feature.js),
                _number(feature.mean_shift, "+.2f"),
                _number(feature.null_shift, "+.1%"),
                _number(feature.adjusted_p_value, ".0e"),
                *([_number(feature.unseen_share, ".1%")] if has_categories else []),
            )
        console.print(table)
        first = each.features[0]
        console.print(f"{first.reference_rows:,} rows of the reference, {first.current_rows:,} current ones.")
        if said := _left_out(each):
            console.print(said)
    drifting = [
        f"{each.source.name}.{feature.feature}"
        for each in found
        for feature in each.features
        if feature.verdict == "drift"
    ]
    features = sum(len(each.features) for each in found)
    said = f"drift: {', '.join(drifting)}" if drifting else "drift"
    console.print(f"\n{len(drifting)} of {features} features {said}.")


def _left_out(compared: Comparison) -> str:
    said = ", ".join(f"{name} ({why})" for name, why in compared.source.left_out.items())
    return f"Left out: {said}." if said else ""


def _said(rows: Rows) -> str:
    if rows.start is None and rows.end is None:
        return rows.said
    start, end = (
        f"{bound:%Y-%m-%d %H:%M}".removesuffix(" 00:00") if bound else "" for bound in (rows.start, rows.end)
    )
    return f"{start}..{end}"


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)
