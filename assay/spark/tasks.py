"""What runs on the machines of a cluster: the SQL of a node, on the rows of some keys.

Spark sends this module to them. They need DuckDB and pyarrow, and nothing of Assay: it imports nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import duckdb

#: Columns of what tasks send to each other: rows of a table, as Arrow's own bytes.
BLOCKS = "part int, input int, block binary"
#: Columns of what tasks tell at their end.
RESULTS = (
    "part int, file string, rows bigint, rows_read array<bigint>, heaviest string, heaviest_rows bigint, "
    "fault string, is_memory boolean"
)
# A row of Spark holds one block.
_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class TaskTable:
    """A table that a task reads.

    Attributes:
        relation: database, schema and name, as in the SQL.
        columns: names and DuckDB types of its columns.
        keys: the columns that say which task gets a row.
        routes: files that say to which tasks the rows of a key go; none where the hash of the key says so.
    """

    relation: tuple[str, str, str]
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    routes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What each task does.

    Attributes:
        sql: the query.
        tables: what it reads.
        parts: the number of tasks.
        as_text: columns of the result that Parquet has no type for: they travel as text.
        folder: where results go; all machines see it.
        version: of DuckDB. Two versions may hash one key in two ways.
        memory: what DuckDB may have, such as `1GiB`, where Spark sets no limit of its own.
        threads: how many it may use.
        settings: of DuckDB, which results depend on.
    """

    sql: str
    tables: tuple[TaskTable, ...]
    parts: int
    as_text: tuple[str, ...]
    folder: str
    version: str
    memory: str
    threads: int
    settings: tuple[tuple[str, str], ...] = ()


def quote(*names: str) -> str:
    """Quote names and join them with commas."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Write a value as a text of SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def file_list(files: Sequence[str]) -> str:
    """Write files as a list of SQL."""
    return "[" + ", ".join(map(text, files)) + "]"


def part_of(keys: Sequence[str], parts: int) -> str:
    """Return the SQL of the number of the task that a row goes to."""
    return f"(hash({quote(*keys)}) % {parts})::int"


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


def split_files(batches: Iterator[Any], task: Task) -> Iterator[Any]:
    """Read files, and send each of their rows to its task.

    Args:
        batches: of Arrow, with columns `input`, the number of a table, and `file`.
        task: what the tasks do.

    Yields:
        batches of the columns `BLOCKS`.
    """
    import pyarrow as pa

    for batch in batches:
        for row in batch.to_pylist():
            for part, block in _blocks(task, task.tables[row["input"]], row["file"]):
                yield pa.RecordBatch.from_pylist(
                    [{"part": part, "input": row["input"], "block": block}],
                    schema=pa.schema([("part", pa.int32()), ("input", pa.int32()), ("block", pa.binary())]),
                )


def compute_part(batches: Iterator[Any], task: Task) -> Iterator[Any]:
    """Run the query on the rows that came to a task, and write the result to a file of its own.

    A task that is run again writes the same file: nothing doubles.

    Args:
        batches: of Arrow, with the columns `BLOCKS`.
        task: what the tasks do.

    Yields:
        a batch of the columns `RESULTS`; nothing where no rows came.
    """
    import duckdb
    import pyarrow as pa

    told: dict[str, Any] = {"rows_read": [0] * len(task.tables), "is_memory": False}
    with _session(task) as connection:
        try:
            _refuse_other_version(task)
            make_tables(connection, task.tables)
            for batch in batches:
                for row in batch.to_pylist():
                    if told.setdefault("part", row["part"]) != row["part"]:
                        raise RuntimeError("Spark gave one task the rows of two.")
                    told["rows_read"][row["input"]] += _insert(
                        connection, task.tables[row["input"]], row["block"]
                    )
            if "part" in told:
                told |= _heaviest(connection, task.tables[0])
                told |= _write_result(connection, task, told["part"])
        except duckdb.IOException:
            # Another machine may have room, or see the file.
            raise
        except duckdb.Error as error:
            is_memory = isinstance(error, duckdb.OutOfMemoryException)
            told |= {"fault": _memory(task) if is_memory else str(error), "is_memory": is_memory}
        except _OtherVersion as error:
            told |= {"fault": str(error)}
    if "part" in told or "fault" in told:
        schema = pa.schema(
            [
                *(("part", pa.int32()), ("file", pa.string()), ("rows", pa.int64())),
                *(("rows_read", pa.list_(pa.int64())), ("heaviest", pa.string())),
                *(("heaviest_rows", pa.int64()), ("fault", pa.string()), ("is_memory", pa.bool_())),
            ]
        )
        yield pa.RecordBatch.from_pylist([told], schema=schema)


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


def _blocks(task: Task, table: TaskTable, file: str) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of a file as blocks, each with the number of its task."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with _session(task) as connection:
        # In order, so that the rows of a task stand together.
        if table.routes:
            on = " and ".join(f"own.{quote(key)} = routes.{quote(key)}" for key in table.keys)
            query = (
                f"select routes._part, own.* from read_parquet({text(file)}) as own inner join "
                f"read_parquet({file_list(table.routes)}) as routes on {on} order by routes._part"
            )
        else:
            query = (
                f"select {part_of(table.keys, task.parts)} as _part, * from read_parquet({text(file)}) "
                "order by _part"
            )
        rows = connection.execute(query).to_arrow_table()
    parts = rows.column("_part")
    rows = rows.remove_column(0)
    begin = 0
    for counted in pc.value_counts(parts).to_pylist():
        number = max(1, int(_BLOCK_BYTES * rows.num_rows / max(rows.nbytes, 1)))
        for start in range(begin, begin + counted["counts"], number):
            block = rows.slice(start, min(number, begin + counted["counts"] - start))
            written = pa.BufferOutputStream()
            with pa.ipc.new_stream(
                written, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
            ) as stream:
                stream.write_table(block)
            yield counted["values"], written.getvalue().to_pybytes()
        begin += counted["counts"]


def _insert(connection: duckdb.DuckDBPyConnection, table: TaskTable, block: bytes) -> int:
    import pyarrow as pa

    rows = pa.ipc.open_stream(block).read_all()
    connection.register("_block", rows)
    values = ", ".join(f"{quote(name)}::{kind}" for name, kind in table.columns)
    connection.execute(f"insert into {_name(table)} select {values} from _block")
    connection.unregister("_block")
    return int(rows.num_rows)


def _heaviest(connection: duckdb.DuckDBPyConnection, table: TaskTable) -> dict[str, Any]:
    """Tell which key has most rows of the first table."""
    shown = " || ', ' || ".join(
        f"{text(key + ' ')} || coalesce({quote(key)}::varchar, 'NULL')" for key in table.keys
    )
    row = connection.execute(
        f"select {shown}, count(*) from {_name(table)} "
        f"where {' and '.join(f'{quote(key)} is not null' for key in table.keys)} "
        f"group by {quote(*table.keys)} order by 2 desc limit 1"
    ).fetchone()
    return {"heaviest": row[0], "heaviest_rows": row[1]} if row else {}


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
    row = connection.execute("select count(*) from memory.main._out").fetchone()
    assert row
    unfinished.replace(file)
    return {"file": str(file), "rows": row[0]}


def _name(table: TaskTable) -> str:
    return ".".join(map(quote, table.relation))
