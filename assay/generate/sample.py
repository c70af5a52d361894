"""Read samples of a source's data as the landing zone would read them, into one table of texts."""

from __future__ import annotations

import codecs
import gzip
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted, text
from assay.core.words import counted, listed
from assay.generate.postgres import SCHEMES, name_parquet_file, read_postgres
from assay.landing.declared import Format, LandingTable
from assay.landing.dialect import DEFAULT, Dialect
from assay.landing.discover import UnreadableFile, file_at
from assay.landing.formats.rows import Tally
from assay.landing.formats.sniff import (
    find_dialect,
    find_differences,
    find_number_signs,
    looks_like_data,
)
from assay.landing.formats.sniff import read_sample as read_first_rows
from assay.landing.names import RESERVED, what_is_wrong
from assay.landing.read import read_file

#: The table of rows: `row_number` of each and, by format, its columns or its `line`.
LANDED = "landed"
_DELIMITED = (".csv", ".tsv")
_FORMATS: dict[str, Format] = {
    **dict.fromkeys(_DELIMITED, "csv"),
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_DATABASES = (".duckdb", ".db")
_MOST_ROWS = 2_000_000
_MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Sample:
    """Rows of a source that a person shows us.

    `columns` are those of CSV, in their order, by the names under which they are declared; `aliases` has as
    keys names in files that cannot be declared. `number_signs` are the decimal sign and what parts thousands:
    several where values read as other numbers by others. `optional` are columns that not every file has.
    `is_cut` tells that only the first rows were read.
    """

    files: Sequence[Path]
    format: Format
    columns: tuple[str, ...]
    aliases: dict[str, str]
    optional: frozenset[str]
    dialect: Dialect
    number_signs: Sequence[tuple[str, str]]
    rows: int
    malformed: int
    is_cut: bool


@contextmanager
def read_sample(
    paths: Sequence[str], table: str, dialect: Dialect | None = None, format: Format | None = None
) -> Iterator[tuple[Sample, duckdb.DuckDBPyConnection]]:
    """Read samples into the table `landed` of a database in memory.

    Args:
        paths: of files of one format, or tables of DuckDB, as `file.duckdb:schema.table`, or of Postgres.
        table: as which it is to land, `source.table`.
        dialect: in which CSV is written, if that is known.
        format: of the table, if that is known; Parquet does in place of either.

    Raises:
        Fault: a sample cannot be read, is of another format than the others, or has no rows to learn from.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        files = [_as_file(path, folder) for path in paths]
        connection = stack.enter_context(duckdb.connect())
        connection.execute("set TimeZone = 'UTC'")
        yield _load(connection, files, table, dialect, format), connection


def _as_file(path: str, folder: Path) -> Path:
    """Return the file of a sample; a table of a database is written to a file first."""
    if path.startswith(SCHEMES):
        return read_postgres(path, folder, _MOST_ROWS)
    name, _, relation = path.rpartition(":")
    if name and Path(name).suffix.lower() in _DATABASES:
        return _table_as_file(Path(name), relation, folder)
    file = Path(path)
    if not file.is_file():
        what = "is a folder: name the files in it" if file.is_dir() else "is not there"
        raise Fault(f"The sample {path} {what}.", MISUSED)
    if file.suffix.lower() in _DATABASES:
        raise Fault(f"{path} is a database: name a table in it, as {path}:main.orders.", MISUSED)
    return file


def _table_as_file(database: Path, relation: str, folder: Path) -> Path:
    if not database.is_file():
        raise Fault(f"The sample {database} is not there.", MISUSED)
    schema, _, table = relation.rpartition(".")
    file = folder / name_parquet_file(table)
    with duckdb.connect(str(database), read_only=True) as connection:
        known = [
            f"{schema_name}.{name}"
            for schema_name, name in connection.execute(
                "select schema_name, table_name from duckdb_tables() "
                "where database_name = current_database() union all "
                "select schema_name, view_name from duckdb_views() "
                "where database_name = current_database() and not internal order by all"
            ).fetchall()
        ]
        wanted = f"{schema or 'main'}.{table}"
        if wanted not in known:
            known_tables = listed(known, 8) or "none"
            raise Fault(f"{database} has no table {wanted}: there are {known_tables}.", MISUSED)
        connection.execute(
            f"copy (from {quoted(schema or 'main')}.{quoted(table)} limit {_MOST_ROWS}) "
            f"to {text(file)} (format parquet)"
        )
    return file


def _load(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    table: str,
    dialect: Dialect | None,
    format: Format | None,
) -> Sample:
    formats = {file: _format_of(file, format) for file in files}
    if len(set(formats.values())) > 1:
        named = ", ".join(f"{file.name} is {_WORDS[each]}" for file, each in formats.items())
        raise Fault(f"The samples are of different formats ({named}): give those of one table.", MISUSED)
    is_csv = formats[files[0]] == "csv"
    delimited = [file for file in files if _suffix(file) in _DELIMITED]
    if dialect:
        _check_written(delimited, dialect)
    else:
        dialect = _dialect(delimited)
    headers = [_checked(_header(file, dialect), file) for file in files] if is_csv else []
    names = list(dict.fromkeys(name for header in headers for name in header))
    optional = frozenset(name for name in names if not all(name in header for header in headers))
    declared = {name: f"{name}_in_source" if name.lower() in RESERVED else name for name in names}
    landing = LandingTable(
        source=table.partition(".")[0],
        name=table.partition(".")[2],
        format=formats[files[0]],
        columns=tuple(declared.values()),
        optional=frozenset(declared[name] for name in optional),
        aliases={name: each for name, each in declared.items() if name != each},
        dialect=dialect,
    )
    for file in files:
        _check_lines(file)
    tally, is_cut = _insert(connection, files, landing)
    good = tally.rows - tally.malformed_rows
    if good < 2:
        raise Fault(
            f"The sample has {counted(good, 'row')} that can be read"
            + f" ({counted(tally.malformed_rows, 'other')} cannot)" * bool(tally.malformed_rows)
            + ": types and keys cannot be told from so few. Give at least 2 rows, better hundreds.",
            MISUSED,
        )
    return Sample(
        files,
        landing.format,
        landing.columns,
        dict(landing.aliases),
        landing.optional,
        dialect,
        _number_signs(files, dialect) if is_csv else [],
        tally.rows,
        tally.malformed_rows,
        is_cut,
    )


_WORDS: dict[Format, str] = {"csv": "of columns", "jsonl": "of documents"}


def _suffix(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    return "".join(suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def _format_of(file: Path, known: Format | None) -> Format:
    """Return as what a file lands: Parquet as its table, else as documents if columns are nested."""
    if file.stat().st_size == 0:
        raise Fault(f"The sample {file} is empty: give one with rows in it.", MISUSED)
    suffix = _suffix(file)
    if suffix == ".parquet":
        is_nested = any(map(pa.types.is_nested, _parquet_schema(file).types))
        return known or ("jsonl" if is_nested else "csv")
    if suffix not in _FORMATS:
        raise Fault(
            f"The sample {file} ends in {suffix or 'nothing'}: give a file of .csv, .tsv, .jsonl, .ndjson, "
            ".json or .parquet (or one of these with .gz), or a table as file.duckdb:schema.table.",
            MISUSED,
        )
    return _FORMATS[suffix]


def _parquet_schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise Fault(f"The sample {file} cannot be read as Parquet: give it again, whole.", MISUSED) from error


def _dialect(files: Sequence[Path]) -> Dialect:
    """Return how files of CSV are written.

    Raises:
        Fault: that cannot be told, or they are written in several ways.
    """
    found: dict[Dialect, Path] = {}
    for file in files:
        try:
            found.setdefault(find_dialect(file), file)
        except UnreadableFile as error:
            raise Fault(f"The sample {file} cannot be read. {error}", MISUSED) from error
    # A file without a letter beyond ASCII is UTF-8 as well, and one without a fraction has any decimal sign.
    names = [each.name for each in fields(Dialect)]
    said = {name: {getattr(each, name) for each in found} - {getattr(DEFAULT, name)} for name in names}
    if several := [name for name, values in said.items() if len(values) > 1]:
        raise Fault(
            f"The samples are written with several values of {several[0]}: "
            f"{listed(sorted(said[several[0]]))}. Give those that are written alike.",
            MISUSED,
        )
    return Dialect(**{name: next(iter(values)) for name, values in said.items() if values})


def _check_written(files: Sequence[Path], declared: Dialect) -> None:
    """Check that files of CSV are written as their contract says.

    Raises:
        Fault: one is written otherwise, or cannot be read.
    """
    for file in files:
        try:
            differences = find_differences(file, declared)
        except UnreadableFile as error:
            raise Fault(f"The sample {file} cannot be read. {error}", MISUSED) from error
        if differences:
            said = " and ".join(
                f"{name} {found!r}, where the contract says {known!r}"
                for name, (known, found) in differences.items()
            )
            raise Fault(
                f"The sample {file} is written with {said}. Give one that is written as the contract says. "
                "Or change dialect in the contract and run assay contracts sync; files written otherwise are "
                "then no longer loaded.",
                MISUSED,
            )


def _number_signs(files: Sequence[Path], dialect: Dialect) -> list[tuple[str, str]]:
    """Return all ways in which the numbers of CSV may be written."""
    rows = [row for file in files if _suffix(file) in _DELIMITED for row in read_first_rows(file, dialect)[1]]
    return find_number_signs(zip_longest(*rows, fillvalue=""))


def _check_lines(file: Path) -> None:
    """Check that a file of JSON is no array of its documents.

    Raises:
        Fault: it is one.
    """
    if _FORMATS.get(_suffix(file)) != "jsonl":
        return
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
            start = stream.read(1 << 10).removeprefix(codecs.BOM_UTF8).lstrip()
    except (OSError, EOFError, zlib.error):
        # Reading all of it says what is wrong.
        return
    if start.startswith(b"["):
        name = file.name.removesuffix(".gz")
        raise Fault(
            f"The sample {file} is one JSON array, so there are no JSON objects, one a line: write each "
            f"document on a line of its own, as jq -c '.[]' {name} > {Path(name).stem}.jsonl does.",
            MISUSED,
        )


def _header(file: Path, dialect: Dialect) -> list[str]:
    if _suffix(file) == ".parquet":
        return [str(name) for name in _parquet_schema(file).names]
    try:
        return read_first_rows(file, dialect)[0]
    except UnreadableFile as error:
        raise Fault(f"The sample {file} cannot be read. {error}", MISUSED) from error


def _checked(header: list[str], file: Path) -> list[str]:
    """Return a header whose names can be those of columns.

    Raises:
        Fault: they cannot.
    """
    if not header:
        raise Fault(f"The sample {file} is empty: give one with a header and rows.", MISUSED)
    if empty := [number for number, name in enumerate(header, 1) if not name]:
        numbers = listed([str(number) for number in empty], 8)
        raise Fault(f"The header of {file} gives no name to column {numbers}: name each column.", MISUSED)
    if looks_like_data(header):
        raise Fault(
            f"The first line of {file} looks like a row, not like names of columns: put a header above it.",
            MISUSED,
        )
    if len(header) == 1 and re.search(r"[,;\t|]", header[0]):
        raise Fault(
            f"The rows of {file} have other numbers of values than its header, by any delimiter. Correct the "
            "rows, and put quotes around values that have the delimiter in them.",
            MISUSED,
        )
    known: list[str] = []
    for name in header:
        problem = what_is_wrong(name, known, is_column=name.lower() not in RESERVED)
        if problem := problem and problem.replace("is declared twice", "is there twice"):
            raise Fault(f"The header of {file} cannot be used: {problem}. Correct it.", MISUSED)
        known.append(name)
    return header


def _insert(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], table: LandingTable
) -> tuple[Tally, bool]:
    """Fill the table of rows, with so many of each file that all of it stays quick."""
    columns = table.columns if table.format == "csv" else ("line",)
    listed_columns = ", ".join(f"{quoted(name)} varchar" for name in columns)
    connection.execute(f"create table {LANDED} (row_number bigint, {listed_columns})")
    all_rows, ends, is_cut = Tally(), time.monotonic() + _MOST_SECONDS, False
    for number, file in enumerate(files):
        tally = Tally()
        try:
            for batch in read_file(file_at(file), table, number, tally):
                connection.register("batch", batch)
                connection.execute(
                    f"insert into {LANDED} select row_number, {quoted(*columns)} from batch "
                    "where malformed_reason is null"
                )
                connection.unregister("batch")
                is_cut = all_rows.rows + tally.rows >= _MOST_ROWS or time.monotonic() > ends
                if is_cut:
                    break
        except UnreadableFile as error:
            raise Fault(f"The sample {file} cannot be read. {error}", MISUSED) from error
        all_rows.rows += tally.rows
        all_rows.malformed_rows += tally.malformed_rows
    return all_rows, is_cut
