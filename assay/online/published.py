"""Read what the last build published for online stores: `srv_catalog`, and `srv_<view>` for each view."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.online.ahead import Place
from assay.online.definition import Build, OnlineView
from assay.online.stores.store import Entity
from assay.online.stretch import STRETCH_SQL, key_sql, states_sql
from assay.project.conventions import SERVING
from assay.project.warehouse import connect_published, relation_named

CATALOG, POSITIONS = "srv_catalog", "srv_positions"
_ENTITIES_AT_A_TIME = 2000
_VERSIONS = pa.schema([("key", pa.string()), ("version", pa.int64())])


@dataclass(frozen=True)
class Published:
    """The opened published file."""

    connection: duckdb.DuckDBPyConnection

    def relation(self, table: str) -> str:
        """Return a published table as SQL.

        Raises:
            Fault: the table is not published.
        """
        found = relation_named(self.connection, table)
        if found is None:
            raise Fault(f"No table {table} is published. To build and publish all: assay build")
        return found

    def table_of(self, view: OnlineView) -> str:
        """Return the table with a view's online rows, as SQL."""
        return self.relation(SERVING + view.name)

    def views(self) -> dict[str, OnlineView]:
        """Return the views that are to be online, by name."""
        rows = self.connection.execute(
            f"select definition, run_id, known_until from {self.relation(CATALOG)} order by feature_view"
        ).fetchall()
        views = [
            OnlineView.of(definition, Build(run_id, known_until)) for definition, run_id, known_until in rows
        ]
        return {view.name: view for view in views}

    def positions(self) -> dict[Place, int]:
        """Return the last offset that the build has of each partition of the streams."""
        table = relation_named(self.connection, POSITIONS)
        if table is None:
            return {}
        rows = self.connection.execute(f"select source_table, topic, partition, last_offset from {table}")
        return {(source, topic, number): last for source, topic, number, last in rows.fetchall()}

    def measure(self, view: OnlineView) -> OnlineView:
        """Find which entities a published view has, and return it with their number and their digest."""
        self.connection.execute(
            f"create or replace temp table wanted as "
            f"select {key_sql(view.keys)} as key, any_value(version) as version "
            f"from {self.table_of(view)} group by all"
        )
        [row] = self.connection.execute(
            "select count(*), coalesce(bit_xor(hash(key, version)), 0), "
            "coalesce(sum(hash(version, key)::hugeint), 0) from wanted"
        ).fetchall()
        digest = "-".join(f"{part:x}" for part in row)
        return replace(view, build=replace(view.build, synced_at=now(), entities=row[0], digest=digest))

    def compare(
        self,
        view: OnlineView,
        stored: Iterable[tuple[str, int]],
        *,
        ahead: Collection[str] = (),
        settled: Collection[str] = (),
    ) -> Changes:
        """Find the differences between a published view and a store.

        Args:
            view: a published view, as `measure` has returned it last.
            stored: the key and version of each entity in the store.
            ahead: entities that the store knows more of than the build; they stay as they are.
            settled: entities that were ahead; which of them differ is told.
        """
        keys, versions = [], []
        for key, version in stored:
            keys.append(key)
            versions.append(version)
        table = pa.table([pa.array(keys, pa.string()), pa.array(versions, pa.int64())], schema=_VERSIONS)
        self.connection.register("stored", table)
        self.connection.execute(
            "create or replace temp table changed as from wanted anti join stored using (key, version)"
        )
        removed = self.connection.execute("select key from stored anti join wanted using (key)").fetchall()
        self.connection.unregister("stored")
        differing = self._among("changed", settled) | {key for (key,) in removed if key in settled}
        self.connection.execute(
            "delete from changed where key in (select unnest(?::varchar[]))", [list(ahead)]
        )
        return Changes(
            self.connection,
            self.table_of(view),
            view,
            _count(self.connection, "changed"),
            [key for (key,) in removed if key not in ahead],
            differing,
        )

    def _among(self, table: str, keys: Collection[str]) -> set[str]:
        if not keys:
            return set()
        found = self.connection.execute(
            f"select key from {table} where key in (select unnest(?::varchar[]))", [list(keys)]
        ).fetchall()
        return {key for (key,) in found}


@dataclass(frozen=True)
class Changes:
    """The changes that bring a store up to date with a view; `differing` are settled entities among them."""

    connection: duckdb.DuckDBPyConnection
    table: str
    view: OnlineView
    changed: int
    removed: list[str]
    differing: set[str]

    def batches(self) -> Iterator[list[Entity]]:
        """Yield the changed entities."""
        relation = self.connection.execute(
            f"select key, version, {STRETCH_SQL} from ("
            f"select key, any_value(changed.version) as version, {states_sql(self.view)} as states "
            f"from (select *, {key_sql(self.view.keys)} as key from {self.table}) as rows "
            # In the order in which stores keep them, which they write faster and in less room.
            "inner join changed using (key) group by key) as entities order by key"
        )
        while rows := relation.fetchmany(_ENTITIES_AT_A_TIME):
            yield [Entity(*row) for row in rows]


@contextmanager
def open_published(file: Path) -> Iterator[Published]:
    """Open the published file.

    Raises:
        Fault: nothing is published, or the file holds no online views.
    """
    if not file.is_file():
        raise Fault(f"Nothing is published yet in {file.parent}. To build: assay build")
    try:
        connection = connect_published(file)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        published = Published(connection)
        published.relation(CATALOG)
        yield published


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    [row] = connection.execute(f"select count(*) from {table}").fetchall()
    return int(row[0])
