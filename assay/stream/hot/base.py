"""Keep a copy of what silver has checked of the streams: during builds, the warehouse is closed to others.

Rows lie in it by the columns that slices are cut by, so that those of a few keys are found without reading
all. After a build, the copy is grown by what differs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

import duckdb

from assay.core.encryption import is_encrypted, needs_key
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.sql import quoted
from assay.landing.segments import segment_of
from assay.project.graph import Node, relation_of
from assay.project.lease import hold_warehouse
from assay.project.warehouse import attach
from assay.stream.hot.plan import CheckedTable, HotPlan

# Source, table, topic and partition.
Place = tuple[str, str, str, int]

#: What finds rows by a few keys: a join with these is pushed down into the scan, whatever their number.
LOOK_UP_SETTING = "set dynamic_or_filter_threshold = 1000000"
# What a look-up passes over in one go. Fewer are written at twice the cost; more are read at twice the cost.
_ROWS_AT_ONCE = 8192
# Rows are compared with the warehouse's in blocks of so many (as a power of two).
_BLOCK_BITS = 12
# What was added lies in the order of its coming; beyond this share, the copy is made anew.
_MOST_ADDED = 0.25
_LEAST_ADDED = 100_000
_LAYOUT = 1


@dataclass(frozen=True)
class Base:
    """The copy: its file, the state of the warehouse it is of, and each partition's last loaded offset.

    `cuts` are the columns by which each checked table can be cut fast, by its id.
    """

    file: Path
    of: tuple[int, int]
    loaded: dict[Place, int]
    cuts: Mapping[str, Sequence[str]]


def base_file(places: Places) -> Path:
    """Return the file of the copy, which the next stream makes anew where it is missing."""
    return places.main_warehouse.with_name("stream.duckdb")


def state_of(warehouse: Path) -> tuple[int, int]:
    """Return what changes whenever a build has written the warehouse."""
    status = warehouse.stat()
    return status.st_mtime_ns, status.st_ino


def rows_by(checked: Node, column: str) -> str:
    """Return the copy's relation that has a checked table's rows in the order of a column."""
    return _beside(checked, f"by_{column}")


def keys_of(checked: Node) -> str:
    """Return the copy's relation that says where the rows lie that have a key by which copies are told."""
    return _beside(checked, "keys")


def rows_everywhere(checked: Node) -> str:
    """Return the copy's relation of the rows that belong to every slice.

    The row that came last of all is the warehouse's clock: what is known by a moment is known in every slice.
    A change that says that the table was emptied ends the rows of all slices.
    """
    return _beside(checked, "everywhere")


def warehouse_held(places: Places) -> AbstractContextManager[None]:
    """Hold the warehouse while the block reads it, which does not take long: builds wait for its end.

    Raises:
        Fault: a build is under way.
    """
    return hold_warehouse(
        places.warehouse, command="assay stream run", wait=0, on_wait=lambda _: None, copies=True
    )


def copy_base(
    plan: HotPlan, places: Places, published: Iterable[str], keys: Mapping[str, str] | None = None
) -> Base:
    """Copy the checked tables of streams, with their rows' content hashes, and what views read beside them.

    Args:
        plan: what the hot path runs.
        places: of the project.
        published: the relations that the published file has; they are read there.
        keys: by which column the slices of views are cut, as far as it is known.

    Raises:
        Fault: a build is under way.
        duckdb.Error: the warehouse cannot be read, or the disk is full.
    """
    file = base_file(places)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with (
        warehouse_held(places),
        duckdb.connect(config={"temp_directory": f"{new}.tmp"}) as connection,
    ):
        of = state_of(places.warehouse)
        # Under its own name, which the views in it say.
        warehouse = quoted(plan.database)
        attach(connection, places.warehouse, plan.database)
        connection.execute(LOOK_UP_SETTING)
        _attach(connection, file, new, _definition(connection, plan, warehouse))
        cuts = _find_cuts(connection, plan, warehouse, keys or {})
        for id_, table in plan.tables.items():
            grow(connection, table, cuts[id_], warehouse)
        for relation in plan.standing.keys() - set(published):
            connection.execute(f"create schema if not exists base.{relation.partition('.')[0]}")
            connection.execute(f"create or replace table base.{relation} as from {warehouse}.{relation}")
        files = connection.execute(
            f"select source_name, table_name, source_file from {warehouse}.landing.files "
            "where status = 'loaded'"
        ).fetchall()
        connection.execute("checkpoint base")
        connection.execute("detach base")
    loaded: dict[Place, int] = {}
    for source, table_name, name in files:
        if segment := segment_of(name):
            place = (source, table_name, segment.topic, segment.partition)
            loaded[place] = max(segment.last, loaded.get(place, -1))
    new.replace(file)
    return Base(file, of, loaded, cuts)


def grow(
    connection: duckdb.DuckDBPyConnection, table: CheckedTable, columns: Sequence[str], warehouse: str
) -> None:
    """Make the copy of a checked table that is attached as `base` equal to the table, by what differs.

    Args:
        connection: has both attached.
        table: the checked table.
        columns: those to cut it by, at least one.
        warehouse: the name under which the warehouse is attached, quoted.
    """
    run, checked = connection.execute, table.checked
    held, sizes = f"base.{_beside(checked, 'blocks')}", f"base.{_beside(checked, 'sizes')}"
    run(f"create schema if not exists base.{quoted(checked['schema'])}")
    for (name,) in run(
        "select table_name from duckdb_tables() where database_name = 'base' and schema_name = ? "
        "and starts_with(table_name, ?)",
        [checked["schema"], f"{checked['alias']}__by_"],
    ).fetchall():
        if name not in {f"{checked['alias']}__by_{column}" for column in columns}:
            run(f"drop table base.{quoted(checked['schema'])}.{quoted(name)}")
    run(
        "create or replace temp table blocks as "
        f"select file_id, row_number >> {_BLOCK_BITS} as block, count(*) as row_count, "
        "sum(hash(checked))::hugeint as fingerprint "
        f"from {warehouse}.{relation_of(checked)} as checked group by all"
    )
    run(f"create table if not exists {held} as from blocks limit 0")
    run(f"create table if not exists {sizes} (in_order bigint)")
    run(f"create or replace temp table news as from blocks except from {held}")
    [(in_order, size)] = run(
        f"select (select max(in_order) from {sizes}), (select coalesce(sum(row_count), 0) from blocks)"
    ).fetchall()
    if in_order is None or size - in_order > max(_LEAST_ADDED, in_order * _MOST_ADDED):
        for relation in (*(rows_by(checked, column) for column in columns), keys_of(checked)):
            run(f"drop table if exists base.{relation}")
        run(f"delete from {held}")
        run("create or replace temp table news as from blocks")
        run(f"create or replace table {sizes} as select {size}::bigint as in_order")
    run(f"create or replace temp table gone as from {held} except from blocks")
    first = f"base.{rows_by(checked, columns[0])}"
    with_hashes = (
        f"select checked.*, landed.content_hash from {warehouse}.{relation_of(checked)} as checked "
        f"inner join {warehouse}.{relation_of(table.bronze)} as landed "
        "on checked.file_id = landed.file_id and checked.row_number = landed.row_number"
    )
    for column in columns:
        source = with_hashes if column == columns[0] else f"select * exclude (assay_place) from {first}"
        _replace_blocks(
            connection,
            f"base.{rows_by(checked, column)}",
            f"select hash({quoted(column)}::varchar) as assay_place, * from ({source})",
        )
    _replace_blocks(
        connection,
        f"base.{keys_of(checked)}",
        f"select {hash_of_key(table)} as key_hash, assay_place, file_id, row_number from {first} "
        f"where {' and '.join(f'{quoted(each)} is not null' for each in table.key)}",
    )
    of_all = "op = 't' or " if table.is_of_changes else ""
    run(
        f"create or replace table base.{rows_everywhere(checked)} as "
        f"select * exclude (assay_place) from {first} where {of_all}(file_id, row_number) in ("
        f"select file_id, row_number from {first} "
        "where rule_ids is null order by available_at desc limit 1)"
    )
    run(f"create or replace table {held} as from blocks")


def hash_of_key(table: CheckedTable) -> str:
    """Return SQL that hashes the key by which copies are told."""
    return f"hash({', '.join(f'{quoted(each)}::varchar' for each in table.key)})"


def _replace_blocks(connection: duckdb.DuckDBPyConnection, relation: str, rows: str) -> None:
    """Take the blocks that are gone out of a relation, and put the new ones of `rows` in, in order."""
    of_block = f"rows.file_id = blocks.file_id and rows.row_number >> {_BLOCK_BITS} = blocks.block"
    run = connection.execute
    try:
        run(f"create table {relation} as from ({rows}) limit 0")
        blocks = "blocks"
    except duckdb.CatalogException:
        run(f"delete from {relation} as rows using gone as blocks where {of_block}")
        blocks = "news"
    run(
        f"insert into {relation} select rows.* from ({rows}) as rows "
        f"semi join {blocks} as blocks on {of_block} order by 1"
    )


def _attach(connection: duckdb.DuckDBPyConnection, file: Path, new: Path, definition: str) -> None:
    """Attach a copy of the file to be grown, or a new one if there is none of this definition."""

    def attach_new() -> None:
        attach(connection, new, "base", read_only=False, options=f"row_group_size {_ROWS_AT_ONCE}")

    if file.exists() and is_encrypted(file) == needs_key(new):
        shutil.copyfile(file, new)
        try:
            attach_new()
            if connection.execute("from base.assay_definition").fetchall() == [(definition,)]:
                return
            connection.execute("detach base")
        except (duckdb.Error, Fault):
            connection.execute("detach database if exists base")
    new.unlink(missing_ok=True)
    attach_new()
    connection.execute("create table base.assay_definition as select ? as definition", [definition])


def _find_cuts(
    connection: duckdb.DuckDBPyConnection, plan: HotPlan, warehouse: str, keys: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the columns by which each checked table is to be cut: the first that a view could be cut by."""
    columns = {
        id_: [
            name
            for name, *_ in connection.execute(
                f"describe {warehouse}.{relation_of(table.checked)}"
            ).fetchall()
        ]
        for id_, table in plan.tables.items()
    }
    cuts: dict[str, list[str]] = {id_: [] for id_ in plan.tables}
    for view in plan.views:
        possible = [key for key in view.keys if all(key in columns[id_] for id_ in view.checked)]
        for id_ in view.checked:
            for key in [keys.get(view.name, possible[0])] if possible else []:
                if key not in cuts[id_]:
                    cuts[id_].append(key)
    return {id_: found or plan.tables[id_].key[:1] for id_, found in cuts.items()}


def _definition(connection: duckdb.DuckDBPyConnection, plan: HotPlan, warehouse: str) -> str:
    """Return what must be the same for a copy to be grown; hashes are other ones in another DuckDB."""
    parts: list[object] = [_LAYOUT, _ROWS_AT_ONCE, duckdb.__version__]
    for id_, table in sorted(plan.tables.items()):
        described = connection.execute(f"describe {warehouse}.{relation_of(table.checked)}").fetchall()
        parts += [id_, table.bronze_sql, table.checked_sql, table.key, described]
    return md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


def _beside(checked: Node, what: str) -> str:
    return f"{quoted(checked['schema'])}.{quoted(checked['alias'] + '__' + what)}"
