"""What ran: the latest build with its nodes, and the builds before it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from assay.core.words import change, counted, duration, listed, moment, number, timing
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run
from assay.ledger.status import IN_PART
from assay.report.blocks import (
    Block,
    Chart,
    Charts,
    Details,
    Facts,
    Head,
    Need,
    Section,
    Table,
    Text,
    Tone,
)
from assay.report.charts import BAD, INK, MARK, SOFT, WATCH, Spec, drawn, named
from assay.report.docs import Docs

_RUNS_DRAWN = 30
_RUNS_LISTED = 100
_SLOWEST = 8
# Room for some more, so that bars of few builds are no walls.
_FEWEST_PLACES = 12
_NAME_WIDTH = 250
_COLORS = {"published": MARK, IN_PART: WATCH, "succeeded": SOFT, "failed": BAD, "killed": INK}
_TONES: dict[str, Tone] = {"published": "good", IN_PART: "watch", "failed": "bad", "killed": "bad"}


def runs_section(
    run: Run,
    nodes: Sequence[NodeResult],
    nodes_before: Sequence[NodeResult],
    history: Sequence[tuple[Run, str]],
    docs: Docs,
) -> Section:
    """Tell of a run and those before it.

    Args:
        run: the latest.
        nodes: what became of its nodes; none where the ledger is of a version that did not keep them.
        nodes_before: those of the last successful run before it.
        history: all runs of the warehouse with how they ended, newest first.
        docs: of dbt.
    """
    facts = [
        ("Run", Text(run.run_id)),
        ("Command", Text(run.command)),
        ("Code", Text(run.code_version or "unknown")),
        ("Started", Text(f"{moment(run.started_at)} UTC")),
        ("Took", Text(duration(_seconds(run)), note=timing(run.dbt_seconds, run.duckdb_seconds))),
        ("Landed", Text(f"{counted(run.files_loaded, 'file')}, {counted(run.rows_landed, 'row')}")),
    ]
    if run.as_of:
        facts.append(("As of", Text(f"{moment(run.as_of)} UTC")))
    charts = [_durations(history[:_RUNS_DRAWN])] if len(history) > 1 else []
    charts += [_slowest(nodes)] if nodes else []
    blocks: list[Block] = [Facts(facts)]
    blocks += [Charts(charts)] if charts else []
    if nodes:
        blocks.append(Details(f"All {counted(len(nodes), 'node')}", [_nodes(nodes, nodes_before, docs)]))
    blocks.append(Details(f"All {counted(len(history), 'build')}", [_runs(history)]))
    return Section(_lead(run, nodes), blocks, _needs(run, nodes, history))


def _lead(run: Run, nodes: Sequence[NodeResult]) -> str:
    if not nodes:
        return (
            f"The latest build took {duration(_seconds(run))}. What became of its models and tests is not in "
            "the ledger: the build ended before dbt ran, or the version of Assay that built did not keep it."
        )
    kinds = [(kind, sum(node.kind == kind for node in nodes)) for kind in ("model", "seed", "snapshot")]
    tests = sum(node.kind.endswith("test") for node in nodes)
    ran = [counted(count, kind) for kind, count in [*kinds, ("test", tests)] if count]
    return f"The latest build ran {listed(ran, most=len(ran))} in {duration(_seconds(run))}."


def _needs(run: Run, nodes: Sequence[NodeResult], history: Sequence[tuple[Run, str]]) -> list[Need]:
    found = []
    if run.status == "failed" and not any(node.is_bad for node in nodes):
        found.append(Need("bad", f"The latest build failed: {run.message or 'it is not known why'}"))
    newest, status = history[0]
    if status == "killed":
        found.append(
            Need("watch", f"A build that began {moment(newest.started_at)} UTC was killed; build again.")
        )
    return found


def _seconds(run: Run) -> float | None:
    return (run.ended_at - run.started_at).total_seconds() if run.ended_at else None


def _durations(newest_first: Sequence[tuple[Run, str]]) -> Chart:
    runs = [(run, status, _seconds(run) or 0.0) for run, status in reversed(newest_first)]
    places = max(len(runs), _FEWEST_PLACES)
    rows = [
        {
            "position": position,
            "seconds": seconds,
            "status": status,
            "words": f"{moment(run.started_at)}: {status}, {duration(seconds)}",
        }
        for position, (run, status, seconds) in enumerate(runs, places - len(runs))
    ]
    statuses = {status: sum(each[1] == status for each in runs) for status in _COLORS}
    statuses = {status: count for status, count in statuses.items() if count}
    longest = max(seconds for _, _, seconds in runs)
    said = listed([f"{count:,} {status}" for status, count in statuses.items()], most=len(statuses))
    words = f"Of the last {counted(len(runs), 'build')}, {said}; the longest took {duration(longest)}."
    labels = {places - 1: moment(runs[-1][0].started_at)}
    if places == len(runs):
        labels[0] = moment(runs[0][0].started_at)
    spec = _durations_spec(places, labels, list(statuses))
    return Chart("How long builds took, the newest on the right", words, drawn(spec, height=120, rows=rows))


def _durations_spec(places: int, labels: Mapping[int, str], statuses: Sequence[str]) -> Spec:
    x = {
        "field": "position",
        "type": "ordinal",
        "scale": {"domain": list(range(places)), "paddingInner": 0.25},
        "axis": {
            "values": list(labels),
            "labelExpr": f"{json.dumps(labels)}[datum.value]",
            "labelAlign": {"condition": {"test": "datum.value", "value": "right"}, "value": "left"},
            "labelAngle": 0,
            "ticks": False,
        },
    }
    color = {
        "field": "status",
        "type": "nominal",
        "scale": {"domain": statuses, "range": [_COLORS[status] for status in statuses]},
        "legend": {} if len(statuses) > 1 else None,
    }
    y = {
        "field": "seconds",
        "type": "quantitative",
        "axis": {"tickCount": 3, "labelExpr": "datum.label + ' s'"},
    }
    return named({"type": "bar"}, x=x, y=y, color=color)


def _slowest(nodes: Sequence[NodeResult]) -> Chart:
    slowest = sorted(nodes, key=lambda node: (-node.seconds, node.unique_id))[:_SLOWEST]
    rows = [
        {
            "name": _name(node),
            "seconds": node.seconds,
            "took": duration(node.seconds),
            "words": f"{node.kind} {_name(node)}: {duration(node.seconds)}",
        }
        for node in slowest
    ]
    x = {"field": "seconds", "type": "quantitative", "axis": None}
    label = {"type": "text", "baseline": "bottom", "yOffset": 2}
    spec = {
        "encoding": {"y": {"field": "name", "type": "nominal", "sort": None, "axis": None}},
        "layer": [
            named({"type": "bar", "height": 5, "yOffset": 6}, x=x),
            {
                "mark": {**label, "align": "left", "x": 0, "limit": _NAME_WIDTH},
                "encoding": {"text": {"field": "name"}},
            },
            {"mark": {**label, "align": "right", "x": "width"}, "encoding": {"text": {"field": "took"}}},
        ],
    }
    words = listed([f"{row['name']} {row['took']}" for row in rows], most=_SLOWEST)
    return Chart("What took longest", f"{words}.", drawn(spec, height=27 * len(rows), rows=rows))


def _name(node: NodeResult) -> str:
    return node.relation if not node.kind.endswith("test") and node.relation else node.name


def _nodes(nodes: Sequence[NodeResult], before: Sequence[NodeResult], docs: Docs) -> Table:
    columns = [Head("node"), Head("kind"), Head("status")]
    columns += [Head(name, True) for name in ("seconds", "rows", "change")]
    had = {node.unique_id: node.table_rows for node in before}
    rows = []
    for node in nodes:
        tone: Tone = "none" if not node.is_bad else "watch" if node.status == "warn" else "bad"
        rows.append(
            [
                docs.text(_name(node), node.unique_id),
                Text(node.kind),
                Text(node.status, tone),
                Text(f"{node.seconds:.2f}"),
                Text(number(node.table_rows)),
                Text(change(node.table_rows, had.get(node.unique_id))),
            ]
        )
    caption = "Nodes in the order in which they began; change is since the last build that succeeded"
    return Table(caption, columns, rows)


def _runs(history: Sequence[tuple[Run, str]]) -> Table:
    rows = [
        [
            Text(run.run_id[:8]),
            Text(moment(run.started_at)),
            Text(status, _TONES.get(status, "none")),
            Text(duration(_seconds(run))),
            Text(number(run.files_loaded)),
            Text(number(run.rows_landed)),
            Text(number(run.tests_passed)),
            Text(number(run.tests_failed)),
            Text(run.command.removeprefix("assay "), note=run.message or ""),
        ]
        for run, status in history[:_RUNS_LISTED]
    ]
    columns = [
        Head("build"),
        Head("started (UTC)"),
        Head("status"),
        Head("took", True),
    ]
    columns += [Head(name, True) for name in ("files", "rows", "passed", "failed")] + [Head("command")]
    more = len(history) - _RUNS_LISTED
    said = f"; {more:,} more are in assay runs list" if more > 0 else ""
    return Table(f"Builds, newest first{said}", columns, rows)
