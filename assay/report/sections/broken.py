"""What broke: models and tests that failed or warned, in the words of `assay explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from assay.alerts.states import Alert
from assay.core.words import counted, listed, moment, value
from assay.ledger.explain import Explanation, Origin
from assay.ledger.nodes import StatusesOfTest
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run
from assay.project.personal import Personal
from assay.report.blocks import (
    Block,
    Details,
    Facts,
    Group,
    Head,
    Need,
    Paragraph,
    Section,
    Strip,
    Strips,
    Table,
    Text,
    Tone,
)
from assay.report.docs import Docs

_ROWS_SHOWN = 3
_ROWS_NAMED = 10
_FAILED: tuple[Tone, str] = ("bad", "failed")
_ENDS: dict[str, tuple[Tone, str]] = {
    "pass": ("good", "passed"),
    "success": ("good", "passed"),
    "warn": ("watch", "warned"),
    "skipped": ("none", "did not run"),
    "": ("none", "did not run"),
}


def broken_section(
    nodes: Sequence[NodeResult],
    alerts: Sequence[Alert],
    explanations: Mapping[str, Explanation],
    docs: Docs,
    personal: Personal | None,
    tests: Sequence[StatusesOfTest] = (),
    runs_before: Sequence[Run] = (),
) -> Section:
    """Tell what failed or warned in a run, the worst first.

    Args:
        nodes: of the run.
        alerts: what its state says of them, and of what has recovered.
        explanations: of tests, by the ids of their nodes.
        docs: of dbt.
        personal: what is personal in the failed rows that are shown; None to show none.
        tests: how tests that failed or warned at least once ended in runs.
        runs_before: the runs that `tests` are of, the oldest first.
    """
    bad = sorted((node for node in nodes if node.is_bad), key=lambda node: (node.status == "warn", node.name))
    runs = {
        (alert.kind, alert.name, alert.about): alert.runs for alert in alerts if alert.change != "recovered"
    }
    recovered = sorted(alert.name for alert in alerts if alert.change == "recovered")
    blocks = [
        _told(
            node,
            runs.get((node.kind, node.name, node.relation), 1),
            explanations.get(node.unique_id),
            docs,
            personal,
        )
        for node in bad
    ]
    if recovered:
        blocks.append(Paragraph(f"Recovered since the build before: {listed(recovered, most=10)}."))
    if len(runs_before) > 1 and tests:
        blocks.append(_strips(tests, runs_before))
    needs = [_need(node, with_figures=personal is not None) for node in bad]
    return Section(_lead(nodes, bad), blocks, needs)


def _strips(tests: Sequence[StatusesOfTest], runs: Sequence[Run]) -> Strips:
    strips = []
    for test in tests:
        ended = [_ENDS.get(test.statuses.get(run.run_id, ""), _FAILED) for run in runs]
        count = {words: sum(end[1] == words for end in ended) for _, words in ended}
        said = listed([f"{words} in {number:,}" for words, number in count.items()], most=len(count))
        marks = [
            (tone, f"{moment(run.started_at)}: {words}")
            for run, (tone, words) in zip(runs, ended, strict=True)
        ]
        words = (
            f"{test.name} of {test.relation}: of {len(runs):,} builds, {said}; {ended[-1][1]} in the latest."
        )
        strips.append(Strip(Text(test.name, note=test.relation), words, marks))
    caption = (
        f"Tests that failed or warned in the last {len(runs):,} builds, the latest on the right: a high mark "
        "failed, a middle one warned, a low one passed, a line did not run"
    )
    return Strips(caption, strips)


def _lead(nodes: Sequence[NodeResult], bad: Sequence[NodeResult]) -> str:
    failed = sum(node.status != "warn" for node in bad)
    warned = len(bad) - failed
    skipped = sum(node.status == "skipped" for node in nodes)
    tests = sum(node.kind.endswith("test") and node.status != "skipped" for node in nodes)
    said = listed([f"{count:,} {verb}" for count, verb in ((failed, "failed"), (warned, "warned")) if count])
    if not nodes:
        return "The ledger does not have the nodes of this run."
    left = f"; {counted(skipped, 'node')} could not run because of that" if skipped else ""
    return (
        f"Of what ran, {said}{left}."
        if said
        else f"Nothing: no model failed, and all {counted(tests, 'test')} passed."
    )


def _need(node: NodeResult, *, with_figures: bool) -> Need:
    is_figure = _is_figure(node)
    said = f", {counted(node.failing_rows, 'row')}" if node.failing_rows and not is_figure else ""
    # Figures of rows are rows, too.
    if node.message and (with_figures or is_figure or not node.failing_rows):
        said += f": {node.message.splitlines()[0].rstrip('.')}"
    about = f" of {node.relation}" if node.relation and node.relation != node.name else ""
    verb = "warns" if node.status == "warn" else "failed"
    return Need(
        "watch" if node.status == "warn" else "bad",
        f"{node.kind.capitalize()} {node.name}{about} {verb}{said}.",
        node.owner,
    )


def _is_figure(node: NodeResult) -> bool:
    """Tell whether what a test returns is no row of a table, but a figure and what is promised of it."""
    return bool(node.sample) and all("promised" in row and "observed" in row for row in node.sample)


def _told(
    node: NodeResult, runs: int, found: Explanation | None, docs: Docs, personal: Personal | None
) -> Block:
    """Tell all that is known of a node; of one that warns on demand."""
    is_warning = node.status == "warn"
    facts = [
        ("Kind", Text(f"{node.kind}, {'a warning' if is_warning else 'an error'}")),
        ("About", docs.text(node.relation, None if node.kind.endswith("test") else node.unique_id)),
        ("Owner", Text(node.owner or "nobody is named")),
        ("Since", Text("this build" if runs == 1 else f"{runs:,} builds")),
    ]
    if _is_figure(node):
        facts.append(("Found", Text(node.message or "")))
    elif node.failing_rows:
        facts.append(("Failing rows", Text(f"{node.failing_rows:,}", note=(personal and node.message) or "")))
    if found:
        facts.append(("It claims", Text(f"{found.claim}.", note=found.description)))
        facts.append(("What to do", Text(found.remedy)))
        if found.declared_in:
            facts.append(("Declared in", Text(found.declared_in)))
    elif node.kind.endswith("test"):
        facts.append(("What to do", Text(f"assay explain {node.name}")))
    blocks: list[Block] = [Facts(facts)]
    if node.message and not node.failing_rows:
        blocks.append(Paragraph(node.message, is_code=True))
    if node.sample and personal and not _is_figure(node):
        sample = personal.rows(node.sample[:_ROWS_SHOWN], node.relation)
        rows = sample_table(sample, node.failing_rows or len(node.sample))
        blocks.append(Details("Rows that fail", [rows]))
    if found and found.origins:
        blocks.append(Details("Where they came from", [_origins(found.origins)]))
    summary = f"Warning: {node.name}" + (f": {node.message}" if _is_figure(node) else "")
    return Details(summary, blocks) if is_warning else Group(node.name, blocks, "bad")


def _origins(origins: Sequence[Origin]) -> Table:
    files = {
        file: [f"{origin.row_number:,}" for origin in rows]
        for file, rows in groupby(origins, key=lambda origin: origin.source_file)
    }
    rows = [[Text(file), Text(listed(numbers, _ROWS_NAMED))] for file, numbers in files.items()]
    return Table("Of the rows that the ledger keeps", [Head("file"), Head("rows")], rows)


def sample_table(rows: Sequence[Mapping[str, Any]], of: int) -> Table:
    """Return whole rows, some of many, side by side: rows have more columns than a page has room."""
    caption = f"{len(rows):,} of {counted(of, 'row')}" if of > len(rows) else counted(of, "row")
    columns = [Head("column"), *(Head(f"row {position}") for position in range(1, len(rows) + 1))]
    return Table(
        caption, columns, [[Text(name), *(Text(value(row.get(name))) for row in rows)] for name in rows[0]]
    )
