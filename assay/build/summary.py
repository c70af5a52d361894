"""Print the outcome of a build: landed and kept rows, failures, what is published, and what to do next."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from assay.console.tables import line, table_titled
from assay.core.encryption import is_encrypted
from assay.core.places import NAMING_PLACES
from assay.core.words import counted, timing
from assay.ledger.account import Account, Rejects
from assay.ledger.landed_table import make_landed_table
from assay.project.failures import Failure

if TYPE_CHECKING:
    from assay.build.build import Report

_FILES_LISTED = 20


def print_report(report: Report, console: Console) -> None:
    """Print the outcome of a build for people."""
    account, run, verdict = report.account, report.run, report.verdict
    if report.unchanged_since:
        for warning in report.warnings:
            line(console, f"Warning: {warning}")
        line(console, f"{run.message}.")
        line(console, "To build all the same: assay build --all")
        return
    if account.landed:
        console.print()
        console.print(make_landed_table(account.landed, account.checked, report.places.as_of is not None))
    if account.rejects:
        console.print()
        console.print(_rejects_table(account.rejects))
    _print_files(account, console)
    for warning in report.warnings:
        line(console, f"Warning: {warning}")
    for failure in verdict.warnings:
        _print_failure("Warned", failure, console)
    for failure in verdict.failures:
        _print_failure("FAILED", failure, console)
    console.print()
    skipped = f", {counted(verdict.nodes_skipped, 'node')} skipped" if verdict.nodes_skipped else ""
    if report.built_nodes is not None:
        line(
            console,
            f"Built      {report.built_nodes} of {report.of_nodes} models, seeds and snapshots; "
            "the others stay as they were",
        )
    for group, (count, due) in report.waiting.items():
        line(
            console,
            f"Later      {counted(count, 'model')} of {group.replace('_', ' ')}: "
            f"due at {due:%Y-%m-%d %H:%M} UTC (at once: assay build --all)",
        )
    line(console, f"Tests      {verdict.tests_passed} passed, {verdict.tests_failed} failed{skipped}")
    line(console, f"Time       {timing(run.dbt_seconds, run.duckdb_seconds)}")
    if report.publication:
        tables = counted(report.publication.tables, "table")
        rows = counted(report.publication.rows, "row")
        line(console, f"Published  {report.publication.path}: {tables}, {rows}")
        if report.rollback:
            line(console, f"           again, what the warehouse holds: gold was {report.rollback}")
        for product, why in sorted(report.products.stopped.items()):
            line(console, f"Held back  {product}: {why}; readers keep its tables as they were")
    else:
        kept = f"; {report.places.published} stays as it was" if report.places.published.exists() else ""
        line(console, f"Published  nothing: {report.withheld}{kept}")
    if report.search is not None:
        documents, chunks = (
            counted(report.search.documents, "document"),
            counted(report.search.chunks, "chunk"),
        )
        bare = report.search.without_vector
        told = f", {bare:,} of them without a vector (gold.doc_embeddings says why)" if bare else ""
        line(console, f"Search     {report.places.search}: {documents}, {chunks}{told}")
    if report.roles:
        files = counted(len(report.roles), "file")
        anew = sum(each.is_new for each in report.roles)
        line(console, f"Roles      {report.places.roles}: {files}, {anew} written anew")
    if report.online is not None:
        entities = counted(sum(view.entities for view in report.online), "entity", "entities")
        written = sum(view.written for view in report.online)
        views = len(report.online)
        line(console, f"Online     {entities}, {written:,} new or changed; feature views: {views}")
    console.print()
    line(console, "Next")
    for command in _next_commands(report):
        line(console, f"  {command}")


def _rejects_table(rejects: Iterable[Rejects]) -> Table:
    table = table_titled("Rejected rows (whole, with what to do about them, in silver.<table>__rejected)")
    table.add_column("table", no_wrap=True)
    table.add_column("rule", overflow="fold")
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("reason")
    for reject in rejects:
        table.add_row(reject.table, reject.rule_id, f"{reject.rows:,}", reject.reason)
    return table


def _print_files(account: Account, console: Console) -> None:
    if account.troubled:
        console.print()
        line(console, f"Files not loaded: {account.files_not_loaded}")
        for files in account.troubled[:_FILES_LISTED]:
            line(console, f"  {files.named} ({files.status}): {files.error}")
        _more(console, len(account.troubled))
    if account.changed_files:
        console.print()
        line(console, f"Files that changed, loaded as new versions: {len(account.changed_files)}")
        for name in account.changed_files[:_FILES_LISTED]:
            line(console, f"  {name}")
        _more(console, len(account.changed_files))
    changes = [change for change in account.schema_changes if change.state == "open"]
    if changes:
        console.print()
        line(console, "Files that differ from their declaration (to accept that: assay schema accept TABLE):")
        for each in changes:
            since = f"in {counted(each.file_count, 'file')} since {each.first_landed_at:%Y-%m-%d}"
            line(console, f"  {each.table}: a file {each.change} ({since}; {each.handled})")


def _more(console: Console, count: int) -> None:
    if count > _FILES_LISTED:
        line(console, f"  and {count - _FILES_LISTED} more: see bronze.brz_files")


def _print_failure(heading: str, failure: Failure, console: Console) -> None:
    console.print()
    line(console, f"{heading}: {failure}")
    for text in failure.message.splitlines():
        line(console, f"    {text}")
    if failure.skipped:
        verb = "was" if failure.skipped == 1 else "were"
        line(console, f"    {counted(failure.skipped, 'node')} {verb} skipped because of it")


def _next_commands(report: Report) -> list[str]:
    here = Path(sys.prefix).name if Path(sys.prefix).parent == Path.cwd() else ""
    folder = f"{here}/bin/" if here else ""
    named = "".join(
        f"{name}={shlex.quote(os.environ[name])} " for name in NAMING_PLACES if os.environ.get(name)
    )
    commands = [f"{named}{folder}assay status"]
    failed_tests = [failure.name for failure in report.verdict.failures if "test" in failure.kind]
    if failed_tests:
        commands.append(f"{named}{folder}assay explain {failed_tests[0]}")
    else:
        commands.append(f"{named}{folder}assay docs")
    # An encrypted file takes its key, which is not to stand in a command.
    if report.publication and not is_encrypted(report.publication.path):
        # Read-only, because DuckDB locks a file that is opened for writing.
        attached = f"duckdb.sql('attach \\'{report.publication.path}\\' as assay (read_only)')"
        query = f"import duckdb; {attached}; print(duckdb.sql('show all tables'))"
        commands.append(f'{folder}python -c "{query}"')
    return commands
