"""Charts for notebooks, drawn as those of the report are: SVG that needs no script and no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.fault import MISUSED, Fault, extra_needed, unknown

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.drift.compare import Comparison

# They are read on white and on black; a page of the report has those of its style sheet.
_COLORS = {
    "ink": "#7d838c",
    "soft": "#7d838c",
    "line": "#7d838c40",
    "mark": "#3f87bd",
    "bad": "#d0473e",
    "watch": "#c08318",
}
_STEP_HEIGHT, _BAR_HEIGHT = 90, 18
# How much of the time shown comes after the last change.
_AFTER = 0.1


class Plot:
    """One or several charts as SVG; a notebook shows them.

    Args:
        charts: the SVG of each, by its title.
    """

    def __init__(self, charts: dict[str, str]) -> None:
        self._charts = {title: _colored(svg) for title, svg in charts.items()}

    @property
    def svg(self) -> list[str]:
        """The SVG of each chart."""
        return list(self._charts.values())

    def save(self, path: str | Path) -> Path:
        """Write the charts as one HTML file, which needs no network; return its path."""
        file = Path(path)
        file.write_text(f"<!doctype html><meta charset=utf-8>{self._repr_html_()}", encoding="utf-8")
        return file

    def _repr_html_(self) -> str:
        return "".join(
            f'<figure style="font-family:sans-serif"><figcaption>{escape(title)}</figcaption>{svg}</figure>'
            for title, svg in self._charts.items()
        )

    def __repr__(self) -> str:
        return f"Plot({', '.join(self._charts)}): shown in a notebook, or by save('plot.html')"


def plot_history(title: str, rows: pa.Table, features: Sequence[str]) -> Plot:
    """Draw features of one entity as steps over time, with a point at each change.

    Args:
        title: begins what each chart is called.
        rows: of the entity's history, in the order of time.
        features: to draw; without any, all that are numbers or booleans.

    Raises:
        Fault: there is no such feature, or none that can be drawn, or extra `report` is not installed.
    """
    import pyarrow as pa

    of = pa.types
    drawable = [
        field.name
        for field in rows.schema
        if of.is_integer(field.type)
        or of.is_floating(field.type)
        or of.is_decimal(field.type)
        or of.is_boolean(field.type)
    ]
    for name in features:
        if name not in drawable:
            raise Fault(unknown(f"No feature {name} can be drawn", name, drawable), MISUSED)
    wanted = list(features) or drawable
    if not wanted:
        raise Fault(f"{title} has no feature that is a number or a boolean, so none is drawn.", MISUSED)
    if not rows.num_rows:
        raise Fault(f"{title} has no rows, so nothing is drawn.", MISUSED)
    with extra_needed("report", by="A plot"):
        from assay.report.charts import MARK, drawn
    froms = rows["valid_from"].to_pylist()
    until = froms[-1] + (froms[-1] - froms[0]) * _AFTER
    encoding: dict[str, Any] = {
        "x": {"field": "at", "type": "temporal", "axis": {"tickCount": 5}},
        "y": {"field": "value", "type": "quantitative", "axis": {"tickCount": 4}},
    }
    charts = {}
    for name in wanted:
        points = [
            {"at": f"{at.isoformat()}Z", "value": None if value is None else float(value), "is_change": True}
            for at, value in zip(froms, rows[name].to_pylist(), strict=True)
        ]
        changes = [
            point
            for place, point in enumerate(points)
            if not place or point["value"] != points[place - 1]["value"]
        ]
        end = {"at": f"{until.isoformat()}Z", "value": points[-1]["value"], "is_change": False}
        spec = {
            "layer": [
                {"mark": {"type": "line", "interpolate": "step-after", "color": MARK}, "encoding": encoding},
                {
                    "mark": {"type": "point", "filled": True, "size": 14, "color": MARK},
                    "transform": [{"filter": "datum.is_change && isValid(datum.value)"}],
                    "encoding": encoding,
                },
            ]
        }
        charts[f"{title}: {name}"] = drawn(spec, height=_STEP_HEIGHT, rows=[*changes, end])
    return Plot(charts)


def plot_drift(found: Sequence[Comparison]) -> Plot:
    """Draw how far each feature lies from its reference, as population stability index (PSI).

    Raises:
        Fault: nothing was compared, or extra `report` is not installed.
    """
    with extra_needed("report", by="A plot"):
        from assay.report.charts import BAD, MARK, SOFT, WATCH, drawn
    colors = {"drift": BAD, "watch": WATCH, "stable": MARK}
    charts = {}
    for each in found:
        rows = [
            {"feature": one.feature, "psi": one.psi, "color": colors.get(one.verdict, SOFT)}
            for one in each.features
            if one.psi is not None
        ]
        spec = {
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "feature", "type": "nominal", "sort": None, "axis": {"labelLimit": 180}},
                "x": {"field": "psi", "type": "quantitative", "axis": {"tickCount": 4}},
                "color": {"field": "color", "type": "nominal", "scale": None},
            },
        }
        if rows:
            title = f"{each.source.name}: PSI of {each.current.said} against {each.reference.said}"
            charts[title] = drawn(spec, height=_BAR_HEIGHT * len(rows) + 2, rows=rows)
    if not charts:
        raise Fault("No feature was compared, since rows are too few: nothing is drawn.", MISUSED)
    return Plot(charts)


def _colored(svg: str) -> str:
    """Return a chart that needs no style sheet."""
    return re.sub(r"var\(--(\w+)\)", lambda found: _COLORS.get(found[1], _COLORS["ink"]), svg)
