"""What experiments have shown, with the intervals of all looks drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil, isfinite

from assay.core.words import counted, figure, listed
from assay.report.blocks import Block, Chart, Charts, Group, Head, Need, Section, Table, Text, Tone
from assay.report.charts import FIGURES, INK, MARK, Spec, drawn, named
from assay.report.tables import Absent, Row, Tables

_COLUMNS = (
    "experiment_name",
    "metric_name",
    "arm",
    "looked_on",
    "metric_type",
    "is_control",
    "unit_count",
    "estimate",
    "difference",
    "adjusted_difference",
    "relative_difference",
    "lower_bound",
    "upper_bound",
    "corrected_p_value",
    "verdict",
    "problem",
)
_TONES: dict[str, Tone] = {
    "higher": "good",
    "lower": "watch",
    "sample ratio mismatch": "bad",
    "no exposures": "watch",
}
_DECIDED = ("higher", "lower")
# Of a chart: how many looks it shows, and how much wider than the last their intervals may be.
_MOST_LOOKS, _WIDEST = 60, 6


def experiments_section(tables: Tables) -> Section:
    """Tell what each experiment has shown by its last look, and draw how that came about.

    Raises:
        Absent: mon_experiments is not there, or experiments.yml declares no experiment.
    """
    rows = tables.rows("mon_experiments", *_COLUMNS)
    if not rows:
        raise Absent("experiments.yml declares no experiment.")
    blocks: list[Block] = []
    needs: list[Need] = []
    decided: list[str] = []
    names = 0
    for name, of_experiment in groupby(rows, key=lambda row: str(row["experiment_name"])):
        names += 1
        experiment = list(of_experiment)
        last = _last_looks(experiment)
        charts = [
            _chart(looks)
            for _, arm in groupby(experiment, key=lambda row: (row["metric_name"], row["arm"]))
            if len(looks := _drawn_looks(list(arm))) > 1
        ]
        parts: list[Block] = [_table(last)]
        found = _needs(name, last)
        tones: list[Tone] = [need.tone for need in found]
        tone: Tone = "bad" if "bad" in tones else next(iter(tones), "none")
        blocks.append(Group(name, [Charts(charts), *parts] if charts else parts, tone))
        needs += found
        decided += [
            f"{row['metric_name']} is {row['verdict']} with {name}'s {row['arm']}"
            for row in last
            if row["verdict"] in _DECIDED
        ]
    said = f"{listed(decided, most=6)}." if decided else "nothing is decided yet."
    return Section(f"{counted(names, 'experiment')}; {said}", blocks, needs)


def _last_looks(rows: Sequence[Row]) -> list[Row]:
    """Return the last row of each metric and arm; rows are in the order of these and of looks."""
    return [list(arm)[-1] for _, arm in groupby(rows, key=lambda row: (row["metric_name"], row["arm"]))]


def _needs(name: str, last: Sequence[Row]) -> list[Need]:
    """Return what a person should know of an experiment; metrics have most problems in common."""
    problems = {row["problem"]: row["verdict"] for row in last if row["problem"]}
    return [
        Need("bad" if verdict == "sample ratio mismatch" else "watch", f"{name}: {problem}.")
        for problem, verdict in problems.items()
        if verdict != "waiting"
    ]


def _table(last: Sequence[Row]) -> Table:
    columns = [
        Head("metric"),
        Head("arm"),
        Head("units", is_number=True),
        Head("estimate", is_number=True),
        Head("difference", is_number=True),
        Head("interval", is_number=True),
        Head("p", is_number=True),
        Head("verdict"),
    ]
    cells = [
        [
            Text(row["metric_name"], note=row["metric_type"]),
            Text(row["arm"]),
            Text(f"{row['unit_count']:,}"),
            Text(_figure(row["estimate"])),
            Text(_figure(_difference(row)), note=_relative(row)),
            Text(_interval(row)),
            Text(_figure(row["corrected_p_value"])),
            Text(row["verdict"], tone=_TONES.get(row["verdict"], "none")),
        ]
        for row in last
    ]
    return Table(f"At the look of {max(row['looked_on'] for row in last)}", columns, cells)


def _difference(row: Row) -> float | None:
    """Return what the interval is about: the adjusted difference, where there is one."""
    adjusted: float | None = row["adjusted_difference"]
    difference: float | None = row["difference"]
    return difference if adjusted is None else adjusted


def _figure(value: float | None) -> str:
    return figure(value if value is not None and isfinite(value) else None, 4)


def _relative(row: Row) -> str:
    share = row["relative_difference"]
    if share is None or not isfinite(share):
        return ""
    return f"{share:+.1%}" if row["adjusted_difference"] is None else f"{share:+.1%} before adjustment"


def _interval(row: Row) -> str:
    if row["lower_bound"] is None:
        return _figure(None)
    return f"{_figure(row['lower_bound'])} to {_figure(row['upper_bound'])}"


def _drawn_looks(rows: Sequence[Row]) -> list[Row]:
    """Return looks to draw, the last among them; the widest intervals would hide the others."""
    looks = [row for row in rows if row["lower_bound"] is not None]
    if not looks:
        return []
    widest = _WIDEST * (looks[-1]["upper_bound"] - looks[-1]["lower_bound"])
    narrow = [row for row in looks if row["upper_bound"] - row["lower_bound"] <= widest]
    return narrow[:: -ceil(len(narrow) / _MOST_LOOKS)][::-1]


def _chart(looks: Sequence[Row]) -> Chart:
    """Draw the difference of an arm from the control with its interval, look by look."""
    last = looks[-1]
    rows = [
        {
            "day": f"{row['looked_on']}",
            "difference": _difference(row),
            "lower": row["lower_bound"],
            "upper": row["upper_bound"],
            "words": f"{row['looked_on']}: {_figure(_difference(row))} ({_interval(row)})",
        }
        for row in looks
    ]
    title = f"{last['metric_name']}, {last['arm']} less the control"
    words = (
        f"The difference of {last['metric_name']} between {last['arm']} and the control, look by look; at "
        f"the last it is {_figure(_difference(last))}, interval {_interval(last)}: {last['verdict']}."
    )
    return Chart(title, words, drawn(_spec(), height=110, rows=rows))


def _spec() -> Spec:
    day: Spec = {
        "field": "day",
        "type": "temporal",
        "axis": {"format": "%d %b", "tickCount": 4, "grid": False},
    }
    values: Spec = {"type": "quantitative", "scale": {"zero": True}, "axis": FIGURES}
    return {
        "layer": [
            {
                "mark": {"type": "area", "color": MARK, "opacity": 0.2},
                "encoding": {"x": day, "y": {"field": "lower", **values}, "y2": {"field": "upper"}},
            },
            {"mark": {"type": "rule", "color": INK}, "encoding": {"y": {"datum": 0, **values}}},
            {
                "mark": {"type": "line", "color": MARK},
                "encoding": {"x": day, "y": {"field": "difference", **values}},
            },
            named({"type": "circle", "size": 12, "color": MARK}, x=day, y={"field": "difference", **values}),
        ]
    }
