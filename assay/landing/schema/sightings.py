"""Record which file showed which change, in schema `landing`; a change sums up its sightings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from assay.core.sql import quoted
from assay.landing.declared import LandingTable, Mode
from assay.landing.schema.changes import Change

# A change of names or types is over once a later file does not show it. A new column stays open until it is
# accepted, because some keys are in some files only.
SCHEMA = """
create table if not exists landing.schema_sightings (
    file_id bigint not null,
    column_name varchar not null,
    kind varchar not null,
    mode varchar not null,
    row_count bigint not null,
    expected_type varchar,
    found_type varchar,
    suggested_name varchar,
    accepted_at timestamp
);
create or replace view landing.schema_changes as
with seen as (

    select
        files.source_name,
        files.table_name,
        files.source_file,
        files.landed_at,
        files.status,
        row(files.landed_at, files.source_file, files.file_version) as place,
        sightings.*,
        sightings.accepted_at is null and files.status <> 'withdrawn' as is_open
    from landing.schema_sightings as sightings
    inner join landing.files as files on sightings.file_id = files.file_id

),

latest as (

    select source_name, table_name, max(row(landed_at, source_file, file_version)) as place
    from landing.files
    where status = 'loaded'
    group by all

)

select
    seen.source_name,
    seen.table_name,
    seen.column_name,
    seen.kind,
    arg_max(seen.mode, seen.place) as mode,
    arg_max(seen.expected_type, seen.place) as expected_type,
    arg_max(seen.found_type, seen.place) as found_type,
    arg_max(seen.suggested_name, seen.place) as suggested_name,
    min(seen.landed_at) as first_landed_at,
    arg_min(seen.source_file, seen.place) as first_file,
    max(seen.landed_at) as last_landed_at,
    arg_max(seen.source_file, seen.place) as last_file,
    count(*) as file_count,
    count(*) filter (where seen.status = 'loaded') as loaded_file_count,
    sum(seen.row_count)::bigint as row_count,
    case
        when count(*) = count(seen.accepted_at) then 'accepted'
        when not bool_or(seen.is_open) then 'over'
        when seen.kind = 'new' or bool_or(seen.is_open and seen.status = 'failed') then 'open'
        when max(seen.place) filter (where seen.is_open) < any_value(latest.place) then 'over'
        else 'open'
    end as state,
    case when count(*) = count(seen.accepted_at) then max(seen.accepted_at) end as accepted_at
from seen
left join latest on seen.source_name = latest.source_name and seen.table_name = latest.table_name
group by seen.source_name, seen.table_name, seen.column_name, seen.kind;
"""
_KEY = ("file_id", "column_name", "kind")
_SEEN = ("row_count", "expected_type", "found_type", "suggested_name")
_VALUES = ("column_name", "kind", *_SEEN)


@dataclass(frozen=True)
class Sighting:
    """A change that a file showed, the mode that treated it, and whether the file's rows are loaded."""

    place: tuple[str, str]
    file_id: int
    mode: Mode
    is_loaded: bool
    change: Change


def open_sightings(
    connection: duckdb.DuckDBPyConnection, file_ids: Collection[int] | None = None
) -> list[Sighting]:
    """Return the sightings that are not accepted yet, of the given files or of all files."""
    rows = connection.execute(
        "select files.source_name, files.table_name, sightings.file_id, sightings.mode, files.status, "
        f"{quoted(*_VALUES, of='sightings')} "
        "from landing.schema_sightings as sightings inner join landing.files as files using (file_id) "
        "where accepted_at is null and ($1 is null or list_contains($1::bigint[], file_id)) "
        "order by source_name, table_name, landed_at, source_file, file_version, column_name, kind",
        [None if file_ids is None else list(file_ids)],
    ).fetchall()
    return [
        Sighting((source, table), file_id, mode, status == "loaded", Change(column, kind, *others))
        for source, table, file_id, mode, status, column, kind, *others in rows
    ]


def keep_sightings(
    connection: duckdb.DuckDBPyConnection, table: LandingTable, changes: Mapping[int, Sequence[Change]]
) -> None:
    """Record the changes that files showed, in the open transaction; known sightings stay as they are."""
    rows = [
        {"file_id": file_id, "mode": change.mode(table), **_row(change)}
        for file_id, found in changes.items()
        for change in found
    ]
    if not rows:
        return
    schema = pa.schema(
        [
            ("file_id", pa.int64()),
            ("mode", pa.string()),
            *((name, pa.int64() if name == "row_count" else pa.string()) for name in _VALUES),
        ]
    )
    connection.register("seen_now", pa.Table.from_pylist(rows, schema))
    is_known = " and ".join(f"known.{name} = seen_now.{name}" for name in _KEY)
    differs = " or ".join(f"known.{name} is distinct from seen_now.{name}" for name in ("mode", *_SEEN))
    connection.execute(
        f"delete from landing.schema_sightings as known using seen_now where {is_known} and ({differs})"
    )
    connection.execute(
        "insert into landing.schema_sightings by name select * from seen_now "
        f"where not exists (from landing.schema_sightings as known where {is_known})"
    )
    connection.unregister("seen_now")


def accept_sightings(
    connection: duckdb.DuckDBPyConnection, sightings: Sequence[Sighting], accepted_at: datetime
) -> None:
    """Record in the open transaction that the declaration accepts these changes."""
    for sighting in sightings:
        connection.execute(
            "update landing.schema_sightings set accepted_at = ? "
            "where file_id = ? and column_name = ? and kind = ?",
            [accepted_at, sighting.file_id, sighting.change.column, sighting.change.kind],
        )


def _row(change: Change) -> dict[str, object]:
    values = asdict(change)
    return values | {"column_name": values.pop("column"), "row_count": values.pop("rows")}
