"""Run new messages through the project's SQL in memory, over slices of what silver holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa

from assay.core.sql import quoted
from assay.landing.discover import LandingFile
from assay.landing.formats.messages import Message, line_of, read_messages
from assay.landing.formats.rows import Tally, landed_schema, verdict_columns
from assay.landing.segments import Segment
from assay.online.definition import OnlineView
from assay.online.stores.store import Entity
from assay.online.stretch import STRETCH_SQL, key_sql, key_text, states_sql
from assay.pii.forgotten import RULE, read_forgotten
from assay.pii.key import find_pii_key
from assay.project.graph import Node, relation_of
from assay.project.warehouse import attach
from assay.stream.hot.base import LOOK_UP_SETTING, Base, hash_of_key, keys_of, rows_by, rows_everywhere
from assay.stream.hot.plan import CheckedTable, HotPlan, HotView

#: The columns by which the checked tables of a view are cut.
Cut = tuple[str, ...]
_FILES = (
    "file_id bigint, source_file varchar, file_version integer, landed_at timestamp, loaded_at timestamp, "
    "run_id varchar, status varchar, source_name varchar, table_name varchar"
)


@dataclass(frozen=True)
class Computed:
    """What was computed of a view: its entities, and the keys of those without a row that counts.

    `ends` tells until when the rows of each entity are valid, and `clock` when the last change of the view
    arrived, as far as these entities tell it.
    """

    entities: list[Entity]
    gone: list[str]
    ends: list[tuple[str, datetime]]
    clock: datetime | None


class HotSession:
    """A database in memory with the warehouse's names: the models on the way, over slices of their input.

    Args:
        plan: what to run.
        base: the copy of the checked tables.
        published: the published file, from which is read what lies beside the way.
        warehouse: the file beside which stands who was forgotten.
    """

    def __init__(self, plan: HotPlan, base: Base, published: Path, warehouse: Path) -> None:
        self.plan, self._warehouse = plan, warehouse
        # Of so few rows, a second thread takes more time to coordinate than it saves.
        self._connection = duckdb.connect(config={"threads": 1})
        run = self._connection.execute
        run("set TimeZone = 'UTC'")
        run(LOOK_UP_SETTING)
        if key := find_pii_key():
            key.set_variables(self._connection)
        attach(self._connection, base.file, "base")
        attach(self._connection, published, "published")
        run("attach ':memory:' as tail")
        run(f"attach ':memory:' as {quoted(plan.database)}")
        run(f"use {quoted(plan.database)}")
        self._batch = 0
        self._cuts = base.cuts
        self._passing = _passing(plan)
        # By which columns the last messages' slices were told, and what was made of these, with its SQL.
        self._touched_by: Cut | None = None
        self._made: dict[str, str] = {}
        self._make_tables()

    def close(self) -> None:
        """Close the database and the files it reads."""
        self._connection.close()

    def take(self, table: CheckedTable, messages: Mapping[Segment, Sequence[Message]]) -> int:
        """Let new messages of a table through bronze and silver; they stay until the next base has them.

        Args:
            table: the streamed table.
            messages: by the segment that they would be.

        Returns:
            The number of rows that silver keeps.
        """
        run = self._connection.execute
        self._land(table, messages)
        bronze, checked = relation_of(table.bronze), relation_of(table.checked)
        run(f"create or replace view {bronze} as {table.bronze_sql}")
        run(f"drop view if exists {checked}")
        run(f"create table {checked} as {table.checked_sql}")
        self._set_aside(checked)
        run(f"create or replace table tail.hashes as select file_id, row_number, content_hash from {bronze}")
        self._flag_copies(table)
        run(f"drop table {checked}")
        run(f"insert into tail.{_tail(table.checked)} by name from fresh")
        self._last, self._touched_by = table, None
        self._note_everywhere(table)
        [(kept,)] = run("select count(*) from fresh where rule_ids is null").fetchall()
        return int(kept)

    def count_forgotten(self) -> int:
        """Return how many of the last rows silver rejects because they name somebody who was forgotten."""
        found = self._connection.execute(
            "select count(*) from fresh where list_contains(rule_ids, $1)", [RULE]
        ).fetchall()
        return int(found[0][0])

    def compute(self, view: HotView, definition: OnlineView, key: Cut) -> Computed:
        """Compute what a sync would write of a view's slices that the last messages touched.

        Args:
            view: the view.
            definition: what is online of it.
            key: the columns of the checked tables by which they are cut.
        """
        run = self._connection.execute
        rows = self._entities(view, definition, key, view.recent_sql)
        if view.recent_sql and (uncertain := self._uncertain(view, key)):
            touched = run(f"select {quoted(*key)} from touched").fetchall()
            self.touch(view, key, uncertain)
            rows += self._entities(view, definition, key, None)
            self.touch(view, key, touched)
        entities = {entity.key: entity for entity, _, _ in rows}
        return Computed(
            list(entities.values()),
            self._without_rows(view, definition, key, entities),
            [(entity.key, ends_at) for entity, ends_at, _ in rows],
            max((clock for *_, clock in rows), default=None),
        )

    def _without_rows(
        self, view: HotView, definition: OnlineView, key: Cut, there: Collection[str]
    ) -> list[str]:
        run = self._connection.execute
        if view.keys == list(key):
            known = [key_text(values) for values in run(f"select {quoted(*key)} from touched").fetchall()]
        else:
            are_filled = " and ".join(f"{quoted(name)} is not null" for name in view.keys)
            rows = " union ".join(
                f"select {key_sql(definition.keys)} from {relation_of(checked)} as checked "
                f"semi join touched on {_same(key, 'checked')} where {are_filled}"
                for checked in self.with_keys(view)
            )
            known = [value for (value,) in run(rows).fetchall()] if rows else []
        return [each for each in known if each not in there]

    def with_keys(self, view: HotView) -> list[Node]:
        """Return the checked tables of a view whose rows say which entity they are of."""
        tables = [self.plan.tables[id_].checked for id_ in view.checked]
        return [each for each in tables if all(self._has_column(each, name) for name in view.keys)]

    def _entities(
        self, view: HotView, definition: OnlineView, key: Cut, recent_sql: str | None
    ) -> list[tuple[Entity, datetime, datetime]]:
        for id_ in view.checked:
            self._make(relation_of(self.plan.tables[id_].checked), "view", self._slice_sql(id_, key))
        for node, sql in view.models:
            kind = "view" if relation_of(node) in self._passing else "table"
            is_last = node["name"] == view.name
            self._make(relation_of(node), kind, recent_sql if recent_sql and is_last else sql)
        found = self._connection.execute(
            f"select key, version, {STRETCH_SQL}, ends_at, clock from ("
            f"select {key_sql(definition.keys)} as key, any_value(version) as version, "
            f"{states_sql(definition)} as states, max(valid_to) as ends_at, any_value(clock) as clock "
            f"from (select *, max(updated_at) over () as clock from ({view.online_sql})) as online "
            f"semi join touched on {_same(key, 'online')} group by all) as entities order by key"
        ).fetchall()
        return [(Entity(*entity), ends_at, clock) for *entity, ends_at, clock in found]

    def _uncertain(self, view: HotView, key: Cut) -> list[tuple[str, ...]]:
        """Return the slices with entities whose last arrival opened no row."""
        relation = next(relation_of(node) for node, _ in view.models if node["name"] == view.name)
        return self._connection.execute(
            f"select distinct {', '.join(f'{quoted(each)}::varchar' for each in key)} from ("
            f"select {quoted(*view.keys)} from {relation} group by all "
            "having max(list_last(confirmed_at)) = max(coalesce(list_last(confirmed_at), updated_at)))"
        ).fetchall()

    def touch(self, view: HotView, key: Cut, of: Sequence[Sequence[str]] | None = None) -> int:
        """Remember which slices the last messages are in, for `compute`; return their number.

        Args:
            view: the view.
            key: the columns by which its checked tables are cut.
            of: the values themselves, if they are not those of the last messages.
        """
        run = self._connection.execute
        texts = ", ".join(f"{quoted(each)}::varchar as {quoted(each)}" for each in key)
        is_emptied = of is None and self._is_emptied(self._last)
        if of is not None or is_emptied or self._touched_by != key:
            relations = ["moved" if of is None else "slices"]
            if of is not None:
                columns = {name: [values[i] for values in of] for i, name in enumerate(key)}
                self._connection.register(
                    "slices", pa.table(columns, pa.schema(dict.fromkeys(key, pa.string())))
                )
            if is_emptied:
                for table in (self.plan.tables[id_] for id_ in view.checked):
                    relations += [self._rows_of(table, key[0]), f"tail.{_tail(table.checked)}"]
            rows = " union all ".join(f"select {texts} from {relation}" for relation in relations)
            run(
                "create or replace temp table touched as "
                f"select distinct *, hash({quoted(key[0])}) as assay_place from ({rows}) "
                f"where {' and '.join(f'{quoted(each)} is not null' for each in key)}"
            )
            self._made, self._touched_by = {}, key if of is None and not is_emptied else None
        [(count,)] = run("select count(*) from touched").fetchall()
        return int(count)

    def _is_emptied(self, table: CheckedTable) -> bool:
        """Tell whether the last messages say that a table was emptied: then each of its rows ends."""
        if not table.is_of_changes:
            return False
        found = self._connection.execute("from fresh where op = 't' and rule_ids is null limit 1")
        return bool(found.fetchall())

    def can_be_cut(self, view: HotView, key: Cut) -> bool:
        """Tell whether all checked tables of a view have some columns."""
        return all(
            self._has_column(self.plan.tables[id_].checked, each) for id_ in view.checked for each in key
        )

    def _has_column(self, checked: Node, name: str) -> bool:
        columns = self._connection.execute(f"describe tail.{_tail(checked)}").fetchall()
        return name in [column for column, *_ in columns]

    def forget(self) -> None:
        """Forget all messages that were taken."""
        self._touched_by = None
        for table in self.plan.tables.values():
            self._connection.execute(f"delete from tail.{_tail(table.checked)}")
            self._connection.execute(f"delete from tail.{_changed(table.checked)}")
            self._connection.execute(
                f"create or replace table {_everywhere(table)} as from base.{rows_everywhere(table.checked)}"
            )

    def _make_tables(self) -> None:
        run = self._connection.execute
        nodes: list[Node] = [node for view in self.plan.views for node, _ in view.models]
        nodes += [each for table in self.plan.tables.values() for each in (table.bronze, table.checked)]
        for schema in sorted({node["schema"] for node in nodes} | {"landing"}):
            run(f"create schema if not exists {quoted(schema)}")
        for table in self.plan.tables.values():
            everywhere = f"base.{rows_everywhere(table.checked)}"
            run(f"create table tail.{_tail(table.checked)} as from {everywhere} limit 0")
            run(f"create table {_everywhere(table)} as from {everywhere}")
            run(
                f"create table tail.{_changed(table.checked)} "
                "(file_id bigint, row_number bigint, rule_ids varchar[])"
            )
        there = {
            f"{quoted(schema)}.{quoted(name)}": database
            for database, schema, name in run(
                "select database_name, schema_name, table_name from duckdb_tables() "
                "where database_name in ('base', 'published')"
            ).fetchall()
        }
        for relation, node in self.plan.standing.items():
            run(f"create schema if not exists {quoted(node['schema'])}")
            run(f"create view {relation} as from {there[relation]}.{relation}")

    def _land(self, table: CheckedTable, messages: Mapping[Segment, Sequence[Message]]) -> None:
        """Make the landing table and the list of files that bronze reads, of these messages alone."""
        run = self._connection.execute
        landing = table.source.table
        schema = landed_schema(landing)
        batches: list[pa.RecordBatch] = []
        files = []
        for segment, several in messages.items():
            self._batch -= 1
            name = f"{landing.source}/{landing.name}/{segment.path.as_posix()}"
            file = LandingFile(Path(), name, landing.source, landing.name, {}, 0, 0.0, "", None)
            lines = BytesIO(b"".join(map(line_of, several)))
            batches += read_messages(cast(BufferedReader, lines), file, landing, self._batch, Tally())
            files.append((self._batch, name))
        run(f"create or replace table landing.files_of_messages ({_FILES})")
        now = datetime.now(UTC).replace(tzinfo=None)
        for file_id, name in files:
            run(
                "insert into landing.files_of_messages values (?, ?, 1, ?, ?, 'stream', 'loaded', ?, ?)",
                [file_id, name, now, now, landing.source, landing.name],
            )
        self._connection.register("messages", pa.Table.from_batches(batches, schema))
        verdicts = "".join(f", null::varchar as {quoted(name)}" for name in verdict_columns(landing))
        run(f"create or replace table landing.{quoted(landing.relation)} as select *{verdicts} from messages")
        self._connection.unregister("messages")
        bronze = quoted(table.bronze["schema"])
        run(f"create or replace view {bronze}.brz_files as from landing.files_of_messages")

    def _set_aside(self, checked: str) -> None:
        """Reject rows that name somebody who was forgotten, as builds do; the list may change meanwhile."""
        if people := read_forgotten(self._warehouse):
            people.set_variables(self._connection)
            columns = [row[0] for row in self._connection.execute(f"describe {checked}").fetchall()]
            if sql := people.set_aside_sql(checked, columns):
                self._connection.execute(sql)

    def _flag_copies(self, table: CheckedTable) -> None:
        """Find which of the new rows are copies of others, or others copies of them, by silver's own SQL.

        Then `fresh` has the new rows, and `moved` these and the others that count otherwise now.
        """
        run = self._connection.execute
        bronze, checked = relation_of(table.bronze), relation_of(table.checked)
        key = ", ".join(map(quoted, table.key))
        run(
            f"create or replace temp table found as select * from base.{keys_of(table.checked)} "
            f"semi join (select {hash_of_key(table)} as key_hash from {checked}) as wanted using (key_hash)"
        )
        # Two keys may have one hash.
        run(
            f"create or replace table tail.others as select others.* from ("
            f"select rows.* exclude (assay_place) from {self._rows_of(table)} as rows "
            "semi join found using (assay_place, file_id, row_number) "
            f"union all by name select * from tail.{_tail(table.checked)}) as others "
            f"semi join {checked} as fresh using ({key})"
        )
        self._apply_changes("tail.others", table.checked)
        run(
            f"create or replace view {bronze} as select * from tail.hashes "
            "union all select file_id, row_number, content_hash from tail.others"
        )
        run(f"insert into {checked} by name select * exclude (content_hash) from tail.others")
        for statement in duckdb.extract_statements(table.flag_copies):
            run(statement)
        run(
            f"create or replace temp table moved as select checked.*, landed.content_hash, "
            f"others.file_id is null as is_fresh from {checked} as checked "
            f"inner join {bronze} as landed using (file_id, row_number) "
            "left join tail.others as others using (file_id, row_number) "
            "where others.file_id is null or checked.rule_ids is distinct from others.rule_ids"
        )
        run("create or replace temp table fresh as select * exclude (is_fresh) from moved where is_fresh")
        changed = "select file_id, row_number, rule_ids from moved where not is_fresh"
        run(
            f"delete from tail.{_changed(table.checked)} where (file_id, row_number) in "
            f"(select file_id, row_number from ({changed}))"
        )
        run(f"insert into tail.{_changed(table.checked)} {changed}")

    def _apply_changes(self, relation: str, checked: Node) -> None:
        self._connection.execute(
            f"update {relation} as rows set rule_ids = changed.rule_ids "
            f"from tail.{_changed(checked)} as changed "
            "where rows.file_id = changed.file_id and rows.row_number = changed.row_number"
        )

    def _note_everywhere(self, table: CheckedTable) -> None:
        """Note which of the last rows belong to every slice."""
        run, everywhere = self._connection.execute, _everywhere(table)
        run(
            f"insert into {everywhere} by name "
            "select * from fresh where rule_ids is null order by available_at desc limit 1"
        )
        clock = f"select max(available_at) from {everywhere} where rule_ids is null"
        if not table.is_of_changes:
            run(f"delete from {everywhere} where available_at < ({clock})")
            return
        run(f"delete from {everywhere} where op is distinct from 't' and available_at < ({clock})")
        run(
            f"insert into {everywhere} by name select fresh.* from fresh "
            f"anti join {everywhere} as known using (file_id, row_number) where op = 't'"
        )

    def _make(self, relation: str, kind: str, sql: str) -> None:
        """Make a relation of the touched slices; views that are cut alike share it."""
        if self._made.get(relation) != sql:
            self._connection.execute(f"create or replace {kind} {relation} as {sql}")
            self._made[relation] = sql

    def _slice_sql(self, id_: str, key: Cut) -> str:
        """Return a checked table's rows of the touched slices alone, and those that belong to every slice."""
        table = self.plan.tables[id_]
        is_touched, tail = _same(key, "checked"), f"tail.{_tail(table.checked)}"
        at_place = "checked.assay_place = touched.assay_place and " if key[0] in self._cuts[id_] else ""
        return (
            "select rows.* exclude (content_hash) "
            "replace (if(changed.file_id is null, rows.rule_ids, changed.rule_ids) as rule_ids) from ("
            f"select * exclude (assay_place) from {self._rows_of(table, key[0])} as checked "
            f"semi join touched on {at_place}{is_touched} union all by name "
            f"select * from {tail} as checked semi join touched on {is_touched} union all by name "
            f"select * from {_everywhere(table)} as checked anti join touched on {is_touched}) as rows "
            f"left join tail.{_changed(table.checked)} as changed "
            "on rows.file_id = changed.file_id and rows.row_number = changed.row_number"
        )

    def _rows_of(self, table: CheckedTable, key: str | None = None) -> str:
        """Return the base's rows of a checked table, in the order of a column if there are such."""
        columns = self._cuts[table.checked["unique_id"]]
        return f"base.{rows_by(table.checked, key if key and key in columns else columns[0])}"


def _passing(plan: HotPlan) -> set[str]:
    """Return the relations that are views, or that one query reads once: a table of them costs more."""
    views: set[str] = set()
    inner: set[str] = set()
    online: set[str] = set()
    queries: set[str] = set()
    for view in plan.views:
        for node, sql in view.models:
            relation, is_last = relation_of(node), node["name"] == view.name
            (online if is_last else inner).add(relation)
            queries.add((view.recent_sql if is_last else None) or sql)
            if node["config"]["materialized"] in ("view", "replaced_view"):
                views.add(relation)
    return views | {each for each in inner - online if sum(query.count(each) for query in queries) == 1}


def _same(key: Cut, relation: str) -> str:
    return " and ".join(f"{relation}.{quoted(each)}::varchar = touched.{quoted(each)}" for each in key)


def _tail(checked: Node) -> str:
    return quoted(f"{checked['alias']}")


def _everywhere(table: CheckedTable) -> str:
    return f"tail.{quoted(table.checked['alias'] + '__everywhere')}"


def _changed(checked: Node) -> str:
    return quoted(f"{checked['alias']}__changed")
