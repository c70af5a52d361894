"""Print whether the online store and the offline join agree."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import table_titled
from assay.online.ahead import StreamParity
from assay.parity.compare import FeatureParity


def print_parity(found: Sequence[FeatureParity], console: Console) -> None:
    """Print a line for each view, and examples for each feature that differs."""
    table = table_titled("Online against the offline point-in-time join")
    table.add_column("feature view, feature")
    for name in ("values", "mismatch", "missing", "extra", "SMAPE"):
        table.add_column(name, justify="right")
    for view in dict.fromkeys(each.view for each in found):
        of_view = [each for each in found if each.view == view]
        table.add_row(view, *_figures(of_view))
        for each in of_view:
            if each.differs:
                table.add_row(f"  {each.feature}", *_figures([each]), style="red")
    console.print(table)
    for each in found:
        for example in each.examples:
            console.print(
                f"{each.view}.{each.feature} of {example}", style="red", soft_wrap=True, markup=False
            )
    if not any(each.differs for each in found):
        console.print(f"All {sum(each.compared for each in found):,} values are equal.")


def _figures(features: Sequence[FeatureParity]) -> list[str]:
    compared = sum(each.compared for each in features)
    rates = [
        sum(each.mismatched for each in features),
        sum(each.missing for each in features),
        sum(each.extra for each in features),
    ]
    errors = [each.smape for each in features if each.smape is not None]
    smape = f"{sum(errors) / len(errors):.6f}" if errors else "-"
    return [f"{compared:,}", *(f"{rate / compared:.2%}" if compared else "-" for rate in rates), smape]


def print_stream_parity(found: Sequence[StreamParity], console: Console) -> None:
    """Print how many entities streams brought online, and how many of them a build wrote otherwise."""
    table = table_titled("Entities that streams brought online, against the builds after them")
    table.add_column("feature view")
    for name in ("builds", "compared", "differ", "not compared"):
        table.add_column(name, justify="right")
    for view in dict.fromkeys(each.view for each in found):
        of_view = [each for each in found if each.view == view]
        compared, differing = sum(each.compared for each in of_view), sum(each.differing for each in of_view)
        skipped = sum(each.skipped for each in of_view)
        style = "red" if differing else ""
        counts = [f"{count:,}" for count in (compared, differing, skipped)]
        table.add_row(view, str(len(of_view)), *counts, style=style)
    console.print(table)
    if any(each.skipped for each in found):
        console.print("Not compared: the build had messages that the stream had not brought online yet.")
    for each in found:
        if each.example is not None:
            console.print(
                f"{each.view} of {each.example}: build {each.run_id} wrote another version.",
                style="red",
                soft_wrap=True,
                markup=False,
            )
