"""Compute nodes with Spark: it sends the rows of each key to one task, which runs the node's own SQL on them.

Rows go as bytes of Arrow: Spark does not look into them, so it needs to know none of DuckDB's types.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
from sqlglot import tokenize

from assay.core.disk import make_private_folder
from assay.core.fault import Fault
from assay.core.sql import folded, quoted
from assay.spark.jobs import SPINE, Input, Job
from assay.spark.session import faults_of_spark, parallelism
from assay.spark.tasks import (
    BLOCKS,
    RESULTS,
    Task,
    TaskTable,
    compute_part,
    file_list,
    make_tables,
    part_of,
    set_all,
    split_files,
    text,
)
from assay.spark.types import columns_as_text

# A part of the input for each task, as Parquet: results and what is held meanwhile take several times that.
_BYTES_A_TASK = 16 * 2**20
_BYTES_A_FILE = 32 * 2**20
# What DuckDB may have in a task where Spark says nothing of the memory of Python.
_MEMORY = "1GiB"
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Computed:
    """The rows of a node, in files.

    Attributes:
        sql: the query that gives them.
        rows: how many there are.
        parts: by how many tasks they were computed.
        heaviest: the key with most rows of the first table, in words.
        heaviest_rows: how many it has.
        rows_read: of the first table.
        folder: that holds the files.
    """

    sql: str
    rows: int
    parts: int
    heaviest: str | None
    heaviest_rows: int
    rows_read: int
    folder: Path

    @property
    def is_skewed(self) -> bool:
        """Whether one key has far more rows than a task has on average, and a task of its own takes long."""
        return self.parts > 1 and self.heaviest_rows > max(2 * self.rows_read / self.parts, 100_000)


def compute(
    job: Job,
    name: str,
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Mapping[str, str]],
    spark: Any,
    folder: Path,
    settings: Mapping[str, str],
) -> Computed:
    """Compute a node with Spark.

    Args:
        job: how it is computed.
        name: of the node, as messages have it.
        connection: of the warehouse, to read what the node reads.
        columns: types of the columns of all tables and views, by relation and name.
        spark: the session.
        folder: where files go; all machines see it. The caller removes it.
        settings: of DuckDB, which results depend on.

    Raises:
        Fault: it cannot be computed.
    """
    own = folder / uuid4().hex
    make_private_folder(own)
    tables, files, read = _export(job, name, connection, columns, own)
    parts = max(parallelism(spark), -(-sum(Path(file).stat().st_size for _, file in files) // _BYTES_A_TASK))
    tables = _with_routes(tables, files, parts, connection, own) if job.spine else tables
    result = _columns_of_result(job, tables, settings)
    task = Task(
        sql=job.sql,
        tables=tuple(tables),
        parts=parts,
        as_text=columns_as_text(result, name),
        folder=str(own / "result"),
        version=duckdb.__version__,
        memory=_MEMORY,
        threads=int(spark.conf.get("spark.task.cpus", "1")),
        settings=tuple(settings.items()),
    )
    make_private_folder(own / "result")
    told = _run(task, files, spark) if files else []
    for path in own.iterdir():
        # The result is read later; what went into it has done its work, and takes room.
        if path.name != "result":
            remove(path)
    _check(told, task, read, name, has_routes=bool(job.spine))
    heaviest = max(told, key=lambda each: each["heaviest_rows"] or 0, default=None)
    return Computed(
        job.before + _rows_of([each["file"] for each in told], result) + job.after,
        sum(each["rows"] for each in told),
        parts,
        heaviest["heaviest"] if heaviest else None,
        (heaviest["heaviest_rows"] or 0) if heaviest else 0,
        read[0],
        own,
    )


def _export(
    job: Job,
    name: str,
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Mapping[str, str]],
    folder: Path,
) -> tuple[list[TaskTable], list[tuple[int, str]], list[int]]:
    """Write what a node reads as Parquet; return tables, files by the number of their table, and rows."""
    tables, files, read = [], [], []
    mentioned = _words_of(job.sql) if job.are_columns_named else None
    sources: list[tuple[Input, str, Mapping[str, str]]] = [
        (each, each.relation, _mentioned(columns[each.relation], mentioned)) for each in job.inputs
    ]
    if job.spine:
        described = connection.execute(f"describe {job.spine}").fetchall()
        spine = Input(SPINE, job.inputs[0].keys)
        sources.insert(0, (spine, f"({job.spine})", {row[0]: row[1] for row in described}))
    for number, (source, relation, kinds) in enumerate(sources):
        texts = columns_as_text(kinds, name)
        values = ", ".join(
            f"{quoted(each)}::varchar as {quoted(each)}" if each in texts else quoted(each) for each in kinds
        )
        target = folder / str(number)
        connection.execute(
            f"copy (select {values} from {relation}{_of_a_key(job, source)}) to {text(target)} "
            f"(format parquet, compression lz4_raw, file_size_bytes {_BYTES_A_FILE})"
        )
        found = sorted(map(str, target.glob("*.parquet")))
        files += [(number, each) for each in found]
        row = (
            connection.execute(f"select count(*) from read_parquet({file_list(found)})").fetchone()
            if found
            else (0,)
        )
        assert row
        read.append(row[0])
        tables.append(TaskTable(_names_of(source.relation), tuple(kinds.items()), source.keys))
    return tables, files, read


def _mentioned(columns: Mapping[str, str], mentioned: set[str] | None) -> Mapping[str, str]:
    return {name: kind for name, kind in columns.items() if mentioned is None or folded(name) in mentioned}


def _of_a_key(job: Job, source: Input) -> str:
    """Return the condition on rows that go to tasks: a history leaves out those that have no key."""
    if not job.has_no_nulls:
        return ""
    return " where " + " and ".join(f"{quoted(key)} is not null" for key in source.keys)


def _words_of(sql: str) -> set[str]:
    return {folded(token.text) for token in tokenize(sql, dialect="duckdb")}


def _with_routes(
    tables: Sequence[TaskTable],
    files: Sequence[tuple[int, str]],
    parts: int,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
) -> list[TaskTable]:
    """Write to which tasks the rows of a key go: those with rows of the spine that ask for it.

    So all histories are there where they are asked for, whatever their keys, and nothing else of them moves.
    """
    spine = tables[0]
    rows = [file for number, file in files if number == 0]
    if not rows:
        return list(tables)
    found = [spine]
    for number, table in enumerate(tables[1:], 1):
        routes = folder / f"routes-{number}.parquet"
        connection.execute(
            f"copy (select distinct {part_of(spine.keys, parts)} as _part, {quoted(*table.keys)} "
            f"from read_parquet({file_list(rows)})) to {text(routes)} (format parquet)"
        )
        found.append(TaskTable(table.relation, table.columns, table.keys, (str(routes),)))
    return found


def _columns_of_result(job: Job, tables: Sequence[TaskTable], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the types of the columns that the SQL gives, from empty tables."""
    with duckdb.connect() as connection:
        set_all(connection, settings.items())
        make_tables(connection, tables)
        return {row[0]: row[1] for row in connection.execute(f"describe {job.sql}").fetchall()}


def _run(task: Task, files: Sequence[tuple[int, str]], spark: Any) -> list[dict[str, Any]]:
    with faults_of_spark(), warnings.catch_warnings():
        # Nothing here goes through pandas.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        listed = spark.createDataFrame(list(files), "input int, file string").repartition(len(files))
        blocks = listed.mapInArrow(lambda batches: split_files(batches, task), BLOCKS)
        parted = blocks.repartitionById(task.parts, "part")
        rows = parted.mapInArrow(lambda batches: compute_part(batches, task), RESULTS).collect()
    return [row.asDict() for row in rows]


def _check(
    told: Sequence[Mapping[str, Any]], task: Task, read: Sequence[int], name: str, *, has_routes: bool
) -> None:
    """Raise if a task failed, or if rows were lost or doubled on the way."""
    # Of all that ran out of memory, the one whose heaviest key has most rows.
    failed = sorted((each for each in told if each["fault"]), key=lambda each: -(each["heaviest_rows"] or 0))
    if failed:
        raise Fault(_fault_of(failed[0], name))
    for number, rows in enumerate(read[:1] if has_routes else read):
        arrived = sum(each["rows_read"][number] for each in told)
        if arrived != rows:
            relation = ".".join(task.tables[number].relation)
            raise Fault(
                f"{name}: tasks read {arrived:,} rows of {relation}, which has {rows:,}. "
                "Nothing is written; build again."
            )


def _fault_of(told: Mapping[str, Any], name: str) -> str:
    if not told["is_memory"]:
        return f"{name}: {told['fault']}"
    heaviest = (
        f" {told['heaviest']} alone has {told['heaviest_rows']:,} of its {told['rows_read'][0]:,} rows, "
        "and one key is never split."
        if told["heaviest"]
        else ""
    )
    return (
        f"{name}: a task needs more than the {told['fault']} of memory that it may have.{heaviest} "
        "Give tasks more (spark.executor.pyspark.memory)."
    )


def _rows_of(files: Sequence[str], columns: Mapping[str, str]) -> str:
    """Return the query that gives the rows in files, with the types that they had."""
    if not files:
        return (
            "select "
            + ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in columns.items())
            + " where false"
        )
    values = ", ".join(f"{quoted(name)}::{kind} as {quoted(name)}" for name, kind in columns.items())
    return f"select {values} from read_parquet({file_list(files)})"


def _names_of(relation: str) -> tuple[str, str, str]:
    database, schema, name = (part.replace('""', '"') for part in _QUOTED.findall(relation))
    return database, schema, name


def remove(folder: Path) -> None:
    """Remove a file or folder that machines exchanged; that there is none is no fault."""
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)
