"""Print versions: a list, one in full, differences, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.leakage.report import print_checks
from assay.project.personal import read_personal
from assay.training.diff import Difference
from assay.training.export import Shard
from assay.training.store import Corpus, Split, Version
from assay.training.verify import Verification

if TYPE_CHECKING:
    from assay.training.mlflow import Logged


def print_list(versions: Sequence[Version], known: Iterable[str], console: Console) -> None:
    """Print a table of all versions, newest first, and the training sets without a version."""
    if versions:
        table = table_titled("Versions of training sets (times in UTC)")
        table.add_column("version", no_wrap=True)
        table.add_column("rows", justify="right", no_wrap=True)
        table.add_column("splits")
        table.add_column("as of", no_wrap=True)
        table.add_column("created", no_wrap=True)
        are_of_lakes = any(version.manifest.lake_snapshot is not None for version in versions)
        if are_of_lakes:
            table.add_column("snapshot", justify="right", no_wrap=True)
        for version in reversed(versions):
            manifest = version.manifest
            splits = ", ".join(f"{each.split} {each.rows:,}" for each in manifest.splits)
            table.add_row(
                manifest.version,
                f"{manifest.rows:,}",
                splits,
                _time(manifest.as_of),
                _time(manifest.created_at),
                *[str(manifest.lake_snapshot or "")] * are_of_lakes,
            )
        console.print(table)
    without = sorted(set(known) - {version.manifest.name for version in versions})
    if without:
        line(console, f"No version yet: {', '.join(without)}. To make one: assay training-set create NAME")
    elif not versions:
        line(console, "There are no training sets: models whose names begin with trn_ are.")


def print_logged(logged: Logged, console: Console) -> None:
    """Print to which run a version was logged."""
    record = logged.record
    line(console, f"{record.version} is a dataset of run {record.model_run_id} in {record.tracking_uri}.")
    if not logged.has_card:
        line(
            console,
            "Its card is not among the artifacts, because the server does not take these itself: start it "
            "with --serve-artifacts, and log to a run of a new experiment, to have it there.",
        )
    line(console, f"Send run_id {record.model_run_id} with predictions, so that assay trace follows them.")


def print_version(version: Version, console: Console) -> None:
    """Print the details of a version."""
    manifest = version.manifest
    table = table_titled(f"{manifest.version}: {counted(manifest.rows, 'row')}")
    views = {feature.column: feature.view for feature in manifest.features}
    for name in ("column", "type", "feature of", "description"):
        table.add_column(name, overflow="fold")
    for column in manifest.columns:
        name = f"{column.name} (key)" if column.name in manifest.primary_key else column.name
        table.add_row(name, column.type, views.get(column.name, ""), " ".join(column.description.split()))
    console.print(table)
    for split in manifest.splits:
        line(console, f"Split         {_split(split)}")
    if manifest.corpus:
        _print_corpus(manifest.corpus, console)
        line(console, f"All that was read, and why it was kept or not: {version.documents}")
    line(
        console,
        f"As of         {_time(manifest.as_of)}{'' if manifest.is_as_of_given else ', all that was known'}",
    )
    if manifest.lake_snapshot is not None:
        line(console, f"Snapshot      {manifest.lake_snapshot} of the lake")
    line(
        console,
        f"Made from     {counted(manifest.input_files, 'file')}, {counted(manifest.input_rows, 'row')}: "
        f"{version.folder}/files.csv",
    )
    commit = manifest.code_version or "no git"
    line(
        console,
        f"Code          {manifest.code_hash[:12]}, {len(manifest.code)} parts ({commit}); {manifest.engine}",
    )
    line(console, f"Content hash  {manifest.content_hash}")
    line(console, f"Created       {_time(manifest.created_at)}, of run {manifest.run_id}")


def print_created(version: Version, is_new: bool, console: Console) -> None:
    """Print the outcome of `create`, and what to do with the version."""
    manifest = version.manifest
    console.print()
    known = f"exists already, since {_time(manifest.created_at)} UTC: content and types are the same"
    line(console, f"{manifest.version} {'is new' if is_new else known}")
    line(
        console,
        f"  {counted(manifest.rows, 'row')}, {counted(len(manifest.columns), 'column')}, "
        f"as of {_time(manifest.as_of)} UTC",
    )
    for split in manifest.splits:
        line(console, f"  {_split(split)}")
    if manifest.corpus:
        _print_corpus(manifest.corpus, console)
    console.print()
    line(console, "Next")
    line(console, f"  assay training-set show {manifest.version}")
    line(console, f"  assay training-set verify {manifest.version}")
    line(console, f"  assay training-set export {manifest.version} --out exports/{manifest.name}")


def print_exported(
    version: Version, format_name: str, shards: Sequence[Shard], out: Path, console: Console
) -> None:
    """Print which files an export wrote."""
    rows, size = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
    console.print()
    line(
        console,
        f"{version.manifest.version} is in {out}: "
        f"{counted(rows, 'row')} in {counted(len(shards), 'file')} of {format_name}, "
        f"{size:,} bytes; dataset_info.json has their hashes",
    )


def print_verified(
    version: Version, verification: Verification, console: Console, *, strict: bool = False
) -> None:
    """Print whether a version was rebuilt to the bit, or what differs; and whether anything leaks."""
    console.print()
    manifest = version.manifest
    for finding in verification.findings:
        line(console, f"FAILED {finding.check}: {finding.message}")
        if finding.difference:
            _print_difference(finding.difference, manifest.primary_key, console)
    if verification.findings:
        return
    line(
        console,
        f"{manifest.version} was rebuilt to the bit: "
        f"{counted(manifest.rows, 'row')}, {manifest.content_hash}",
    )
    console.print()
    if verification.unchecked:
        line(console, f"Not checked for leaks: {verification.unchecked}")
    else:
        print_checks(verification.leaks, console, strict=strict)


def print_diff(before: Version, after: Version, difference: Difference, console: Console) -> None:
    """Print how the second version differs from the first, and why."""
    line(console, f"From {before.manifest.version} to {after.manifest.version}")
    _print_difference(difference, before.manifest.primary_key, console)
    for reason in difference.reasons:
        line(console, f"Why: {reason}")


def _print_difference(difference: Difference, keys: Sequence[str], console: Console) -> None:
    personal = read_personal()
    for change in difference.schema:
        line(console, f"Schema: {change}")
    for count, what, example in (
        (difference.added, "added", difference.first_added),
        (difference.removed, "removed", difference.first_removed),
    ):
        line(
            console,
            f"Rows {what}: {count:,}{f', such as {personal.example(example, keys)}' if count else ''}",
        )
    line(console, f"Rows changed: {difference.changed:,}")
    if difference.columns:
        table = table_titled("Changed values")
        table.add_column("column", overflow="fold")
        table.add_column("rows", justify="right")
        for name in ("such as", "before", "after"):
            table.add_column(name, overflow="fold")
        for column in difference.columns:
            values = (personal.example(value, [column.name]) for value in (column.before, column.after))
            key = personal.example(column.key, keys)
            table.add_row(column.name, f"{column.rows:,}", key, *map(_value, values))
        console.print(table)


def _print_corpus(corpus: Corpus, console: Console) -> None:
    """Print what became of the rows that were read, and what was counted."""
    table = table_titled(f"Of {counted(corpus.read, 'row')} read ({corpus.format})")
    table.add_column("outcome")
    table.add_column("rows", justify="right")
    kept = {"kept": corpus.outcomes["kept"]}
    for outcome, rows in (kept | corpus.outcomes).items():
        table.add_row(outcome.replace("_", " "), f"{rows:,}")
    console.print(table)
    line(console, f"Tokens        {corpus.tokens:,} by {corpus.tokenizer}")
    masked = ", ".join(f"{count:,} <{kind.upper()}>" for kind, count in corpus.masked.items())
    line(console, f"Masked        {masked or 'nothing'}")


def _value(text: str | None) -> str:
    return "NULL" if text is None else text


def _split(split: Split) -> str:
    rate = "" if split.outcome_rate is None else f", outcome {split.outcome_rate:.2%}"
    tokens = "" if split.tokens is None else f", {counted(split.tokens, 'token')}"
    return f"{split.split}: {counted(split.rows, 'row')}{rate}{tokens}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
