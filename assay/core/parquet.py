"""Write and read files of Parquet that are encrypted where a key is set, with DuckDB's own encryption."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from assay.core.disk import put_in_place, sync
from assay.core.encryption import (
    EncryptionKey,
    find_encryption_key,
    key_missing,
    key_of_another,
    load_openssl,
)
from assay.core.fault import MISUSED, Fault
from assay.core.sql import text

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"PARE"
_PURPOSE = b"assay: files of Parquet"
_OTHER_KEY = "AES tag differs"
# Behind the magic bytes of a file that Arrow writes stands which key it is of: Parquet allows such a gap.
_NOTE, _NOTE_BYTES = b"assay-key:", 26
#: How many bytes of a file tell whether it is encrypted, and with which key.
START_BYTES = len(_MAGIC) + _NOTE_BYTES
_ROWS_A_GROUP = 122_880


def is_encrypted_parquet(file: Path) -> bool:
    """Tell whether a file of Parquet is encrypted; false if there is none that can be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        # Whoever opens it next says what is wrong with it.
        return False


def opens_parquet(file: Path, key: EncryptionKey | None) -> bool:
    """Tell whether a key is that of an encrypted file, which may be damaged if it says so itself.

    Raises:
        duckdb.Error: it is no file of Parquet, or is damaged.
    """
    if key is None:
        return False
    noted = find_noted_key(file)
    if noted == key.fingerprint:
        return True
    try:
        with duckdb.connect() as connection:
            connection.execute(f"describe from {_rows(file, key)}")
    except duckdb.InvalidInputException as error:
        if noted is None and _OTHER_KEY not in str(error):
            raise
        return False
    return True


def note_key(sink: pa.NativeFile, key: EncryptionKey) -> None:
    """Write which key a file is of: a wrong key and a damaged file give the same error.

    Args:
        sink: what Arrow's writer has just begun to write to.
        key: of the file.

    Raises:
        OSError: the disk is full, or the like.
    """
    sink.write(_NOTE + key.fingerprint.encode())


def find_noted_key(file: Path) -> str | None:
    """Return the fingerprint of the key that a file says it is of; None if it says nothing.

    Those that Arrow writes say it, those of DuckDB do not.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return key_in_start(stream.read(START_BYTES))[1]


def key_in_start(start: bytes) -> tuple[bool, str | None]:
    """Tell by its first bytes whether a file is encrypted, and of which key it says it is.

    Args:
        start: the first `START_BYTES` of the file, or all of a shorter one.
    """
    note = start[len(_MAGIC) : START_BYTES]
    noted = note.removeprefix(_NOTE).decode(errors="replace") if note.startswith(_NOTE) else None
    return start.startswith(_MAGIC), noted


def rows_of_parquet(file: Path) -> str:
    """Return SQL for the rows of a file, with the key of now if it is encrypted.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        duckdb.Error: it is encrypted, and damaged.
    """
    if not is_encrypted_parquet(file):
        return _rows(file, None)
    key = find_encryption_key()
    if key is None:
        raise key_missing(file)
    if not opens_parquet(file, key):
        raise key_of_another(file)
    return _rows(file, key)


def write_parquet(connection: duckdb.DuckDBPyConnection, select: str, file: Path) -> None:
    """Write the rows of a query to a file, encrypted where there is a key.

    Args:
        connection: of DuckDB, which the query is of.
        select: the query, with an order if the rows are to have one.
        file: the file.

    Raises:
        Fault: the extra that encrypts is not installed, or a column cannot be in an encrypted file.
        duckdb.Error: the query fails, or the file cannot be written.
    """
    _write(connection, select, file, find_encryption_key())


def rewrite_parquet(file: Path, old: EncryptionKey | None, key: EncryptionKey) -> None:
    """Write a file anew with a key, in place of the old one: the same rows in the same order.

    Args:
        file: the file.
        old: the key that it has now; None if it is plain.
        key: the one that it gets.

    Raises:
        Fault: a column cannot be in an encrypted file.
        pa.ArrowException, duckdb.Error, OSError: it cannot be read or written; the old one is unchanged.
    """
    import pyarrow.parquet as pq

    if old is None:
        schema = pq.read_schema(file)
        _refuse_changed(file, [each.name for each in schema if "timestamp[ms" in str(each.type)])
    new = file.with_name(f".{file.name}")
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            _write(connection, f"from {_rows(file, old)}", new, key)
        sync(new)
        put_in_place(new, file)
        sync(file.parent)
    finally:
        new.unlink(missing_ok=True)


def arrow_encryption(key: EncryptionKey | None) -> Any:
    """Return how Arrow's own writer encrypts files, which DuckDB reads with the same key; None without a key.

    Raises:
        Fault: the Arrow that is installed is too old for that.
    """
    if key is None:
        return None
    return _arrow_properties("create_encryption_properties", key)


def arrow_decryption(key: EncryptionKey) -> Any:
    """Return how Arrow's own reader decrypts files that its writer has encrypted; see `arrow_encryption`."""
    return _arrow_properties("create_decryption_properties", key)


def _arrow_properties(name: str, key: EncryptionKey) -> Any:
    import pyarrow as pa
    import pyarrow.parquet.encryption as arrow

    make = getattr(arrow, name, None)
    if make is None:
        raise Fault(
            f"Encrypted landed files need a newer pyarrow than the {pa.__version__} here: "
            "pip install 'assay[encryption]'.",
            MISUSED,
        )
    return make(footer_key=key.derive(_PURPOSE))


@contextmanager
def parquet_batches(file: Path, rows: int) -> Iterator[pa.RecordBatchReader]:
    """Read a file in batches of so many rows, encrypted or not, in the order of its rows.

    Args:
        file: the file.
        rows: of a batch, at most.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        pa.ArrowException, duckdb.Error, OSError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_encrypted_parquet(file):
        with pq.ParquetFile(file) as stored:
            yield pa.RecordBatchReader.from_batches(stored.schema_arrow, stored.iter_batches(rows))
        return
    relation = rows_of_parquet(file)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        reader = connection.execute(f"from {relation}").to_arrow_reader(rows)
        schema = pa.schema([field.with_type(_as_in_parquet(field.type)) for field in reader.schema])
        as_stored = partial(_with_schema, schema=schema)
        yield pa.RecordBatchReader.from_batches(schema, map(as_stored, reader))


def _with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return batch.cast(schema)


def _as_in_parquet(data_type: pa.DataType) -> pa.DataType:
    """Return a type of DuckDB's Arrow as Arrow itself reads it from Parquet: elements have another name."""
    import pyarrow as pa

    if pa.types.is_list(data_type):
        return pa.list_(pa.field("element", _as_in_parquet(data_type.value_type)))
    if pa.types.is_struct(data_type):
        return pa.struct([field.with_type(_as_in_parquet(field.type)) for field in data_type])
    if pa.types.is_timestamp(data_type) and data_type.tz:
        return pa.timestamp(data_type.unit, "UTC")
    return data_type


def _write(connection: duckdb.DuckDBPyConnection, select: str, file: Path, key: EncryptionKey | None) -> None:
    options = f"format parquet, compression zstd, row_group_size {_ROWS_A_GROUP}"
    if key:
        rows = connection.sql(select)
        kinds = zip(rows.columns, rows.types, strict=True)
        _refuse_changed(file, [name for name, kind in kinds if _is_changed(kind)])
        load_openssl(connection, is_needed=True)
        # What does not fit into memory is on the disk for a while.
        connection.execute("set temp_file_encryption = true")
        options += f", {_config(key)}"
    connection.execute(f"copy ({select}) to {text(file)} ({options})")


def _refuse_changed(file: Path, columns: list[str]) -> None:
    """Check that no column would be of another type after it was read from an encrypted file.

    Raises:
        Fault: one would.
    """
    if columns:
        raise Fault(
            f"{file} cannot be encrypted: {', '.join(columns)} would be of another type when it "
            "is read. Of a time in milliseconds make a timestamp in the model, of JSON and of a UUID a text; "
            "then build, and create the version again.",
            MISUSED,
        )


def _is_changed(kind: DuckDBPyType) -> bool:
    """Tell whether values of a type come from an encrypted file as others, or their elements do."""
    if kind in ("TIMESTAMP_MS", "UUID", "JSON"):
        return True
    # Sizes of arrays and values of enumerations are listed as well.
    inner = kind.children if kind.id in ("list", "struct", "array", "map", "union") else []
    return any(_is_changed(each) for _, each in inner if isinstance(each, DuckDBPyType))


def _rows(file: Path, key: EncryptionKey | None) -> str:
    return f"read_parquet({text(file)}{f', {_config(key, is_argument=True)}' if key else ''})"


def _config(key: EncryptionKey, *, is_argument: bool = False) -> str:
    encoded = base64.b64encode(key.derive(_PURPOSE)).decode()
    sign = " =" if is_argument else ""
    return f"encryption_config{sign} {{footer_key_value: from_base64('{encoded}')}}"
