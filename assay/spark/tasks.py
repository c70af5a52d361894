"""What runs on the machines of a cluster: the SQL of a node, on the rows of some keys.

Spark sends this module to them. They need DuckDB, and nothing of Assay: it imports nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import duckdb

#: The column of the files that tasks read which says where a row goes: a number below BUCKETS.
BUCKET = "_assay_bucket"
BUCKETS = 2**20
#: Columns of what tasks tell at their end, for Spark Connect.
RESULTS = (
    "part int, file string, rows bigint, rows_read array<bigint>, heaviest string, heaviest_rows bigint, "
    "cpu double, fault string, is_memory boolean"
)


@dataclass(frozen=True)
class TaskTable:
    """A table that a task reads.

    Attributes:
        relation: database, schema and name, as in the SQL.
        columns: names and DuckDB types of its columns.
        keys: the columns that say which task gets a row.
        files: that hold its rows, each with its least and its greatest bucket.
    """

    relation: tuple[str, str, str]
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    files: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Task:
    """What each task does.

    Attributes:
        sql: the query.
        tables: what it reads.
        order: the numbers of the tasks, in the order in which they begin.
        as_text: columns of the result that Parquet has no type for: they travel as text.
        folder: where results go; all machines see it.
        version: of DuckDB. Two versions may hash one key in two ways.
        memory: what DuckDB may have, such as `1GiB`, where Spark sets no limit of its own.
        threads: how many it may use.
        settings: of DuckDB, which results depend on.
    """

    sql: str
    tables: tuple[TaskTable, ...]
    order: tuple[int, ...]
    as_text: tuple[str, ...]
    folder: str
    version: str
    memory: str
    threads: int
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def parts(self) -> int:
        """The number of tasks."""
        return len(self.order)


def quote(*names: str) -> str:
    """Quote names and join them with commas."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Write a value as a text of SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def file_list(files: Sequence[str]) -> str:
    """Write files as a list of SQL."""
    return "[" + ", ".join(map(text, files)) + "]"


def bucket_of(keys: Sequence[str]) -> str:
    """Return the SQL of the bucket that a row is in: rows of one key are in one."""
    return f"(hash({quote(*keys)}) % {BUCKETS})::int"


def first_bucket(part: int, parts: int) -> int:
    """Return the first of the buckets that a task reads; the next task begins behind its last."""
    return -(-part * BUCKETS // parts)


def set_all(connection: duckdb.DuckDBPyConnection, settings: Iterable[tuple[str, str]]) -> None:
    """Give a session the settings which results depend on; times are UTC everywhere."""
    for name, value in (*settings, ("TimeZone", "UTC")):
        connection.execute(f"set {quote(name)} = {text(value)}")


def make_tables(connection: duckdb.DuckDBPyConnection, tables: Sequence[TaskTable]) -> None:
    """Make empty tables under the names that the SQL knows them by."""
    for table in tables:
        database, schema, _ = table.relation
        connection.execute(f"attach if not exists ':memory:' as {quote(database)}")
        connection.execute(f"create schema if not exists {quote(database)}.{quote(schema)}")
        columns = ", ".join(f"{quote(name)} {kind}" for name, kind in table.columns)
        connection.execute(f"create table {_name(table)} ({columns})")


def compute_batches(batches: Iterator[Any], task: Task) -> Iterator[Any]:
    """Compute parts for Spark Connect, which knows batches of Arrow alone.

    Args:
        batches: whose first column has places in the order of parts.
        task: what the tasks do.

    Yields:
        a batch of the columns `RESULTS` for each part that has rows.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            *(("part", pa.int32()), ("file", pa.string()), ("rows", pa.int64())),
            *(("rows_read", pa.list_(pa.int64())), ("heaviest", pa.string())),
            *(("heaviest_rows", pa.int64()), ("cpu", pa.float64())),
            *(("fault", pa.string()), ("is_memory", pa.bool_())),
        ]
    )
    for batch in batches:
        for place in batch.column(0).to_pylist():
            if told := compute_part(task.order[place], task):
                yield pa.RecordBatch.from_pylist([told], schema=schema)


def compute_part(part: int, task: Task) -> dict[str, Any] | None:
    """Run the query on the rows that are a task's, and write the result to a file of its own.

    A task that is run again writes the same file: nothing doubles.

    Args:
        part: the number of the task.
        task: what the tasks do.

    Returns:
        the values of `RESULTS` by name, `cpu` in seconds; None where the task has no rows.
    """
    import duckdb

    began = time.process_time()
    told: dict[str, Any] = {
        **{"part": part, "file": None, "rows": 0, "rows_read": [0] * len(task.tables)},
        **{"heaviest": None, "heaviest_rows": None, "cpu": 0.0, "fault": None, "is_memory": False},
    }
    with _session(task) as connection:
        try:
            _refuse_other_version(task)
            make_tables(connection, task.tables)
            told["rows_read"] = [_read(connection, table, part, task.parts) for table in task.tables]
            if not any(told["rows_read"]):
                return None
            told |= _heaviest(connection, task.tables[0])
            told |= _write_result(connection, task, part)
        except duckdb.IOException:
            # Another machine may have room, or see the file.
            raise
        except duckdb.Error as error:
            is_memory = isinstance(error, duckdb.OutOfMemoryException)
            told |= {"fault": _memory(task) if is_memory else str(error), "is_memory": is_memory}
        except _OtherVersion as error:
            told |= {"fault": str(error)}
    told["cpu"] = time.process_time() - began
    return told


def _memory(task: Task) -> str:
    """Return what DuckDB may have: three quarters of what Spark gives a process of Python, if it says so."""
    own = os.environ.get("PYSPARK_EXECUTOR_MEMORY_MB")
    return f"{int(own) * 3 // 4}MiB" if own else task.memory


class _OtherVersion(Exception):
    """The machine has another DuckDB."""


def _refuse_other_version(task: Task) -> None:
    import duckdb

    if duckdb.__version__ != task.version:
        raise _OtherVersion(
            f"A machine of the cluster has DuckDB {duckdb.__version__}, this one {task.version}: two "
            f"versions may hash one key in two ways. Install duckdb=={task.version} there."
        )


@contextmanager
def _session(task: Task) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB in memory, with a folder of its own for what memory does not hold."""
    import duckdb

    # The folder of Spark's own files is where workers have room.
    spill = tempfile.mkdtemp(
        prefix="assay-", dir=os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None
    )
    try:
        with duckdb.connect() as connection:
            connection.execute("set preserve_insertion_order = false")
            connection.execute(f"set threads = {task.threads}; set memory_limit = {text(_memory(task))}")
            set_all(connection, task.settings)
            connection.execute(f"set temp_directory = {text(spill)}")
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _read(connection: duckdb.DuckDBPyConnection, table: TaskTable, part: int, parts: int) -> int:
    """Fill a table with the rows that are a part's, or with all where it has no key; return how many."""
    first, last = first_bucket(part, parts), first_bucket(part + 1, parts) - 1
    if not table.keys:
        first, last = 0, BUCKETS
    files = [file for file, least, greatest in table.files if least <= last and first <= greatest]
    if not files:
        return 0
    values = ", ".join(f"{quote(name)}::{kind}" for name, kind in table.columns)
    [row] = connection.execute(
        f"insert into {_name(table)} select {values} from read_parquet({file_list(files)}) "
        f"where {BUCKET} between {first} and {last}"
    ).fetchall()
    return int(row[0])


def _heaviest(connection: duckdb.DuckDBPyConnection, table: TaskTable) -> dict[str, Any]:
    """Tell which key has most rows of the first table."""
    shown = " || ', ' || ".join(
        f"{text(key + ' ')} || coalesce({quote(key)}::varchar, 'NULL')" for key in table.keys
    )
    rows = connection.execute(
        f"select {shown}, count(*) from {_name(table)} "
        f"where {' and '.join(f'{quote(key)} is not null' for key in table.keys)} "
        f"group by {quote(*table.keys)} order by 2 desc limit 1"
    ).fetchall()
    return {"heaviest": rows[0][0], "heaviest_rows": rows[0][1]} if rows else {}


def _write_result(connection: duckdb.DuckDBPyConnection, task: Task, part: int) -> dict[str, Any]:
    # A table first: DuckDB 1.5.5 may repeat rows of such queries where they are streamed.
    connection.execute(f"create table memory.main._out as {task.sql}")
    texts = ", ".join(f"{quote(name)}::varchar as {quote(name)}" for name in task.as_text)
    file = Path(task.folder, f"{part}.parquet")
    unfinished = file.with_name(f".{part}-{uuid4().hex}")
    connection.execute(
        f"copy (select * {f'replace ({texts})' if texts else ''} from memory.main._out) "
        f"to {text(unfinished)} (format parquet, compression zstd)"
    )
    [row] = connection.execute("select count(*) from memory.main._out").fetchall()
    unfinished.replace(file)
    return {"file": str(file), "rows": row[0]}


def _name(table: TaskTable) -> str:
    return ".".join(map(quote, table.relation))
