"""Find landed rows whose own time is older than their contract keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb

from assay.core.sql import quoted, text
from assay.erasure.find import FileLines
from assay.landing.declared import LandingTable
from assay.landing.schema.values import values_of
from assay.landing.time_format import WRONG_OFFSET, time_by_format


@dataclass(frozen=True)
class ChangeLog:
    """Where silver tells which landed changes are the state of their key.

    `checked` and `changes` are relations of silver, `key` is the column with the key in both.
    """

    checked: str
    changes: str
    key: str


@dataclass(frozen=True)
class OldTable:
    """A landing table, and since when its rows are kept.

    `column` is the column or key of the row's own time, `time_format` how that is written, if not as ISO 8601
    says. What is before `cutoff` (UTC, naive) is too old. `said` tells how long rows are kept and where that
    stands. `log` is known of change data.
    """

    source: str
    name: str
    column: str
    time_format: str | None
    cutoff: datetime
    said: str
    log: ChangeLog | None = None

    @property
    def relation(self) -> str:
        """The landing table as `schema.name`."""
        return f"landing.{self.source}__{self.name}"


@dataclass(frozen=True)
class OldRows:
    """Rows that are too old, of some landing tables; `file_ids` are the landed files that have such rows."""

    tables: tuple[OldTable, ...]
    file_ids: tuple[int, ...] = ()

    @property
    def subject(self) -> str:
        """What the run ledger says of it: the landing tables."""
        return ", ".join(each.relation for each in self.tables)

    def as_values(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        tables = [asdict(each) | {"cutoff": each.cutoff.isoformat()} for each in self.tables]
        return {"tables": tables, "file_ids": list(self.file_ids)}


def old_rows_of(values: dict[str, Any]) -> OldRows:
    """Return what `as_values` has written down.

    Raises:
        KeyError: a value is missing.
        TypeError: a value is of another type.
        ValueError: a moment is none.
    """
    tables = []
    for each in values["tables"]:
        log = ChangeLog(**each["log"]) if each["log"] else None
        tables.append(OldTable(**each | {"cutoff": datetime.fromisoformat(each["cutoff"]), "log": log}))
    return OldRows(tuple(tables), tuple(values["file_ids"]))


@dataclass(frozen=True)
class Kept:
    """How many rows of a landing table stay, although they may be too old.

    `timeless` are those without a time that can be read, `states` changes that are the state of their key.
    """

    timeless: int
    states: int


def find_old_lines(
    connection: duckdb.DuckDBPyConnection, table: OldTable, declared: LandingTable
) -> list[FileLines]:
    """Return the landed rows of a table that are too old.

    Args:
        connection: to the warehouse, which is the current database, with the session's zone UTC.
        table: the landing table.
        declared: its declaration.

    Raises:
        duckdb.Error: the warehouse cannot be read.
    """
    if not _can_tell(connection, table):
        return []
    rows = connection.execute(
        f"{_old_rows(table, declared)} select file_id, row_number, row_after from old "
        f"{f'where {_GOES}' if table.log else ''} order by file_id, row_number"
    ).fetchall()
    spans: dict[int, list[tuple[int, int]]] = {}
    for file_id, first, after in rows:
        spans.setdefault(file_id, []).append((first, after))
    return [
        FileLines(file_id, name, table.source, table.name, content, spans[file_id])
        for file_id, name, content in connection.execute(
            "select file_id, source_file, content_sha256 from landing.files "
            "where list_contains($1::bigint[], file_id) order by source_file, file_version",
            [list(spans)],
        ).fetchall()
    ]


def count_kept(connection: duckdb.DuckDBPyConnection, table: OldTable, declared: LandingTable) -> Kept:
    """Count the rows of a landing table that stay, although they may be too old.

    Args:
        connection: to the warehouse, which is the current database, with the session's zone UTC.
        table: the landing table.
        declared: its declaration.

    Raises:
        duckdb.Error: the warehouse cannot be read.
    """
    if not _can_tell(connection, table):
        return Kept(0, 0)
    states = f"(select count(*) from old where not ({_GOES}))" if table.log else "0"
    [(timeless, kept)] = connection.execute(
        f"{_old_rows(table, declared)} "
        f"select (select count(*) from timed where happened_at is null), {states}"
    ).fetchall()
    return Kept(timeless, kept)


def time_of(value: str, time_format: str | None) -> str:
    """Return SQL that reads a landed text as an instant in UTC; NULL if nobody can tell which it is.

    Args:
        value: a SQL expression of type text.
        time_format: how times are written, as `duckdb_format` returns it; None for ISO 8601, which is read
            beside any format.
    """
    # The cast needs seconds in front of an offset, and takes offsets of any size.
    told = f"regexp_replace(trim({value}), '([T ][0-9]{{1,2}}:[0-9]{{2}})(Z|[+-][0-9:]+)$', '\\1:00\\2')"
    iso = (
        f"case when regexp_matches({value}, '^\\s*[1-9][0-9]{{3}}-[0-9]') "
        f"and not regexp_matches({value}, '^\\s*[0-9]+-[0-9]+-[0-9]+\\D.*{WRONG_OFFSET}') "
        f"then make_timestamp(epoch_us(try_cast({told} as timestamptz))) end"
    )
    return f"coalesce({time_by_format(value, time_format)}, {iso})" if time_format else iso


# A change goes if silver has read it, and it is no state: the newest change of a key tells what the key is,
# and those before it what the newest did not repeat. What has no key says something of all keys.
_GOES = "is_read and not is_state"


def _old_rows(table: OldTable, declared: LandingTable) -> str:
    """Return the CTEs `timed`, of all rows with their time, and `old`, of those that are too old."""
    values = values_of(declared, [table.column])
    landed = f"landing.{quoted(declared.relation)}"
    cutoff = f"timestamp {text(table.cutoff.isoformat(sep=' '))}"
    parts = [
        f"""
        timed as (
            select
                file_id,
                row_number,
                lead(row_number) over (partition by file_id order by row_number) as next_row,
                case when {values.is_row} then {time_of(values.text(table.column), table.time_format)} end
                    as happened_at
            from ({values.relation(landed)}) as landed
        )""",
    ]
    too_old = f"happened_at is not null and least(happened_at, files.landed_at) < {cutoff}"
    position = "timed.file_id, timed.row_number, coalesce(next_row, files.line_count + 1) as row_after"
    if table.log:
        parts += _states(table.log)
        parts.append(f"""
        old as (
            select
                {position},
                known.is_read is not null as is_read,
                coalesce(known.is_state, false) as is_state
            from timed
            inner join landing.files as files using (file_id)
            left join known on timed.file_id = known.file_id and timed.row_number = known.row_number
            where {too_old}
        )""")
    else:
        parts.append(f"""
        old as (
            select {position}
            from timed
            inner join landing.files as files using (file_id)
            where {too_old}
        )""")
    return f"with {', '.join(parts)}"


def _states(log: ChangeLog) -> Iterator[str]:
    """Yield the CTEs up to `known`: the changes that silver has read, and whether they are a key's state."""
    key = quoted(log.key)
    yield f"""
        changes as (
            select
                *,
                is_superseded is not true as is_standing,
                {key} as entity
            from {log.changes}
        )"""
    # Of the changes that stand, those that arrived last are the state, with all from the last whole one on.
    yield """
        states as (
            select
                entity,
                max(available_at) filter (where is_standing and unavailable_attributes is null) as whole_at
            from changes
            where entity is not null
            group by entity
        )"""
    yield f"""
        known as (
            select
                checked.file_id,
                checked.row_number,
                true as is_read,
                checked.rule_ids is null and (
                    checked.{key} is null
                    or states.whole_at is null
                    or checked.available_at >= states.whole_at
                    and not (changes.is_superseded is true and changes.available_at = states.whole_at)
                ) as is_state
            from {log.checked} as checked
            left join states on checked.{key} = states.entity
            left join changes using (source_file, file_version, row_number)
        )"""


def _can_tell(connection: duckdb.DuckDBPyConnection, table: OldTable) -> bool:
    """Tell whether the table is there and, for change data, silver that says what is the state of a key.

    A warehouse that an erasure has written anew has no silver until the build, and no rows that are too old.
    """
    needed = [f"landing.{quoted(f'{table.source}__{table.name}')}"]
    needed += [table.log.checked, table.log.changes] if table.log else []
    return all(_is_there(connection, each) for each in needed)


def _is_there(connection: duckdb.DuckDBPyConnection, relation: str) -> bool:
    """Tell whether the current database has a table or view, given as SQL."""
    try:
        connection.execute(f"select 1 from {relation} limit 0")
    except duckdb.CatalogException:
        return False
    return True
