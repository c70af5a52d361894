"""Write a review as one HTML file, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.core.words import counted, figure, number, value
from assay.diff.display import (
    conclude,
    describe_column,
    describe_costs,
    describe_key,
    describe_rows,
    describe_spreads,
    drift_figures,
    pair_scores,
)
from assay.diff.review import Review
from assay.diff.tables import TableDiff
from assay.diff.training import TrainingDiff
from assay.report.blocks import Block, Charts, Details, Head, Paragraph, Section, Table, Text, Tone
from assay.report.gather import Part
from assay.report.html import environment, replace_page

_PACKAGE = "assay.diff"
_NOTHING = "\N{EN DASH}"
_TONES: dict[str, Tone] = {
    "added": "good",
    "removed": "bad",
    "changed": "watch",
    "not built": "bad",
    "not compared": "bad",
    "drift": "bad",
    "watch": "watch",
}


@dataclass(frozen=True)
class Page:
    """All that the page shows; `figures` are what, how many, and a remark."""

    base: str
    head: str
    headline: str
    tone: Tone
    notes: Sequence[str]
    figures: Sequence[tuple[str, str, str]]
    parts: Sequence[Part]


def require_file(file: Path) -> None:
    """Check before a review, which may take long, that its page can have this name.

    Raises:
        Fault: it is a folder.
    """
    if file.is_dir():
        raise Fault(f"{file} is a folder: name a file in it, as {file / 'diff.html'}.", MISUSED)


def write_page(review: Review, file: Path) -> Path:
    """Write the page of a review over the one before, and return its file.

    Raises:
        Fault: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return replace_page(
            file, environment(_PACKAGE).get_template("diff.html").render(page=make_page(review))
        )
    except OSError as error:
        raise Fault(f"{file} cannot be written: {error.strerror or error}.", MISUSED) from error


def make_page(review: Review) -> Page:
    """Return what the page of a review shows."""
    found = [each.status for each in review.tables]
    sets = sum(each.bits_change for each in review.training)
    drifting = [name for each in review.drift for name in each.drifting]
    figures = [
        ("Broken promises", str(len(review.breaks)), "contracts, columns, tests, builds"),
        ("Tables changed", str(len(found) - found.count("same")), f"of {len(found)} touched"),
        ("Training sets changed", str(sets), f"of {len(review.training)} touched"),
        ("Features that drift", str(len(drifting)), "of those whose values changed"),
    ]
    differs = bool(found) and set(found) != {"same"}
    tone: Tone = "bad" if review.breaks else "watch" if differs else "good"
    parts = [part for part in _parts(review) if part.section.blocks]
    return Page(review.base, review.head, conclude(review), tone, review.notes, figures, parts)


def _parts(review: Review) -> Iterator[Part]:
    yield Part("breaks", "Broken promises", _breaks(review))
    yield Part("tables", "Tables", _summary(review.tables))
    yield Part("training", "Training sets", _training(review.training))
    yield Part("drift", "Drift", _drift(review))
    for table in review.tables:
        if table.is_detailed:
            yield Part(_anchor(table), table.pair.name, _table(table, review))


def _anchor(table: TableDiff) -> str:
    return "table-" + re.sub(r"\W", "-", table.pair.name)


def _breaks(review: Review) -> Section:
    rows = [[Text(each.kind, "bad"), Text(each.where), Text(each.what)] for each in review.breaks]
    rows += [
        [Text("contract", "none"), Text(each.where), Text(f"{each.what}; breaks nobody")]
        for each in review.contract_changes
        if not each.is_breaking
    ]
    broken = counted(len(review.breaks), "promise")
    lead = f"{broken} to readers of gold would be broken." if review.breaks else "No promise is broken."
    columns = [Head("kind"), Head("where"), Head("what")]
    return Section(lead, [Table("What readers rely on", columns, rows)] if rows else [])


def _summary(tables: Sequence[TableDiff]) -> Section:
    columns = [
        *(Head("table"), Head("is")),
        *(Head(name, is_number=True) for name in ("rows", "added", "removed", "changed", "columns")),
        *(Head(name, is_number=True) for name in ("seconds", "MiB")),
    ]
    rows = []
    for each in tables:
        note = "its own code has changed" if each.pair.is_own else "it reads what has changed"
        name = Text(each.pair.name, note=note, href=f"#{_anchor(each)}" if each.is_detailed else "")
        figures = [*describe_rows(each.rows), *describe_costs(each)]
        rows.append([name, Text(each.status, _TONES.get(each.status, "none")), *map(Text, figures)])
    return Section(
        "Each table that the change touches, parents first. Seconds are those of its build, before > after.",
        [Table("Tables", columns, rows)] if rows else [],
    )


def _training(training: Sequence[TrainingDiff]) -> Section:
    columns = [
        *(Head("training set"), Head("bits"), Head("score")),
        *(Head(name, is_number=True) for name in ("before", "after", "difference")),
    ]
    rows = []
    for each in training:
        bits = Text("change", "watch", note=f"{each.before} > {each.after}")
        if not each.bits_change:
            bits = Text("stay", "good", note=each.after)
        begin = [Text(each.name), bits]
        for name, (before, after) in pair_scores(each).items():
            differing = None if before is None or after is None else after - before
            told = (figure(before, 4), figure(after, 4), number(differing, "+.4f"))
            rows.append([*begin, Text(name.replace("_", " ")), *map(Text, told)])
            begin = [Text(""), Text("")]
        if begin[0].text:
            rows.append([*begin, Text(each.note or _NOTHING), *map(Text, [_NOTHING] * 3)])
    return Section(
        "Whether a version taken afterwards would be another one, and what a model that is trained on it "
        "scores: the same script, on the rows of either side.",
        [Table("Training sets", columns, rows)] if rows else [],
    )


def _drift(review: Review) -> Section:
    columns = [
        *(Head("feature"), Head("verdict")),
        *(Head(name, is_number=True) for name in ("PSI", "KS", "mean", "NULLs")),
    ]
    tables = [
        Table(
            each.view,
            columns,
            [
                [
                    Text(feature.feature),
                    Text(feature.verdict, _TONES.get(feature.verdict, "none")),
                    *map(Text, drift_figures(feature)),
                ]
                for feature in each.features
            ],
        )
        for each in review.drift
    ]
    return Section(
        "How far the values of changed features moved: all states of the base against all of the other side. "
        "The mean is in standard deviations.",
        tables,
    )


def _table(table: TableDiff, review: Review) -> Section:
    rows = table.rows
    if rows is None:
        return Section(f"It is {table.status}.", [Paragraph(table.why_not, is_code=True)])
    said = f"{rows.added:,} rows added, {rows.removed:,} removed, {rows.changed:,} changed"
    how = f"by its key ({', '.join(rows.key)})" if rows.key else f"as a whole: {rows.no_key}"
    if table.status == "added":
        said, how = f"It is new, with {counted(rows.rows_after, 'row')}", "by nothing"
    blocks: list[Block] = []
    if rows.columns:
        told = [describe_column(each.name, each.before, each.after) for each in rows.columns]
        blocks.append(Table("Columns", [Head("column")], [[Text(each)] for each in told]))
    if rows.changed_columns:
        names = ("rows", "NULLs", "least", "mean", "most")
        blocks.append(
            Table(
                "Columns whose values changed, before > after",
                [Head("column"), *(Head(name, is_number=True) for name in names)],
                [
                    [Text(each.name), Text(f"{each.rows:,}"), *map(Text, describe_spreads(each))]
                    for each in rows.changed_columns
                ],
            )
        )
    if charts := review.charts.get(table.pair.name):
        blocks.append(Charts(charts))
    if rows.samples:
        blocks.append(Details("Samples", [_samples(table)]))
    return Section(f"{said}; rows are compared {how}." if rows.key or rows.no_key else f"{said}.", blocks)


def _samples(table: TableDiff) -> Table:
    assert table.rows
    rows = []
    for sample in table.rows.samples:
        begin = [Text(sample.kind, _TONES[sample.kind]), Text(describe_key(sample))]
        for name, (before, after) in sample.values.items():
            told = [
                Text(_NOTHING if sample.kind == missing else value(each))
                for missing, each in (("added", before), ("removed", after))
            ]
            rows.append([*begin, Text(name), *told])
            begin = [Text(""), Text("")]
    columns = [Head(name) for name in ("row", "key", "column", "before", "after")]
    return Table("The first rows of each kind by key; personal data is masked", columns, rows)
