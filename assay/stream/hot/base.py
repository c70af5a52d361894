"""Keep a copy of what silver has checked of the streams: during builds, the warehouse is closed to others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.core.lock import locked
from assay.core.places import Places
from assay.core.sql import quoted, text
from assay.landing.segments import segment_of
from assay.project.graph import Node, relation_of
from assay.stream.hot.plan import HotPlan

# Source, table, topic and partition.
Place = tuple[str, str, str, int]


@dataclass(frozen=True)
class Base:
    """The copy: its file, the state of the warehouse it is of, and each partition's last loaded offset."""

    file: Path
    of: tuple[int, int]
    loaded: dict[Place, int]


def state_of(warehouse: Path) -> tuple[int, int]:
    """Return what changes whenever a build has written the warehouse."""
    status = warehouse.stat()
    return status.st_mtime_ns, status.st_ino


def copy_base(plan: HotPlan, places: Places, published: Iterable[str]) -> Base:
    """Copy the checked tables of streams, with their rows' content hashes, and what views read beside them.

    Args:
        plan: what the hot path runs.
        places: of the project.
        published: the relations that the published file has; they are read there.

    Raises:
        Fault: a build is under way.
        duckdb.Error: the warehouse cannot be read, or the disk is full.
    """
    file = places.main_warehouse.with_name("stream.duckdb")
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with (
        locked(places.warehouse, command="assay stream run", wait=0, on_wait=lambda _: None, copies=True),
        duckdb.connect(str(new)) as connection,
    ):
        of = state_of(places.warehouse)
        # Under its own name, which the views in it say.
        warehouse = quoted(plan.database)
        connection.execute(f"attach {text(places.warehouse)} as {warehouse} (read_only)")
        for table in plan.tables.values():
            _copy_checked(connection, warehouse, table.checked, table.bronze)
        for relation in plan.standing.keys() - set(published):
            connection.execute(f"create schema if not exists {relation.partition('.')[0]}")
            connection.execute(f"create table {relation} as from {warehouse}.{relation}")
        files = connection.execute(
            f"select source_name, table_name, source_file from {warehouse}.landing.files "
            "where status = 'loaded'"
        ).fetchall()
    loaded: dict[Place, int] = {}
    for source, table_name, name in files:
        if segment := segment_of(name):
            place = (source, table_name, segment.topic, segment.partition)
            loaded[place] = max(segment.last, loaded.get(place, -1))
    new.replace(file)
    return Base(file, of, loaded)


def _copy_checked(connection: duckdb.DuckDBPyConnection, warehouse: str, checked: Node, bronze: Node) -> None:
    relation = relation_of(checked)
    connection.execute(f"create schema if not exists {quoted(checked['schema'])}")
    connection.execute(
        f"create table {relation} as select checked.*, landed.content_hash "
        f"from {warehouse}.{relation} as checked "
        f"inner join {warehouse}.{relation_of(bronze)} as landed "
        "on checked.file_id = landed.file_id and checked.row_number = landed.row_number"
    )
