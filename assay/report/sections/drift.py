"""Which features drift, and how they did over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from assay.core.words import counted, listed, number
from assay.report.blocks import (
    Block,
    Chart,
    Charts,
    Details,
    Facts,
    Head,
    Need,
    Paragraph,
    Section,
    Table,
    Text,
    Tone,
)
from assay.report.docs import Docs
from assay.report.drift_charts import comparison_chart, drift_chart, reference_named, size_of
from assay.report.tables import Absent, Row, Tables

_FIGURES = ("psi", "ks", "js", "mean_shift", "null_shift")
_COLUMNS = ("view", "feature", "reference", "window", *_FIGURES, "verdict")
_WINDOWS_SHOWN = 12
_FEATURES_DRAWN = 12
_FEATURES_NAMED = 5
_LEGEND = (
    "Population stability index (PSI) of what drifts or did: a red point drifts, an amber one is to be "
    "watched, of a grey one there is no verdict. Beside it is how the values lay in the worst window, and in "
    "what it was compared with."
)
# View, feature and reference.
Key = tuple[str, str, str]

_TONES: dict[str, Tone] = {"drift": "bad", "watch": "watch", "stable": "good"}


# What verdicts mean, in the order of how much they want of a reader.
_MEANINGS = {
    "drift": "values differ more than chance allows, much, and more than is usual for the feature",
    "watch": "half as much",
    "volume": "as much, but a busier or quieter month, or a window that only grows, explains it",
    "stable": "less",
    "too few rows": "there are too few values to compare",
    "too early": "fewer than three earlier months are known, so nothing says what is usual",
    "trained on": "the training set trains on a part of the month",
    "too many categories": "there are too many different values to compare",
}
_JUDGED = ("drift", "watch", "volume", "stable")


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
        key=lambda key: (features[key][-1] not in drifting, _order(max(features[key], key=size_of))),
    )
    blocks: list[Block] = []
    if ever:
        blocks.append(Paragraph(_LEGEND))
        drawn = [_charts(tables, features[key]) for key in ever[:_FEATURES_DRAWN]]
        paired = all(len(charts) > 1 for charts in drawn)
        blocks.append(Charts([chart for charts in drawn for chart in charts], in_pairs=paired))
    blocks += [
        Details(_summary(view, of_view), [_matrix(view, of_view, docs), _figures(of_view)])
        for view, of_view in _by_view(features)
    ]
    if features:
        meanings = Facts([(verdict, Text(meaning)) for verdict, meaning in _MEANINGS.items()])
        blocks.append(Details("What the verdicts mean", [meanings]))
    return Section(_lead(last, latest, drifting, watched), blocks, _needs(last, drifting))


def _order(row: Row) -> tuple[float, str, str, str]:
    return -size_of(row), row["view"], row["feature"], row["reference"]


def _name(row: Row) -> str:
    return f"{row['view']}.{row['feature']}"


def _lead(last: str, latest: Sequence[Row], drifting: Sequence[Row], watched: Sequence[Row]) -> str:
    if not last:
        return "No window is complete yet, so nothing could be compared."
    if not any(row["verdict"] in _JUDGED for row in latest):
        why = dict.fromkeys(row["verdict"] for row in latest)
        return f"In {last}, no feature could be judged yet: {', '.join(why)}."
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


def _charts(tables: Tables, windows: Sequence[Row]) -> list[Chart]:
    """Draw how a feature drifted, and beside it the values of its worst window, where they are there."""
    worst = max((row for row in windows if row["verdict"] == "drift"), key=size_of)
    try:
        return [drift_chart(windows), comparison_chart(tables, worst)]
    except Absent:
        return [drift_chart(windows)]


def _matrix(view: str, features: Sequence[Sequence[Row]], docs: Docs) -> Table:
    windows = sorted({row["window"] for rows in features for row in rows})
    columns = [Head("feature"), Head("against"), *(Head(window) for window in windows)]
    cells = []
    for rows in features:
        found = {row["window"]: row["verdict"] for row in rows}
        verdicts = [found.get(window, "\N{EN DASH}") for window in windows]
        cells.append(
            [Text(rows[-1]["feature"]), Text(reference_named(rows[-1]["reference"]))]
            + [Text(verdict, _TONES.get(verdict, "none")) for verdict in verdicts]
        )
    return Table(f"Verdicts on {view} by window", columns, cells)


def _figures(features: Sequence[Sequence[Row]]) -> Table:
    columns = [Head("feature"), Head("against"), Head("window")]
    columns += [Head(name, True) for name in ("PSI", "KS", "JS", "mean", "NULLs")]
    forms = (".3f", ".3f", ".3f", "+.2f", "+.1%")
    rows = [
        [Text(last["feature"]), Text(reference_named(last["reference"])), Text(last["window"])]
        + [Text(number(last[name], form)) for name, form in zip(_FIGURES, forms, strict=True)]
        for last in (windows[-1] for windows in features)
    ]
    return Table("Figures of the last window; mean is in standard deviations of the reference", columns, rows)
