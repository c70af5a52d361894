"""Tables of Apache Iceberg, by the package pyiceberg, with a catalog in a file of SQLite."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import (
    _pyarrow_to_schema_without_ids,
    parquet_file_to_data_file,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import Table, Transaction
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from assay.core.disk import put_in_place
from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted
from assay.lake.formats import COLUMNS, EXPORT, MARK, RUN, Change

_OWNER = "assay.owner"
_HINT = "version-hint.text"
_SCHEME = "file://"


class IcebergFolder:
    """A table of Iceberg, in the catalog beside its folder.

    Args:
        folder: of the table, absolute.
        name: of the table.
        schema: its columns in the next version.
        namespace: of the table in the catalog: the schema of gold that it is in.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema, namespace: str) -> None:
        self._folder = folder
        self._schema = schema
        self._identifier = (namespace, name)
        self._catalog = _open_catalog(folder)
        self._catalog.create_namespace_if_not_exists(namespace)
        self._transaction: Transaction | None = None

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table."""
        table = self._load()
        if table is None:
            return None
        if table.properties.get(_OWNER) != MARK or not table.spec().is_unpartitioned():
            raise Fault(
                f"{self._folder} is a table that another program has made or changed: name another place.",
                MISUSED,
            )
        # A process may have been killed before it wrote this.
        self._write_hint(table)
        snapshot = table.current_snapshot()
        said = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        return {key: said[key] for key in (EXPORT, RUN, COLUMNS) if key in said}

    def read_version(self) -> str:
        """Return the id of the newest snapshot."""
        snapshot = self._loaded().current_snapshot()
        return str(snapshot.snapshot_id) if snapshot else ""

    def list_files(self) -> list[Path]:
        """Return the data files of the newest version."""
        tasks = list(self._loaded().scan().plan_files())
        if any(task.delete_files for task in tasks):
            raise Fault(
                f"{self._folder}: another program has deleted rows beside their files: name another place.",
                MISUSED,
            )
        return [_find_path(task.file) for task in tasks]

    def name_fields(self, columns: pa.Schema) -> str:
        """Return an option of DuckDB's COPY by which columns have the ids that Iceberg finds them by."""
        schema = self._begin().table_metadata.schema()
        return f", field_ids {{{', '.join(map(_write_id, schema.fields))}}}"

    def commit(self, change: Change) -> None:
        """Make a new version, in one step."""
        transaction = self._begin()
        there = {} if change.replaces and self._load() is None else self._data_files()
        with transaction.update_snapshot(snapshot_properties=dict(change.says)).overwrite() as snapshot:
            for file in change.added:
                snapshot.append_data_file(
                    parquet_file_to_data_file(
                        transaction._table.io, transaction.table_metadata, _locate(file)
                    )
                )
            for file in change.removed:
                snapshot.delete_data_file(there[file])
        transaction.commit_transaction()
        self._transaction = None
        self._write_hint(self._loaded())

    def _begin(self) -> Transaction:
        """Begin a transaction in which the table has the columns of the next version."""
        if self._transaction is None:
            table = self._load()
            if table is None:
                self._transaction = self._catalog.create_table_transaction(
                    self._identifier, self._schema, location=_locate(self._folder), properties={_OWNER: MARK}
                )
            else:
                self._transaction = table.transaction()
                self._change_columns(self._transaction)
        return self._transaction

    def _change_columns(self, transaction: Transaction) -> None:
        there = _describe(transaction.table_metadata.schema())
        fields = {field.name: field for field in _pyarrow_to_schema_without_ids(self._schema).fields}
        wanted = _describe(assign_fresh_schema_ids(Schema(*fields.values())))
        # A column of another type is another column: what is of the old one cannot be read as the new one.
        with transaction.update_schema(allow_incompatible_changes=True) as update:
            for name in there:
                if there[name] != wanted.get(name):
                    update.delete_column((name,))
        with transaction.update_schema() as update:
            for name in wanted:
                if wanted[name] != there.get(name):
                    update.add_column((name,), fields[name].field_type)

    def _data_files(self) -> dict[Path, DataFile]:
        return {_find_path(task.file): task.file for task in self._loaded().scan().plan_files()}

    def _loaded(self) -> Table:
        return self._catalog.load_table(self._identifier)

    def _load(self) -> Table | None:
        try:
            return self._loaded()
        except NoSuchTableError:
            return None

    def _write_hint(self, table: Table) -> None:
        """Say which metadata is the newest, for readers without the catalog."""
        newest = Path(table.metadata_location.removeprefix(_SCHEME))
        hint = newest.with_name(_HINT)
        wanted = newest.name.removesuffix(".metadata.json")
        if not hint.is_file() or hint.read_text() != wanted:
            new = hint.with_name(f".{_HINT}")
            new.write_text(wanted)
            put_in_place(new, hint)


def drop_table(folder: Path) -> None:
    """Take a table out of the catalog beside its folder, which may be gone.

    Args:
        folder: of the table, absolute; it has the table's name.
    """
    catalog = _open_catalog(folder)
    for namespace in catalog.list_namespaces():
        with suppress(NoSuchTableError):
            catalog.drop_table((*namespace, folder.name))


def _open_catalog(folder: Path) -> SqlCatalog:
    return SqlCatalog(
        "assay", uri=f"sqlite:///{folder.parent / 'catalog.sqlite'}", warehouse=_locate(folder.parent)
    )


def _locate(path: Path) -> str:
    # Iceberg's packages take no percent signs for a space.
    return f"{_SCHEME}{path}"


def _find_path(file: DataFile) -> Path:
    return Path(file.file_path.removeprefix(_SCHEME))


def _describe(schema: Schema) -> dict[str, pa.DataType]:
    found = schema_to_pyarrow(schema, include_field_ids=False)
    return {field.name: field.type for field in found}


def _write_id(field: NestedField) -> str:
    """Write a field and those within it with their ids, as DuckDB's COPY takes them."""
    return f"{quoted(field.name)}: {_write_ids(field.field_id, field.field_type)}"


def _write_ids(number: int, kind: IcebergType) -> str:
    match kind:
        case StructType():
            inner = [_write_id(field) for field in kind.fields]
        case ListType():
            inner = [f"element: {_write_ids(kind.element_id, kind.element_type)}"]
        case MapType():
            inner = [
                f"key: {_write_ids(kind.key_id, kind.key_type)}",
                f"value: {_write_ids(kind.value_id, kind.value_type)}",
            ]
        case _:
            return str(number)
    return f"{{__duckdb_field_id: {number}, {', '.join(inner)}}}"
