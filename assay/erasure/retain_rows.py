"""Remove landed rows whose own time is older than their contract keeps them, as people are forgotten.

What lands tells of an event or of a change. An event goes with its row. Of change data, what is the state of
a key stays, however old it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4

import duckdb

from assay.build.publications import find_kept
from assay.console.progress import Display
from assay.contracts.retention import RowRetention
from assay.core.fault import Fault, known_fault
from assay.core.places import Places, landing_url
from assay.core.sql import folded, quoted
from assay.erasure.beside import Trace, find_made_anew
from assay.erasure.carry_out import Erased, carry_out, opened_warehouse, parsed
from assay.erasure.cold import check_copies
from assay.erasure.elsewhere import count_samples
from assay.erasure.find import FileLines, columns_of, published_files, tables_of_readers
from assay.erasure.journal import Journal
from assay.erasure.landed import find_landed
from assay.erasure.objects import fetch_objects, name_unseen
from assay.erasure.old_rows import ChangeLog, Kept, OldRows, OldTable, count_kept
from assay.erasure.removal import TooOld
from assay.erasure.versions import find_rows
from assay.landing.declared import LandingTable, declared_tables
from assay.landing.schema.values import is_change_log
from assay.ledger.rollbacks import whoever_asks
from assay.online.stores.open import store_file, store_url
from assay.project.calls import Ref, calls_of
from assay.project.graph import Manifest, relation_of
from assay.project.paths import all_model_paths
from assay.stream.hot.base import base_file
from assay.training.store import VersionStore


@dataclass(frozen=True)
class FoundRows:
    """Which landed rows are too old, and what has become of them.

    Attributes:
        removed: the landing tables, and the landed files that have such rows.
        lines: the rows that go, of each landed file.
        kept: each landing table, and how many of its rows stay although they may be too old.
        traces: of all places.
        unseen: places in which nobody can look by time.
        done: what has been done; None in a dry run, and where nothing was to do.
    """

    removed: OldRows
    lines: list[FileLines] = field(default_factory=list)
    kept: list[tuple[OldTable, Kept]] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    done: Erased | None = None

    @property
    def rows(self) -> int:
        """How many landed rows go."""
        return sum(len(each.spans) for each in self.lines)


def find_old_rows(places: Places, retentions: dict[str, RowRetention], at: datetime) -> FoundRows:
    """Find the landed rows that are too old, and all places that rest on them; change nothing.

    Args:
        places: of the project.
        retentions: how long rows are kept, by relation in lower case.
        at: the moment at which rows are judged (UTC, naive).

    Raises:
        Fault: nothing is built, or nobody can tell which changes are the state of their key.
    """
    manifest = parsed()
    declared = {
        folded(f"landing.{each.relation}"): each for each in declared_tables(*all_model_paths()).values()
    }
    tables = [
        _describe(declared[relation], retention, manifest, at)
        for relation, retention in sorted(retentions.items())
        if relation in declared
    ]
    removal = TooOld(OldRows(tuple(tables)), manifest)
    try:
        with opened_warehouse(places) as connection:
            lines = removal.find_lines(connection)
            kept = [(each, count_kept(connection, each, declared[folded(each.relation)])) for each in tables]
        affected = {(each.source, each.table) for each in lines}
        removed = OldRows(
            tuple(each for each in tables if (each.source, each.name) in affected),
            tuple(each.file_id for each in lines),
        )
        found = FoundRows(removed, lines, kept)
        if not lines:
            return found
        removal = TooOld(removed, manifest)
        return replace(found, traces=[*_find_traces(places, lines, removal)], unseen=[*_name_unseen()])
    except duckdb.Error as error:
        raise known_fault(error) or error from error


def remove_old_rows(
    places: Places, retentions: dict[str, RowRetention], at: datetime, display: Display
) -> FoundRows:
    """Remove the landed rows that are too old, and build what rests on them anew. The caller holds the lock.

    Args:
        places: of the project.
        retentions: how long rows are kept, by relation in lower case.
        at: the moment at which rows are judged (UTC, naive).
        display: shows the progress.

    Raises:
        Fault: nobody can tell which rows go, or something cannot be removed. What has begun is ended by the
            next call or build.
    """
    fetch_objects(places, display)
    found = find_old_rows(places, retentions, at)
    if not found.lines:
        return found
    check_copies(places, found.lines)
    reason = "; ".join(each.said for each in found.removed.tables)
    journal = Journal(str(uuid4()), found.removed, whoever_asks(), reason, at, rows=found.rows)
    journal.keep(places.warehouse)
    return replace(found, done=carry_out(places, journal, display))


def _describe(declared: LandingTable, retention: RowRetention, manifest: Manifest, at: datetime) -> OldTable:
    table = OldTable(
        declared.source,
        declared.name,
        retention.column,
        retention.time_format,
        retention.cutoff(at),
        f"{retention.said} by {retention.column}, {retention.where}",
    )
    return replace(table, log=_find_log(table, manifest)) if is_change_log(declared) else table


def _find_log(table: OldTable, manifest: Manifest) -> ChangeLog:
    """Return the models of silver that tell which changes are the state of their key.

    Raises:
        Fault: there are none.
    """
    below = [manifest.nodes[id_] for id_ in TooOld(OldRows((table,)), manifest).descendants]
    models = {node["name"]: node for node in below if node["resource_type"] == "model"}
    for node in models.values():
        for call in calls_of("effective_changes", str(node["raw_code"])):
            checked, key = call.get("checked"), call.get("key")
            if isinstance(checked, Ref) and checked.name in models and isinstance(key, str):
                return ChangeLog(relation_of(models[checked.name]), relation_of(node), key)
    raise Fault(
        f"{table.relation} is change data, of which the newest change of each key stays, and no model of "
        "silver tells which that is: write one with checked_changes and one with effective_changes, as assay "
        "source add does, and build."
    )


def _find_traces(places: Places, lines: list[FileLines], removal: TooOld) -> Iterator[Trace]:
    """Yield all places that have rows which go, or that rest on them, and what becomes of each."""
    yield from find_landed(places, lines)
    landed: Counter[str] = Counter()
    for each in lines:
        landed[f"landing.{each.source}__{each.table}"] += len(each.spans)
    for table, rows in sorted(landed.items()):
        yield Trace(table, rows, "removed")
    with opened_warehouse(places) as connection:
        yield from _find_built(connection, removal)
    for file in [*published_files(places), *tables_of_readers(places)]:
        yield Trace(f"published {file}", 0, "written anew")
    for kept in find_kept(places.published):
        yield Trace(f"publication {kept.run_id}", 0, "removed: a rollback would bring the rows back")
    yield from find_made_anew(places)
    for version in VersionStore(places).versions():
        gone = {file: rows for file, (rows, _) in find_rows(version, removal)}
        for file, rows in gone.items():
            yield Trace(
                f"training set {version.manifest.version}, {file.name}", rows, "removed: no longer whole"
            )
        if not gone and removal.breaks(version):
            yield Trace(f"training set {version.manifest.version}", 0, "stays, and is no longer whole")
    if (store := store_file(store_url(None, places))) and store.is_file():
        yield Trace(f"online store {store}", 0, "what the build publishes")
    if (base := base_file(places)).is_file():
        yield Trace(f"{base}", 0, "removed: streams make it anew")
    if rows := count_samples(places.ledger, removal.tests):
        yield Trace(f"run ledger {places.ledger}", rows, "rows of failed tests, removed")


def _find_built(connection: duckdb.DuckDBPyConnection, removal: TooOld) -> Iterator[Trace]:
    """Yield the tables of the warehouse that rest on the landing tables."""
    there = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    nodes = [removal.manifest.nodes[id_] for id_ in removal.descendants]
    for schema, table in sorted(
        {(str(node["schema"]), str(node.get("alias") or node["name"])) for node in nodes}.intersection(there)
    ):
        if condition := removal.condition_in(schema, table, columns_of(connection, schema, table)):
            [(rows,)] = connection.execute(
                f"select count(*) from {quoted(schema)}.{quoted(table)} where {condition}"
            ).fetchall()
            yield Trace(f"{schema}.{table}", rows, "ended states are removed")
        else:
            yield Trace(f"{schema}.{table}", 0, "built anew")


def _name_unseen() -> Iterator[str]:
    if url := landing_url():
        yield from name_unseen(url)
    yield "tables that no model builds, logs, and landed files that could not be loaded"
    yield "other files that people have exported, and backups"
