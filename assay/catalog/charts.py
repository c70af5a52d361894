"""The histories of features, drawn: what held when, with the moments at which it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from assay.catalog.values import EntityHistory, State
from assay.core.words import counted, figure, moment
from assay.report.blocks import Chart
from assay.report.charts import FIGURES, INK, MARK, SOFT, Spec, drawn, named

# A chart is as wide as a phone: more points could not be told apart.
_STATES_DRAWN = 60
_MARGIN = 0.06


def history_chart(history: EntityHistory, feature: str, clock: datetime) -> Chart:
    """Draw the states of a feature of an entity; those after the clock come because windows expire.

    Args:
        history: of the entity.
        feature: one of numbers.
        clock: when anything last arrived (UTC).
    """
    states = history.features[feature]
    shown = _near(states, clock)
    past = [state for state in states if state.valid_from <= clock]
    now = next((state for state in reversed(past) if state.valid_to is None or state.valid_to > clock), None)
    changes = counted(len(states) - 1, "change")
    words = (
        f"{feature} of {history.name}, which {history.how}: {changes} since {moment(states[0].valid_from)}; "
        f"at {moment(clock)} it is {figure(_number(now)) if now else 'not known'}"
    )
    if len(states) > len(past):
        words += f", and {counted(len(states) - len(past), 'change')} will follow as windows expire"
    more = f", {len(states) - 1:,} changes" if len(states) > 2 else ""
    title = f"{history.name}, which {history.how}{more}"
    if len(shown) < len(states):
        title += f" (the latest {len(shown)} drawn)"
    return Chart(title, f"{words}.", drawn(_spec(), height=90, rows=_rows(shown, clock)))


def _near(states: Sequence[State], clock: datetime) -> list[State]:
    """Return the last states, of those to come not more than a third."""
    to_come = [state for state in states if state.valid_from > clock][: _STATES_DRAWN // 3]
    past = [state for state in states if state.valid_from <= clock]
    return [*past[-(_STATES_DRAWN - len(to_come)) :], *to_come]


def _rows(states: Sequence[State], clock: datetime) -> list[dict[str, object]]:
    first = states[0].valid_from
    last = max(clock, states[-1].valid_from)
    end = last + max((last - first) * _MARGIN, timedelta(hours=1))
    rows: list[dict[str, object]] = []

    def add(at: datetime, value: float | None, part: str, words: str) -> None:
        rows.append(
            {
                "at": f"{at.isoformat()}Z",
                "value": value,
                "part": part,
                "words": words,
                "is_change": bool(words),
            }
        )

    for state, following in zip(states, [*states[1:], None], strict=True):
        value = _number(state)
        until = state.valid_to or end
        said = f"{moment(state.valid_from)}: {figure(value)}"
        part = "past" if state.valid_from <= clock else "to come"
        add(state.valid_from, value, part, said)
        if part == "past" and until > clock:
            add(clock, value, "past", "")
            add(clock, value, "to come", "")
        add(min(until, end), value, "to come" if until > clock else part, "")
        if following is None or state.valid_to != following.valid_from:
            add(min(until, end), None, part, "")
    rows.append(
        {"at": f"{clock.isoformat()}Z", "value": None, "part": "clock", "words": "", "is_change": False}
    )
    return rows


def _number(state: State) -> float | None:
    return None if state.value is None else float(state.value)


def _spec() -> Spec:
    x = {
        "field": "at",
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {"grid": False, "tickCount": 4, "labelOverlap": True, "labelFlush": True, "format": "%-d %b"},
    }
    y = {"field": "value", "type": "quantitative", "axis": {"tickCount": 3, **FIGURES}}
    parts = ["past", "to come"]
    color = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": parts, "range": [MARK, SOFT]},
        "legend": None,
    }
    dash = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": parts, "range": [[1, 0], [3, 3]]},
        "legend": None,
    }
    return {
        "encoding": {"x": x},
        "layer": [
            {
                "transform": [{"filter": "datum.part == 'clock'"}],
                "mark": {"type": "rule", "color": INK, "strokeWidth": 0.75, "opacity": 0.5},
            },
            {
                "transform": [{"filter": "datum.part != 'clock'"}],
                "mark": {"type": "line", "invalid": "break-paths-show-path-domains"},
                "encoding": {"y": y, "color": color, "strokeDash": dash},
            },
            {
                "transform": [{"filter": "datum.is_change && datum.value != null"}],
                **named({"type": "point", "filled": True, "size": 14, "opacity": 1}, y=y, color=color),
            },
        ],
    }
