"""How the values of a feature lie: shares by bin, of one time or of two side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.core.words import figure
from assay.report.blocks import Chart
from assay.report.charts import FAINT, FIGURES, MARK, Spec, drawn, named
from assay.report.tables import Tables

_BINS = 10
_MOST_VALUES = 12
_MOST_CATEGORIES = 7
_OTHER = "all other"
_LONGEST_LABEL = 16


@dataclass(frozen=True)
class Bin:
    """A range of numbers, or one value; `shares` by side: of its values that are not NULL, those in here.

    `ends` are those of a range; None of one value.
    """

    label: str
    shares: dict[str, float]
    ends: tuple[float, float] | None = None


def bins_of_numbers(tables: Tables, occurrences: str) -> list[Bin]:
    """Return the shares of numbers: of each value where there are few, else of ten ranges of one width.

    The outermost hundredth on either end falls into the first and the last range, which it would stretch.

    Args:
        tables: where the query is answered.
        occurrences: a query of `side` (text), `value` (double, not NULL) and `occurrences`.

    Raises:
        Absent: the query cannot be answered.
    """
    [bounds] = tables.fetch(
        f"""
        with counted as (

            select value, sum(occurrences) as n from ({occurrences}) where isfinite(value) group by value

        ),

        ranked as (

            select value, sum(n) over (order by value) / sum(n) over () as up_to from counted

        )

        select
            count(*) as value_count,
            min(value) as least,
            max(value) as most,
            min(value) filter (up_to >= 0.01) as low,
            min(value) filter (up_to >= 0.99) as high
        from ranked
        """
    )
    if not bounds["value_count"]:
        return []
    if bounds["value_count"] <= _MOST_VALUES:
        return _by_place(tables, occurrences, "value", figure)
    is_flat = bounds["low"] == bounds["high"]
    low, high = (bounds["least"], bounds["most"]) if is_flat else (bounds["low"], bounds["high"])
    width = (high - low) / _BINS
    place = f"least({_BINS - 1}, greatest(0, floor((value - {low!r}) / {width!r})))"

    def label(found: float) -> str:
        return f"{figure(low + found * width, 4)} to {figure(low + (found + 1) * width, 4)}"

    filled = {each.label: each.shares for each in _by_place(tables, occurrences, place, label)}
    return [
        Bin(label(at), filled.get(label(at), {}), (low + at * width, low + (at + 1) * width))
        for at in range(_BINS)
    ]


def bins_of_categories(tables: Tables, occurrences: str) -> list[Bin]:
    """Return the shares of the most frequent categories, and of all others.

    Args:
        tables: where the query is answered.
        occurrences: a query of `side` (text), `value` (text, not NULL) and `occurrences`.

    Raises:
        Absent: the query cannot be answered.
    """
    rows = tables.fetch(
        f"""
        with ranked as (

            select value, row_number() over (order by sum(occurrences) desc, value) as place
            from ({occurrences})
            group by value

        )

        select
            side,
            least(place, {_MOST_CATEGORIES + 1}) as place,
            if(place <= {_MOST_CATEGORIES}, value, '{_OTHER}') as label,
            sum(occurrences) as n
        from ({occurrences})
        inner join ranked using (value)
        group by all
        order by all
        """
    )
    return _shared([(row["side"], row["place"], row["label"], row["n"]) for row in rows])


def distribution_chart(title: str, bins: Sequence[Bin], sides: Sequence[str]) -> Chart:
    """Draw the shares of bins; of two sides the first is what the second is compared with.

    Args:
        title: of the chart.
        bins: in their order.
        sides: as `Bin.shares` has them.
    """
    rows = [
        {
            "bin": _shortened(each.label),
            "side": side,
            "share": each.shares.get(side, 0.0),
            "words": f"{each.label}: {each.shares.get(side, 0.0):.1%}"
            + (f" of {side}" if len(sides) > 1 else ""),
            **(_ends(each.ends, is_inner=side != sides[0]) if each.ends else {}),
        }
        for side in sides
        for each in bins
    ]
    is_range = bins[0].ends is not None
    spec = _histogram(sides) if is_range else _bars(bins, sides)
    height = 90 if is_range else (16 if len(sides) == 1 else 24) * len(bins)
    most = [max(bins, key=lambda each: each.shares.get(side, 0.0)) for side in sides]
    said = "; ".join(
        f"{side}: most often {each.label}, {each.shares.get(side, 0.0):.1%}"
        for side, each in zip(sides, most, strict=True)
    )
    return Chart(title, f"{title}. {said}.", drawn(spec, height=height, rows=rows))


def _ends(ends: tuple[float, float], *, is_inner: bool) -> dict[str, float]:
    """Return where a bar begins and ends; of two sides the second stands within the first."""
    inset = (ends[1] - ends[0]) * (0.3 if is_inner else 0.06)
    return {"from": ends[0] + inset, "to": ends[1] - inset}


def _histogram(sides: Sequence[str]) -> Spec:
    x = {"field": "from", "type": "quantitative", "scale": {"zero": False}}
    x["axis"] = {"tickCount": 4, "grid": False, **FIGURES}
    y = {"field": "share", "type": "quantitative", "axis": {"tickCount": 3, "format": ".0%"}}
    return named({"type": "rect"}, x=x, x2={"field": "to"}, y=y, y2={"datum": 0}, color=_color(sides))


def _bars(bins: Sequence[Bin], sides: Sequence[str]) -> Spec:
    y = {
        "field": "bin",
        "type": "nominal",
        "sort": [_shortened(each.label) for each in bins],
        "axis": {"ticks": False},
        "scale": {"paddingInner": 0.25},
    }
    x = {"field": "share", "type": "quantitative", "axis": {"tickCount": 3, "format": ".0%"}}
    beside = {"field": "side", "type": "nominal", "scale": {"domain": list(sides)}}
    spec = named({"type": "bar"}, x=x, y=y, color=_color(sides), yOffset=beside)
    # Letters of the page may be wider than those that the drawing was measured with.
    return spec | {"padding": {"left": 16, "right": 8, "top": 4, "bottom": 2}}


def _color(sides: Sequence[str]) -> Spec:
    return {
        "field": "side",
        "type": "nominal",
        "scale": {"domain": list(sides), "range": [MARK] if len(sides) == 1 else [FAINT, MARK]},
        "legend": {"labelLimit": 200, "columnPadding": 28} if len(sides) > 1 else None,
    }


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def _by_place(tables: Tables, occurrences: str, place: str, label: Callable[[float], str]) -> list[Bin]:
    rows = tables.fetch(
        f"select side, {place} as place, sum(occurrences) as n from ({occurrences}) "
        "where isfinite(value) group by all order by all"
    )
    return _shared([(row["side"], row["place"], label(row["place"]), row["n"]) for row in rows])


def _shared(counts: Sequence[tuple[str, float, str, int]]) -> list[Bin]:
    """Return bins in the order of their places; counts are side, place, label and how many."""
    totals: dict[str, int] = {}
    bins: dict[float, Bin] = {}
    for side, _, _, n in counts:
        totals[side] = totals.get(side, 0) + int(n)
    for side, place, label, n in counts:
        bins.setdefault(place, Bin(label, {})).shares[side] = int(n) / totals[side]
    return [bins[place] for place in sorted(bins)]
