"""Check the columns of a file against the declared ones, and arrange its rows by the declared columns."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat

import pyarrow as pa

from assay.core.sql import folded
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile
from assay.landing.formats.rows import Tally, arrow_schema, contract_line, csv_reader

ROWS_A_BATCH = 50_000
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def check_header(
    header: list[str], line: str, file: LandingFile, table: LandingTable, tally: Tally
) -> list[str]:
    """Return the declared name of each column of a file, and note the lost and unexpected columns.

    Args:
        header: the file's column names.
        line: the header's line as it is in the file, to recognise a wrong delimiter.
        file: the file, whose Hive-style folders may hold columns.
        table: the declared table.
        tally: receives the unexpected and the lost columns.

    Raises:
        UnreadableFile: a column is named twice, the delimiter is wrong, or no declared column is there.
    """
    check_names(header)
    names = as_declared(header, table)
    tally.lost_columns = [
        name
        for name in table.columns
        if name not in names and name not in table.optional and name not in file.folders
    ]
    tally.unexpected_columns = [name for name in names if name not in table.columns]
    if tally.lost_columns:
        check_delimiter(header, line, table)
        if not set(names) & set(table.columns):
            # The message does not quote the header, which may be a row of data.
            raise UnreadableFile(
                "The header has none of the columns declared: "
                f"send the file with {', '.join(tally.lost_columns)}."
            )
    return names


def check_names(header: Sequence[str]) -> None:
    """Check that no two columns have the same name.

    Raises:
        UnreadableFile: a column is named twice.
    """
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise UnreadableFile(
            f"The header names {', '.join(name or 'an empty name' for name in twice)} twice: "
            "send the file with each column once."
        )


def as_declared(header: list[str], table: LandingTable) -> list[str]:
    """Replace aliases by the declared names, and names that differ from either only in case.

    A name stays if the file also has the declared name, or has two names that differ only in case.
    """
    # Python folds the case of all letters; DuckDB that of A to Z only.
    declared_names = {**table.aliases, **dict(zip(table.columns, table.columns, strict=True))}
    by_case = {
        fold(name): column for fold in (str.casefold, folded) for name, column in declared_names.items()
    }
    spellings = Counter(map(str.casefold, header))
    taken = set(header)
    names = []
    for name in header:
        declared = table.aliases.get(name, name)
        if declared == name and name not in table.columns and spellings[name.casefold()] == 1:
            declared = by_case.get(folded(name), by_case.get(name.casefold(), name))
        names.append(name if declared in taken else declared)
        taken.add(names[-1])
    return names


def check_delimiter(header: list[str], line: str, table: LandingTable) -> None:
    """Refuse a file whose header gives more declared columns with another delimiter than the declared one."""
    if delimiter := other_delimiter(header, line, table):
        declared = table.dialect.delimiter
        raise UnreadableFile(
            f"The file is delimited by {_DELIMITERS[delimiter]}: send it again delimited by "
            f"{_DELIMITERS.get(declared, repr(declared))}, "
            f"or declare it: {contract_line(replace(table.dialect, delimiter=delimiter))}."
        )


def other_delimiter(header: list[str], line: str, table: LandingTable) -> str | None:
    """Return the delimiter that gives more declared columns than the declared one; None if none does.

    Args:
        header: the names by the declared delimiter.
        line: the header's line.
        table: the declared table.
    """
    for delimiter in _DELIMITERS:
        if delimiter in (table.dialect.delimiter, table.dialect.quote):
            continue
        try:
            names = [name.strip() for name in next(csv_reader([line], delimiter, table.dialect.quote), [])]
        except csv.Error:
            continue
        found, known = (set(as_declared(each, table)) & set(table.columns) for each in (names, header))
        if len(found) > len(known) or (len(header) == 1 and len(names) > 1):
            return delimiter
    return None


def batch_builder(
    header: list[str], file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Callable[[list[int], list[list[str]], list[tuple[int, str, str]]], pa.RecordBatch]:
    """Return a function that turns parsed records into a batch, with malformed lines at its end."""
    schema = arrow_schema(table)
    position = {name: index for index, name in enumerate(header)}
    unexpected = tally.unexpected_columns

    def build(
        numbers: list[int], records: list[list[str]], malformed: list[tuple[int, str, str]]
    ) -> pa.RecordBatch:
        good, bad = len(records), len(malformed)
        values = list(zip(*records, strict=True)) if records else [()] * len(header)

        def text(column: Sequence[str] | None) -> pa.Array:
            return pa.array([*(column or repeat(None, good)), *repeat(None, bad)], pa.string())

        def declared(name: str) -> Sequence[str] | None:
            if name in position:
                return values[position[name]]
            return [file.folders[name]] * good if name in file.folders else None

        others = None
        if unexpected:
            others = [
                json.dumps({name: record[position[name]] for name in unexpected}, ensure_ascii=False)
                for record in records
            ]
        tally.rows += good + bad
        tally.row_lines += bad
        tally.malformed_rows += bad
        return pa.record_batch(
            [
                pa.repeat(pa.scalar(file_id, pa.int64()), good + bad),
                pa.array([*numbers, *(number for number, _, _ in malformed)], pa.int64()),
                *(text(declared(name)) for name in table.columns),
                text(others),
                pa.array([None] * good + [line for _, line, _ in malformed], pa.string()),
                pa.array([None] * good + [reason for _, _, reason in malformed], pa.string()),
            ],
            schema=schema,
        )

    return build
