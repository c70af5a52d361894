"""Compute nodes with Spark: each task reads the rows of some keys, and runs the node's own SQL on them.

This machine writes rows in the order of their buckets: each task finds its own in a few row groups.
No row goes through Spark, which needs to know none of DuckDB's types.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
from sqlglot import tokenize

from assay.core.disk import make_private_folder
from assay.core.fault import Fault
from assay.core.sql import folded, quoted
from assay.spark.jobs import SPINE, Input, Job
from assay.spark.session import faults_of_spark, has_context, parallelism
from assay.spark.tasks import (
    BUCKET,
    BUCKETS,
    RESULTS,
    Task,
    TaskTable,
    bucket_of,
    compute_batches,
    compute_part,
    file_list,
    make_tables,
    set_all,
    text,
)
from assay.spark.types import columns_as_text

# A part of the input for each task, as Parquet: results and what is held meanwhile take several times that.
_BYTES_A_TASK = 16 * 2**20
# A task takes some time to begin: little is not worth all cores.
_LEAST_BYTES_A_TASK = 2**20
_BYTES_A_FILE = 32 * 2**20
# What DuckDB may have in a task where Spark says nothing of the memory of Python.
_MEMORY = "1GiB"
# The bucket of the rows of a spine that ask for a row of a history.
_ROUTE = "_assay_route"
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
        heaviest_cpu: the CPU seconds of its task.
        task_cpu: those of each task.
        rows_read: of the first table.
        folder: that holds the files.
    """

    sql: str
    rows: int
    parts: int
    heaviest: str | None
    heaviest_rows: int
    heaviest_cpu: float
    task_cpu: tuple[float, ...]
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
    written = _export(job, name, connection, columns, own)
    parts = _parts(sum(each.bytes for each in written), parallelism(spark))
    if job.spine:
        written = [written[0], *(_routed(each, written[0], parts, name, connection) for each in written[1:])]
    tables = [each.table for each in written]
    result = _columns_of_result(job, tables, settings)
    task = Task(
        sql=job.sql,
        tables=tuple(tables),
        order=_order((group for each in written if each.table.keys for group in each.groups), parts),
        as_text=columns_as_text(result, name),
        folder=str(own / "result"),
        version=duckdb.__version__,
        memory=_MEMORY,
        threads=int(spark.conf.get("spark.task.cpus", "1")),
        settings=tuple(settings.items()),
    )
    make_private_folder(own / "result")
    told = _run(task, spark) if any(table.files for table in tables) else []
    for path in own.iterdir():
        # The result is read later; what went into it has done its work, and takes room.
        if path.name != "result":
            remove(path)
    _check(told, task, [each.rows for each in written], name)
    heaviest = max(told, key=lambda each: each["heaviest_rows"] or 0, default=None)
    return Computed(
        job.before + _rows_of([each["file"] for each in told], result) + job.after,
        sum(each["rows"] for each in told),
        parts,
        heaviest["heaviest"] if heaviest else None,
        (heaviest["heaviest_rows"] or 0) if heaviest else 0,
        heaviest["cpu"] if heaviest else 0.0,
        tuple(each["cpu"] for each in told),
        written[0].rows,
        own,
    )


@dataclass(frozen=True)
class _Written:
    """A table that tasks read, as files of `folder` with so many rows and bytes.

    `groups` are rows that lie together: their number, and their least and greatest bucket.
    """

    table: TaskTable
    rows: int
    bytes: int
    folder: Path
    groups: Sequence[tuple[int, int, int]]


def _parts(size: int, at_once: int) -> int:
    """Return by how many tasks so many bytes of Parquet are computed, where so many run at once."""
    return min(BUCKETS, max(min(at_once, -(-size // _LEAST_BYTES_A_TASK)), -(-size // _BYTES_A_TASK), 1))


def _export(
    job: Job,
    name: str,
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, Mapping[str, str]],
    folder: Path,
) -> list[_Written]:
    """Write what a node reads as Parquet: a spine first, then what it asks for of its histories."""
    mentioned = _words_of(job.sql) if job.are_columns_named else None
    written: list[_Written] = []
    if job.spine:
        described = connection.execute(f"describe {job.spine}").fetchall()
        spine = TaskTable(_names_of(SPINE), tuple((row[0], row[1]) for row in described), job.inputs[0].keys)
        written.append(_write(job.spine, spine, bucket_of(spine.keys), name, connection, folder / "spine"))
    for number, each in enumerate(job.inputs):
        kinds = _mentioned(columns[each.relation], mentioned)
        table = TaskTable(_names_of(each.relation), tuple(kinds.items()), each.keys)
        rows = f"select * from {each.relation}{_of_a_key(job, each)}"
        bucket = bucket_of(each.keys) if each.keys else "0"
        if each.asked and not job.spine:
            rows = each.asked
        elif each.asked:
            rows = each.asked.replace(SPINE, f"({_rows_in(written[0].table)})")
            if not _are_buckets_those_of(written[0].table, table):
                # Which tasks they go to is known when it is known how many there are.
                bucket = "0"
        written.append(_write(rows, table, bucket, name, connection, folder / str(number)))
    return written


def _write(
    rows: str, table: TaskTable, bucket: str, name: str, connection: duckdb.DuckDBPyConnection, folder: Path
) -> _Written:
    """Write rows in the order of their buckets.

    Args:
        rows: the query that gives them.
        table: that tasks read them as; its files are still to be written.
        bucket: the SQL of a row's bucket.
        name: of the node, as messages have it.
        connection: of the warehouse.
        folder: for the files.
    """
    texts = columns_as_text(dict(table.columns), name)
    values = ", ".join(
        f"{quoted(each)}::varchar as {quoted(each)}" if each in texts else quoted(each)
        for each, _ in table.columns
    )
    [row] = connection.execute(
        f"copy (select {bucket} as {BUCKET}, {values} from ({rows}) order by {BUCKET}) to {text(folder)} "
        f"(format parquet, compression lz4_raw, file_size_bytes {_BYTES_A_FILE})"
    ).fetchall()
    found = sorted(folder.glob("*.parquet")) if row[0] else []
    groups = (
        connection.execute(
            "select file_name, row_group_num_rows, stats_min_value::int, stats_max_value::int "
            f"from parquet_metadata({file_list([*map(str, found)])}) where path_in_schema = {text(BUCKET)}"
        ).fetchall()
        if found
        else []
    )
    spans: dict[str, tuple[int, int]] = {}
    for file, _, least, greatest in groups:
        before = spans.get(file, (least, greatest))
        spans[file] = (min(before[0], least), max(before[1], greatest))
    return _Written(
        replace(table, files=tuple((file, *span) for file, span in sorted(spans.items()))),
        row[0],
        sum(each.stat().st_size for each in found),
        folder,
        [(rows, least, greatest) for _, rows, least, greatest in groups],
    )


def _order(groups: Iterable[tuple[int, int, int]], parts: int) -> tuple[int, ...]:
    """Return the tasks with most rows first: one that begins late with much is what all others wait for.

    Args:
        groups: rows that lie together, each with their number, and their least and greatest bucket.
        parts: the number of tasks.
    """
    weights = [0.0] * parts
    for rows, least, greatest in groups:
        first, last = (bucket * parts // BUCKETS for bucket in (least, greatest))
        for part in range(first, last + 1):
            weights[part] += rows / (last - first + 1)
    return tuple(sorted(range(parts), key=lambda part: -weights[part]))


def _mentioned(columns: Mapping[str, str], mentioned: set[str] | None) -> Mapping[str, str]:
    return {name: kind for name, kind in columns.items() if mentioned is None or folded(name) in mentioned}


def _of_a_key(job: Job, source: Input) -> str:
    """Return the condition on rows that go to tasks: a history leaves out those that have no key."""
    if not job.has_no_nulls:
        return ""
    return " where " + " and ".join(f"{quoted(key)} is not null" for key in source.keys)


def _words_of(sql: str) -> set[str]:
    return {folded(token.text) for token in tokenize(sql, dialect="duckdb")}


def _routed(
    history: _Written, spine: _Written, parts: int, name: str, connection: duckdb.DuckDBPyConnection
) -> _Written:
    """Write the rows of a history anew, for each task that has rows of the spine which ask for their key.

    So all histories are there where they are asked for, whatever their keys.
    """
    if not history.rows or _are_buckets_those_of(spine.table, history.table):
        return history
    # The first bucket of a task stands for all of its buckets.
    part = f"({bucket_of(spine.table.keys)}::bigint * {parts} // {BUCKETS})"
    first = f"(({part} * {BUCKETS} + {parts - 1}) // {parts})::int"
    rows = (
        f"select history.*, routes.{_ROUTE} from ({_rows_in(history.table)}) as history inner join "
        f"(select distinct {first} as {_ROUTE}, {quoted(*history.table.keys)} "
        f"from ({_rows_in(spine.table)})) as routes using ({quoted(*history.table.keys)})"
    )
    folder = history.folder.with_name(f"{history.folder.name}-routed")
    return _write(rows, history.table, _ROUTE, name, connection, folder)


def _are_buckets_those_of(spine: TaskTable, history: TaskTable) -> bool:
    """Whether rows of a history are in the bucket of the rows of the spine that ask for them."""
    kinds = [dict(each.columns) for each in (spine, history)]
    return spine.keys == history.keys and all(kinds[0][key] == kinds[1][key] for key in spine.keys)


def _rows_in(table: TaskTable) -> str:
    return _rows_of([file for file, *_ in table.files], dict(table.columns))


def _columns_of_result(job: Job, tables: Sequence[TaskTable], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the types of the columns that the SQL gives, from empty tables."""
    with duckdb.connect() as connection:
        set_all(connection, settings.items())
        make_tables(connection, tables)
        return {row[0]: row[1] for row in connection.execute(f"describe {job.sql}").fetchall()}


def _run(task: Task, spark: Any) -> list[dict[str, Any]]:
    """Have Spark compute the parts, and return what each tells."""
    with faults_of_spark(), warnings.catch_warnings():
        # Nothing here goes through pandas.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        if has_context(spark):
            # What tables cost Spark, a few numbers are not worth: its planner, and pandas in each process.
            parts = spark.sparkContext.parallelize(task.order, task.parts)
            return [told for told in parts.map(lambda part: compute_part(part, task)).collect() if told]
        ids = spark.range(0, task.parts, 1, task.parts)
        rows = ids.mapInArrow(lambda batches: compute_batches(batches, task), RESULTS).collect()
        return [row.asDict() for row in rows]


def _check(told: Sequence[Mapping[str, Any]], task: Task, read: Sequence[int], name: str) -> None:
    """Raise if a task failed, or if rows were lost or doubled on the way."""
    # Of all that ran out of memory, the one whose heaviest key has most rows.
    failed = sorted((each for each in told if each["fault"]), key=lambda each: -(each["heaviest_rows"] or 0))
    if failed:
        raise Fault(_fault_of(failed[0], name))
    for number, rows in enumerate(read):
        if not task.tables[number].keys:
            # Each task reads all of it.
            continue
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
