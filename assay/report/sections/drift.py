"""Which features drift, and how they did over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import isfinite

from assay.core.words import counted, listed, number
from assay.report.blocks import (
    Block,
    Chart,
    Charts,
    Details,
    Head,
    Need,
    Paragraph,
    Section,
    Table,
    Text,
    Tone,
)
from assay.report.charts import BAD, MARK, SOFT, WATCH, Spec, drawn, named
from assay.report.docs import Docs
from assay.report.tables import Row, Tables

_FIGURES = ("psi", "ks", "js", "mean_shift", "null_shift")
_COLUMNS = ("view", "feature", "reference", "window", *_FIGURES, "verdict")
# What a window is compared with that is no training set.
_ROLLING = "rolling"
_WINDOWS_SHOWN = 12
_FEATURES_DRAWN = 12
_FEATURES_NAMED = 5
_LEGEND = (
    "Population stability index (PSI) of what drifts or did: a red point drifts, an amber one is to be "
    "watched, of a grey one there is no verdict."
)
# View, feature and reference.
Key = tuple[str, str, str]

_TONES: dict[str, Tone] = {"drift": "bad", "watch": "watch", "stable": "good"}
_COLORS = {"drift": BAD, "watch": WATCH, "stable": MARK}


def drift_section(tables: Tables, docs: Docs) -> Section:
    """Tell of every feature how far each window lies from its reference.

    Raises:
        Absent: mon_feature_drift is not there.
    """
    rows = tables.rows("mon_feature_drift", *_COLUMNS)
    features = {
        key: list(windows)[-_WINDOWS_SHOWN:]
        for key, windows in groupby(rows, key=lambda row: (row["view"], row["feature"], row["reference"]))
    }
    last = max((row["window"] for row in rows), default="")
    latest = [windows[-1] for windows in features.values() if windows[-1]["window"] == last]
    drifting = sorted((row for row in latest if row["verdict"] == "drift"), key=_order)
    watched = [row for row in latest if row["verdict"] == "watch"]
    ever = sorted(
        (key for key, windows in features.items() if any(row["verdict"] == "drift" for row in windows)),
        key=lambda key: (features[key][-1] not in drifting, _order(max(features[key], key=_size))),
    )
    blocks: list[Block] = []
    if ever:
        blocks.append(Paragraph(_LEGEND))
        blocks.append(Charts([_chart(key, features[key]) for key in ever[:_FEATURES_DRAWN]]))
    blocks += [
        Details(_summary(view, of_view), [_matrix(view, of_view, docs), _figures(of_view)])
        for view, of_view in _by_view(features)
    ]
    return Section(_lead(last, latest, drifting, watched), blocks, _needs(last, drifting))


def _size(row: Row) -> float:
    return row["psi"] if row["psi"] is not None and isfinite(row["psi"]) else 0.0


def _order(row: Row) -> tuple[float, str, str, str]:
    return -_size(row), row["view"], row["feature"], row["reference"]


def _name(row: Row) -> str:
    return f"{row['view']}.{row['feature']}"


def _said(reference: str) -> str:
    return "the months before" if reference == _ROLLING else reference


def _lead(last: str, latest: Sequence[Row], drifting: Sequence[Row], watched: Sequence[Row]) -> str:
    if not last:
        return "No window is complete yet, so nothing could be compared."
    drift = {_name(row) for row in drifting}
    watch = {_name(row) for row in watched} - drift
    of = counted(len({_name(row) for row in latest}), "feature")
    verb = "drifts" if len(drift) == 1 else "drift"
    return f"In {last}, {len(drift) or 'none'} of {of} {verb}, and {len(watch) or 'none'} should be watched."


def _needs(last: str, drifting: Sequence[Row]) -> list[Need]:
    names = list(dict.fromkeys(_name(row) for row in drifting))
    if not names:
        return []
    verb = "drifts" if len(names) == 1 else "drift"
    return [Need("watch", f"In {last}, {listed(names, _FEATURES_NAMED)} {verb}.")]


def _by_view(features: dict[Key, list[Row]]) -> list[tuple[str, list[list[Row]]]]:
    return [
        (view, [features[key] for key in keys]) for view, keys in groupby(features, key=lambda key: key[0])
    ]


def _summary(view: str, features: Sequence[Sequence[Row]]) -> str:
    found = [windows[-1]["verdict"] for windows in features]
    said = [f"{found.count(verdict)} {verdict}" for verdict in dict.fromkeys(found)]
    return f"{view}: {', '.join(said)}"


def _chart(key: Key, windows: Sequence[Row]) -> Chart:
    view, feature, reference = key
    worst = max((row for row in windows if row["verdict"] == "drift"), key=_size)
    rows = [
        {
            "window": row["window"],
            "psi": row["psi"] if row["psi"] is not None and isfinite(row["psi"]) else None,
            "verdict": row["verdict"] if row["verdict"] in _COLORS else "other",
            "label": f"drift, {number(row['psi'], '.2f')}" if row is worst else "",
            "align": "left" if position < len(windows) / 2 else "right",
            "words": f"{row['window']}: PSI {number(row['psi'], '.3f')}, {row['verdict']}",
        }
        for position, row in enumerate(windows)
    ]
    drifted = [row["window"] for row in windows if row["verdict"] == "drift"]
    period = f"{rows[0]['window']} to {rows[-1]['window']}"
    words = (
        f"PSI of {feature} of {view} against {_said(reference)}, {period}; "
        f"drift in {listed(drifted, most=_WINDOWS_SHOWN)}."
    )
    return Chart(f"{view}.{feature}, against {_said(reference)}", words, drawn(_spec(), height=80, rows=rows))


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
        "scale": {"domain": [*_COLORS, "other"], "range": [*_COLORS.values(), SOFT]},
        "legend": None,
    }
    label = {"type": "text", "fontWeight": 600, "align": {"expr": "datum.align"}}
    beside = {"dx": {"expr": "datum.align == 'left' ? 8 : -8"}}
    return {
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "line", "color": SOFT}},
            named({"type": "point", "filled": True, "size": 50, "opacity": 1}, color=color),
            {
                "transform": [{"filter": "datum.label"}],
                "mark": label | beside,
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def _matrix(view: str, features: Sequence[Sequence[Row]], docs: Docs) -> Table:
    windows = sorted({row["window"] for rows in features for row in rows})
    columns = [Head("feature"), Head("against"), *(Head(window) for window in windows)]
    cells = []
    for rows in features:
        found = {row["window"]: row["verdict"] for row in rows}
        verdicts = [found.get(window, "\N{EN DASH}") for window in windows]
        cells.append(
            [Text(rows[-1]["feature"]), Text(_said(rows[-1]["reference"]))]
            + [Text(verdict, _TONES.get(verdict, "none")) for verdict in verdicts]
        )
    return Table(f"Verdicts on {view} by window", columns, cells)


def _figures(features: Sequence[Sequence[Row]]) -> Table:
    columns = [Head("feature"), Head("against"), Head("window")]
    columns += [Head(name, True) for name in ("PSI", "KS", "JS", "mean", "NULLs")]
    forms = (".3f", ".3f", ".3f", "+.2f", "+.1%")
    rows = [
        [Text(last["feature"]), Text(_said(last["reference"])), Text(last["window"])]
        + [Text(number(last[name], form)) for name, form in zip(_FIGURES, forms, strict=True)]
        for last in (windows[-1] for windows in features)
    ]
    return Table("Figures of the last window; mean is in standard deviations of the reference", columns, rows)
