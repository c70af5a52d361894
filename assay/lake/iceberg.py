"""Tables of Apache Iceberg, by the package pyiceberg, with a catalog in a file of SQLite."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

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
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted
from assay.lake.formats import COLUMNS, EXPORT, MARK, RUN, Change, find_unbounded, written_meanwhile
from assay.lake.place import TablePlace

_OWNER = "assay.owner"
_HINT = "metadata/version-hint.text"


class IcebergTable:
    """A table of Iceberg, in the catalog of its place.

    Args:
        place: of the table.
        schema: its columns in the next version.
        namespace: of the table in the catalog: the schema of gold that it is in.
    """

    def __init__(self, place: TablePlace, schema: pa.Schema, namespace: str) -> None:
        self._place = place
        self._schema = schema
        self._namespace = namespace
        self._identifier = (namespace, place.name)
        self._catalog, self._etag = self._fetch_catalog()
        self._transaction: Transaction | None = None

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table."""
        table = self._load()
        if table is None:
            return None
        if table.properties.get(_OWNER) != MARK or not table.spec().is_unpartitioned():
            raise Fault(
                f"{self._place.url} is a table that another program has made or changed: name another place.",
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

    def list_files(self) -> dict[str, int]:
        """Return the data files of the newest version: the size of each in bytes, by its key."""
        tasks = list(self._loaded().scan().plan_files())
        if any(task.delete_files for task in tasks):
            raise Fault(
                f"{self._place.url}: another program has deleted rows beside their files: name another "
                "place.",
                MISUSED,
            )
        return {self._key_of(task.file): task.file.file_size_in_bytes for task in tasks}

    def name_fields(self, columns: pa.Schema) -> str:
        """Return an option of DuckDB's COPY by which columns have the ids that Iceberg finds them by."""
        schema = self._begin().table_metadata.schema()
        return f", field_ids {{{', '.join(map(_write_id, schema.fields))}}}"

    def commit(self, change: Change) -> None:
        """Make a new version, in one step, of the one that was read."""
        transaction = self._begin()
        before = self._load()
        there = {} if before is None else self._data_files()
        with transaction.update_snapshot(snapshot_properties=dict(change.says)).overwrite() as snapshot:
            for file in change.added:
                snapshot.append_data_file(
                    parquet_file_to_data_file(
                        transaction._table.io,
                        _without_bounds(transaction.table_metadata, find_unbounded(file.metadata)),
                        self._place.locate_for_iceberg(file.key),
                    )
                )
            for key in change.removed:
                snapshot.delete_data_file(there[key])
        transaction.commit_transaction()
        self._transaction = None
        self._send_catalog(before, self._loaded())
        self._write_hint(self._loaded())

    def _fetch_catalog(self) -> tuple[SqlCatalog, str | None]:
        catalog, etag = _fetch_catalog(self._place)
        catalog.create_namespace_if_not_exists(self._namespace)
        return catalog, etag

    def _send_catalog(self, before: Table | None, new: Table) -> None:
        """Put the catalog in place, which makes the new version.

        Raises:
            Fault: another process has made a version since.
        """
        while not self._place.send_catalog(self._etag):
            # Another table of the place may have a new version.
            self._catalog, self._etag = self._fetch_catalog()
            there = self._load()
            if (there and there.metadata_location) != (before and before.metadata_location):
                raise written_meanwhile(self._place.url)
            if there:
                self._catalog.drop_table(self._identifier)
            self._catalog.register_table(self._identifier, new.metadata_location)

    def _begin(self) -> Transaction:
        """Begin a transaction in which the table has the columns of the next version."""
        if self._transaction is None:
            table = self._load()
            if table is None:
                self._transaction = self._catalog.create_table_transaction(
                    self._identifier,
                    self._schema,
                    location=self._place.locate_for_iceberg(""),
                    properties={_OWNER: MARK},
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

    def _data_files(self) -> dict[str, DataFile]:
        return {self._key_of(task.file): task.file for task in self._loaded().scan().plan_files()}

    def _key_of(self, file: DataFile) -> str:
        return file.file_path.removeprefix(f"{self._place.locate_for_iceberg('')}/")

    def _loaded(self) -> Table:
        return self._catalog.load_table(self._identifier)

    def _load(self) -> Table | None:
        try:
            return self._loaded()
        except NoSuchTableError:
            return None

    def _write_hint(self, table: Table) -> None:
        """Say which metadata is the newest, for readers without the catalog.

        They look for a file that is named by a number, as catalogs of Hadoop have it.
        """
        newest = table.metadata_location.rpartition("/")[2]
        number = str(int(newest.partition("-")[0]) + 1)
        if self._place.read(_HINT) == number.encode():
            return
        metadata = self._place.read(f"metadata/{newest}")
        assert metadata is not None
        self._place.write(f"metadata/v{number}.metadata.json", metadata)
        self._place.write(_HINT, number.encode())


def drop_table(place: TablePlace) -> None:
    """Take a table out of the catalog of its place; its files, if any, stay.

    Args:
        place: of the table.
    """
    while True:
        catalog, etag = _fetch_catalog(place)
        for namespace in catalog.list_namespaces():
            with suppress(NoSuchTableError):
                catalog.drop_table((*namespace, place.name))
        if place.send_catalog(etag):
            return


def _fetch_catalog(place: TablePlace) -> tuple[SqlCatalog, str | None]:
    """Return the catalog of a place, and by what it is known whether another process has written it since."""
    etag = place.fetch_catalog()
    catalog = SqlCatalog(
        "assay",
        uri=f"sqlite:///{place.catalog}",
        warehouse=place.locate_for_iceberg(),
        **place.io_properties(),
    )
    return catalog, etag


def _without_bounds(metadata: TableMetadata, columns: Collection[str]) -> TableMetadata:
    """Return a table's metadata by which the bounds of some columns of a file are not noted."""
    unbounded = {f"{TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX}.{name}": "counts" for name in columns}
    return metadata.model_copy(update={"properties": metadata.properties | unbounded})


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
