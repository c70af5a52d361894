"""Count what a warehouse holds: rows landed, kept and rejected, and files that are not loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from assay.core.sql import quoted
from assay.landing.schema.recorded import SchemaChange, recorded_changes
from assay.project.conventions import CHECKED
from assay.project.warehouse import connect, relation_named

_RULES = "slv_rules"


@dataclass(frozen=True)
class LandedTable:
    """Files and rows of one source table, in total and in this run; `landed` counts rows of loaded files."""

    source: str
    files: int
    files_in_run: int
    landed: int
    landed_in_run: int


@dataclass(frozen=True)
class CheckedTable:
    """How many rows of one source table silver keeps and rejects."""

    source: str
    name: str
    kept: int
    rejected: int


@dataclass(frozen=True)
class Rejects:
    """How many rows break a rule; a row that breaks several rules counts for each."""

    table: str
    rule_id: str
    reason: str
    remedy: str
    rows: int


@dataclass(frozen=True)
class TroubledFiles:
    """The files of one landing table that are not loaded for one reason; `source_file` is the first."""

    source_file: str
    status: str
    error: str
    files: int

    @property
    def named(self) -> str:
        """The first file, and how many more there are."""
        return f"{self.source_file} and {self.files - 1:,} more" if self.files > 1 else self.source_file


@dataclass(frozen=True)
class Account:
    """Everything that has landed and was checked so far, and how much of it landed in this run."""

    landed: list[LandedTable] = field(default_factory=list)
    checked: list[CheckedTable] = field(default_factory=list)
    rejects: list[Rejects] = field(default_factory=list)
    troubled: list[TroubledFiles] = field(default_factory=list)
    changed_files: list[str] = field(default_factory=list)
    schema_changes: list[SchemaChange] = field(default_factory=list)

    @property
    def files_not_loaded(self) -> int:
        """How many files are not loaded, for all reasons together."""
        return sum(each.files for each in self.troubled)


def read_account(warehouse: Path, run_id: str) -> Account:
    """Count what `warehouse` holds, and what the run `run_id` added.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    if not warehouse.exists():
        return Account()
    with connect(warehouse) as connection:
        tables = set(
            connection.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
            ).fetchall()
        )
        if ("landing", "files") not in tables:
            return Account()
        checked = sorted((schema, name) for schema, name in tables if name.endswith(CHECKED))
        return Account(
            landed=_landed(connection, run_id),
            checked=[row for relation in checked for row in _checked(connection, *relation)],
            rejects=(
                [row for relation in checked for row in _rejects(connection, *relation, rules)]
                if (rules := relation_named(connection, _RULES))
                else []
            ),
            troubled=_troubled(connection),
            changed_files=_changed(connection, run_id),
            schema_changes=recorded_changes(connection),
        )


def _landed(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[LandedTable]:
    rows = connection.execute(
        """
        select
            source_name || '/' || table_name as source,
            count(*),
            count(*) filter (where run_id = $1),
            sum(row_count)::bigint,
            coalesce(sum(row_count) filter (where run_id = $1), 0)::bigint
        from landing.files
        where status = 'loaded'
        group by all
        order by source
        """,
        [run_id],
    ).fetchall()
    return [LandedTable(*row) for row in rows]


def _checked(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[CheckedTable]:
    rows = connection.execute(
        f"""
        select
            files.source_name || '/' || files.table_name as source,
            count(*) filter (where checked.rule_ids is null),
            count(*) filter (where checked.rule_ids is not null)
        from {quoted(schema)}.{quoted(name)} as checked
        inner join landing.files as files on checked.file_id = files.file_id
        group by all
        order by source
        """
    ).fetchall()
    return [CheckedTable(row[0], name.removesuffix(CHECKED), *row[1:]) for row in rows]


def _rejects(connection: duckdb.DuckDBPyConnection, schema: str, name: str, rules: str) -> list[Rejects]:
    rows = connection.execute(
        f"""
        with broken_rules as (

            select unnest(rule_ids) as rule_id
            from {quoted(schema)}.{quoted(name)}
            where rule_ids is not null

        ),

        broken as (

            select rule_id, count(*) as row_count
            from broken_rules
            group by all

        )

        select
            broken.rule_id,
            coalesce(rules.reason, '(not explained in slv_rules)'),
            coalesce(rules.remedy, ''),
            broken.row_count
        from broken
        left join {rules} as rules on broken.rule_id = rules.rule_id
        order by broken.row_count desc, broken.rule_id
        """
    ).fetchall()
    return [Rejects(name.removesuffix(CHECKED), *row) for row in rows]


def _troubled(connection: duckdb.DuckDBPyConnection) -> list[TroubledFiles]:
    rows = connection.execute(
        """
        select min(source_file), status, error, count(*)
        from landing.files
        where status in ('failed', 'unknown_table')
        group by source_name, table_name, status, error
        order by min(source_file)
        """
    ).fetchall()
    return [TroubledFiles(*row) for row in rows]


def _changed(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[str]:
    rows = connection.execute(
        """
        select distinct source_file
        from landing.files
        where run_id = ? and status = 'loaded' and file_version > 1
        order by source_file
        """,
        [run_id],
    ).fetchall()
    return [name for (name,) in rows]
