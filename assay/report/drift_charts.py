"""Charts of drift: how far each window lies from its reference, and how the values lie on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from assay.core.sql import text
from assay.core.words import listed, number
from assay.report.blocks import Chart
from assay.report.charts import BAD, MARK, SOFT, WATCH, Spec, drawn, named
from assay.report.distributions import bins_of_categories, bins_of_numbers, distribution_chart
from assay.report.tables import Absent, Row, Tables

# What a window is compared with that is no training set.
_ROLLING = "rolling"
COLORS = {"drift": BAD, "watch": WATCH, "stable": MARK}


def reference_named(reference: str) -> str:
    """Say what a window is compared with."""
    return "the months before" if reference == _ROLLING else reference


def size_of(row: Row) -> float:
    """Return how far a window lies from its reference, 0 where that is not known."""
    return row["psi"] if row["psi"] is not None and isfinite(row["psi"]) else 0.0


def drift_chart(windows: Sequence[Row]) -> Chart:
    """Draw the PSI of a feature over its windows, against one reference.

    Args:
        windows: rows of mon_feature_drift of one feature and reference, in the order of time.
    """
    view, feature, reference = (windows[-1][name] for name in ("view", "feature", "reference"))
    worst = max((row for row in windows if row["verdict"] == "drift"), key=size_of, default=None)
    rows = [
        {
            "window": row["window"],
            "psi": row["psi"] if row["psi"] is not None and isfinite(row["psi"]) else None,
            "verdict": row["verdict"] if row["verdict"] in COLORS else "other",
            "label": f"drift, {number(row['psi'], '.2f')}" if row is worst else "",
            "align": _align(position, len(windows)),
            "words": f"{row['window']}: PSI {number(row['psi'], '.3f')}, {row['verdict']}",
        }
        for position, row in enumerate(windows)
    ]
    drifted = [row["window"] for row in windows if row["verdict"] == "drift"]
    period = f"{rows[0]['window']} to {rows[-1]['window']}"
    said = f"drift in {listed(drifted, most=len(drifted))}" if drifted else "no window drifts"
    words = f"PSI of {feature} of {view} against {reference_named(reference)}, {period}; {said}."
    title = f"{view}.{feature}, against {reference_named(reference)}"
    return Chart(title, words, drawn(_spec(), height=80, rows=rows))


def comparison_chart(tables: Tables, row: Row) -> Chart:
    """Draw the values that were compared: of the reference, and of the window.

    Args:
        tables: of the warehouse; what is published does not hold the values that were counted.
        row: of mon_feature_drift.

    Raises:
        Absent: the values are not there.
    """
    values, sides, comparisons = (
        tables.relation(f"mon_drift__{name}") for name in ("values", "sides", "comparisons")
    )
    reference, window = reference_named(row["reference"]), row["window"]
    # Months are numbered from January 1970.
    year, month = map(int, window.split("-"))
    compared = f"""
        select if(sides.is_reference, {text(reference)}, {text(window)}) as side, occurrences.*
        from {comparisons} as comparisons
        inner join {sides} as sides on comparisons.comparison = sides.comparison
        inner join {values} as occurrences
            on sides.feature_number = occurrences.feature_number and sides.period = occurrences.period
        where comparisons.feature_view = {text(row["view"])} and comparisons.feature = {text(row["feature"])}
            and comparisons.reference = {text(row["reference"])}
            and comparisons.month_number = {(year - 1970) * 12 + month - 1}
    """
    chosen = "select side, {0} as value, occurrences from ({1}) where {0} is not null"
    bins = bins_of_numbers(tables, chosen.format("number_value", compared))
    bins = bins or bins_of_categories(tables, chosen.format("category", compared))
    if not bins:
        raise Absent("No values were compared.")
    title = f"{row['view']}.{row['feature']} in {window}, and in {reference}"
    return distribution_chart(title, bins, [reference, window])


def _align(position: int, count: int) -> str:
    """Keep the label of a point within the chart."""
    return "left" if position < count / 4 else "right" if position >= count * 3 / 4 else "center"


def _spec() -> Spec:
    x = {
        "field": "window",
        "type": "ordinal",
        "scale": {"type": "point", "padding": 0.3},
        "axis": {"labelAngle": 0, "labelOverlap": True, "labelSeparation": 16},
    }
    y = {"field": "psi", "type": "quantitative", "axis": {"tickCount": 3}}
    color = {
        "field": "verdict",
        "type": "nominal",
        "scale": {"domain": [*COLORS, "other"], "range": [*COLORS.values(), SOFT]},
        "legend": None,
    }
    # Above its point, which is the highest of its kind: beside it, it would lie on the line.
    label = {
        "type": "text",
        "fontWeight": 600,
        "align": {"expr": "datum.align"},
        "baseline": "bottom",
        "dy": -7,
    }
    return {
        "padding": {"left": 2, "right": 2, "top": 18, "bottom": 2},
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "line", "color": SOFT}},
            named({"type": "point", "filled": True, "size": 50, "opacity": 1}, color=color),
            {
                "transform": [{"filter": "datum.label"}],
                "mark": label,
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }
