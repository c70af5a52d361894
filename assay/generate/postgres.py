"""Read a table of Postgres as a sample: each value as the text that Postgres writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.core.sql import quoted, text
from assay.core.words import listed

if TYPE_CHECKING:
    from adbc_driver_postgresql import dbapi

#: What a sample begins with that is a table of Postgres.
SCHEMES = ("postgres://", "postgresql://")
_ADDRESS = re.compile(r"(?P<database>postgres(?:ql)?://[^/]*/[^:]+):(?:(?P<schema>[^.]+)\.)?(?P<table>.+)")
_TABLES = (
    "select n.nspname || '.' || c.relname from pg_class as c "
    "join pg_namespace as n on n.oid = c.relnamespace "
    r"where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not like 'pg\_%' "
    "and n.nspname <> 'information_schema' order by 1"
)
# What libpq says of a server. What it says of an address may have the password in it.
_OF_SERVERS = re.compile(r"(connection to server|could not translate host name)[^\n]*")
_OF_QUERIES = re.compile(r"(?:ERROR|FATAL):\s*([^\n]+)")
_PASSWORD = "a password comes from PGPASSWORD or ~/.pgpass."
_SECONDS_TO_CONNECT = 10


def read_postgres(address: str, folder: Path, most_rows: int) -> Path:
    """Write a table of Postgres to a file of Parquet.

    Args:
        address: `postgresql://user@host:5432/database:schema.table`; without a password in it, libpq takes
            that of `PGPASSWORD` or `~/.pgpass`.
        folder: where the file is to lie.
        most_rows: after so many rows the file ends.

    Raises:
        Fault: the address cannot be understood, the extra `postgres` is not installed, the server is away or
            refuses, or it has no such table.
    """
    found = _ADDRESS.fullmatch(address)
    server = _server_of(found["database"]) if found else None
    if not found or not server:
        raise Fault(
            "A table of Postgres is named as postgresql://user@host:5432/database:schema.table; " + _PASSWORD,
            MISUSED,
        )
    with extra_needed("postgres", by="A table of Postgres as a sample"):
        from adbc_driver_postgresql import dbapi
    file = folder / name_parquet_file(found["table"])
    try:
        connection = _connect(found["database"])
    except dbapi.Error as error:
        told = _OF_SERVERS.search(str(error))
        raise Fault(
            f"The sample cannot be read from Postgres at {server}: "
            f"{told[0] if told else 'the address cannot be understood'}. Correct the address; {_PASSWORD}",
            MISUSED,
        ) from error
    with connection, connection.cursor() as cursor:
        try:
            _copy(cursor, found["schema"] or "public", found["table"], server, file, most_rows)
        except dbapi.Error as error:
            told = _OF_QUERIES.search(str(error))
            reason = told[1] if told else str(error).splitlines()[0]
            raise Fault(f"{found['table']} at {server} cannot be read: {reason}.", MISUSED) from error
    return file


def name_parquet_file(table: str) -> str:
    """Return the name of a file for a table, which may have any letters in its own."""
    return re.sub(r"[^\w.-]", "_", table) + ".parquet"


def _server_of(database: str) -> str | None:
    """Return a database's address as people may see it; None where it is none."""
    try:
        parts = urlsplit(database)
        return f"{parts.hostname or 'this machine'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return None


def _connect(database: str) -> dbapi.Connection:
    from adbc_driver_postgresql import dbapi

    if "connect_timeout=" not in database:
        database += f"{'&' if '?' in database else '?'}connect_timeout={_SECONDS_TO_CONNECT}"
    return dbapi.connect(database)


def _copy(cursor: Any, schema: str, table: str, server: str, file: Path, most_rows: int) -> None:
    """Write a table to a file.

    Raises:
        Fault: there is no such table.
        Error: of the driver; the table cannot be read.
    """
    cursor.execute("set default_transaction_read_only = on")
    # What a value is as text depends on them.
    cursor.execute("set timezone = 'UTC'")
    cursor.execute("set datestyle = 'ISO'")
    cursor.execute(_TABLES)
    known = [name for (name,) in cursor.fetchall()]
    if f"{schema}.{table}" not in known:
        there = listed(known, 8) or "none"
        raise Fault(f"{server} has no table {schema}.{table}: there are {there}.", MISUSED)
    relation = f"{quoted(schema)}.{quoted(table)}"
    cursor.execute(
        "select attname::text from pg_attribute where attnum > 0 and not attisdropped "
        f"and attrelid = {text(relation)}::regclass order by attnum"
    )
    columns = ", ".join(f"{quoted(name)}::text as {quoted(name)}" for (name,) in cursor.fetchall())
    cursor.execute(f"select {columns} from {relation} limit {most_rows}")
    rows = cursor.fetch_record_batch()
    with pq.ParquetWriter(file, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
