"""What the values of a sample are like, counted by DuckDB: nothing is decided here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import duckdb

from assay.contracts.contract import make_snake_case
from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted, text
from assay.core.words import listed
from assay.generate.given_names import GIVEN_NAMES
from assay.generate.sample import LANDED, Sample
from assay.landing.dialect import THOUSANDS, Dialect, number_pattern
from assay.landing.formats.sniff import TimeFormat, find_time_formats
from assay.landing.names import what_is_wrong
from assay.landing.schema.values import pointer
from assay.landing.time_format import duckdb_format, time_by_format

#: A time as ISO 8601 has it; the macro `utc_timestamp` reads all of them.
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)?"
# Debezium writes days with a zone.
_DAY, _CLOCK = r"\d{4}-\d\d-\d\dZ?", r"\d\d:\d\d:\d\d(\.\d+)?"
_IBAN = r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){2,7} ?[A-Z0-9]{1,4}"
_PHONE = r"(\+|00)[1-9][\d ()/.-]{6,20}\d"
_CURRENCY = (
    r"(\p{Sc}|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|TRY|USD|ZAR"
    r"|Fr\.|kr|Kč|zł)"
)
_DIGITS = r"[0-9]([0-9., \x{a0}\x{202f}\x{2019}\x27]*[0-9])?"
_DRESSED = (
    rf"[-+(]?{_CURRENCY}[ \x{{a0}}\x{{202f}}]?[-+]?{_DIGITS}[-)]?"
    rf"|[-+(]?{_DIGITS}[ \x{{a0}}\x{{202f}}]?({_CURRENCY}|%|‰)[-)]?|{_DIGITS}-|\({_DIGITS}\)"
)
_ZONED = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S* ?\[?([A-Z]{3,5}|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_]+)+)\]?"
_FULL_NAME = r"\p{Lu}[\p{L}.\x{2019}-]*,?( \p{L}[\p{L}.\x{2019}-]*){1,3}"
_GIVEN_NAMES = f"[{', '.join(map(text, sorted(GIVEN_NAMES)))}]"
#: So many different values are listed, and looked at for personal data.
MOST_VALUES, _LOOKED_AT = 12, 10_000
#: One value in fifty may be a mistake.
DIRTY = 0.02
# With more keys, an object is a map of names to values.
_MOST_KEYS = 100
_MOST_COLUMNS = 1000
# Where a change event may lie within its line.
_ENVELOPES = ("", "/payload", "/value", "/value/payload")
_NONE: Mapping[tuple[str, ...], str] = MappingProxyType({})
_IS_TIME = re.compile(
    r"(.*_)?(at|on|ts|ts_ms|time|timestamp|date|day|datetime|created|updated|modified|datum|zeit|tag)(_.*)?"
)


@dataclass(frozen=True)
class ColumnProfile:
    """What the values of a column, or of a key by its path, are like; blanks count as no values.

    The counts are of rows, those from `looked_at` on of different values. `least` and `most` are of values
    that are numbers; `digits` and `decimals` count the most before and after a point, `usual_decimals` those
    of all but a few. `dressed` counts numbers with a currency, a percent sign or a minus behind, `bare` other
    numbers by any dialect, and `zoned` times with the name of a zone. `values` has all different values and
    how often each is there, where they are few. `physical` is the type that change
    events name. `written` is how times are written that are not as ISO 8601 has them; where the sample does
    not tell, `also_written` has the other ways.
    """

    path: tuple[str, ...]
    rows: int
    filled: int
    distinct: int
    longest: int
    integers: int
    padded: int
    numbers: int
    exponents: int
    digits: int
    decimals: int
    usual_decimals: int
    least: float | None
    most: float | None
    booleans: int
    dates: int
    clock_times: int
    timestamps: int
    first_time: str | None
    last_time: str | None
    uuids: int
    objects: int
    arrays: int
    looked_at: int
    dressed: int
    bare: int
    zoned: int
    emails: int
    phones: int
    cards: int
    ibans: int
    full_names: int
    given_names: int
    written: TimeFormat | None = None
    also_written: tuple[TimeFormat, ...] = ()
    values: Mapping[str, int] = field(default_factory=dict)
    physical: str | None = None

    @property
    def name(self) -> str:
        """Its name in its object."""
        return self.path[-1]


@dataclass(frozen=True)
class Profile:
    """A sample, with its columns; of JSON lines, their keys and those of the objects right within.

    `distinct_rows` leaves out rows that say the same as another. `broken_lines` are those that are no JSON
    objects, or no changes in a log of changes; they are not among `rows`. `undeclared` says which keys
    cannot be declared, and why.
    """

    sample: Sample
    rows: int
    distinct_rows: int
    broken_lines: int
    is_change_log: bool
    columns: Sequence[ColumnProfile]
    objects: Sequence[tuple[str, ...]]
    undeclared: Sequence[str]
    _connection: duckdb.DuckDBPyConnection = field(compare=False, repr=False)

    @cached_property
    def by_path(self) -> dict[tuple[str, ...], ColumnProfile]:
        """Each column by its path."""
        return {column.path: column for column in self.columns}

    def distinct_of(self, paths: Sequence[tuple[str, ...]]) -> int:
        """Count the different combinations of values of columns, in rows where all of them have one."""
        names = [f"c{list(self.by_path).index(path)}" for path in paths]
        filled = " and ".join(f"{name} is not null" for name in names)
        return _one(
            self._connection, f"select count(distinct row({', '.join(names)})) from flat where {filled}"
        )

    def misfits(self, path: tuple[str, ...], condition: str) -> tuple[int, list[str]]:
        """Count the values of a column for which a SQL condition on `value` is not true, and return some."""
        name = f"c{list(self.by_path).index(path)}"
        rows = self._connection.execute(
            f"select value, count(*) from (select {name} as value from flat) "
            f"where value is not null and not coalesce({condition}, false) group by value order by value"
        ).fetchall()
        return sum(count for _, count in rows), [value for value, _ in rows[:3]]


def profile(
    connection: duckdb.DuckDBPyConnection,
    sample: Sample,
    known_formats: Mapping[tuple[str, ...], str] = _NONE,
) -> Profile:
    """Count what the values of a sample are like.

    Args:
        connection: whose table `landed` holds the rows.
        sample: what the rows are of.
        known_formats: how a contract says that times are written, by the paths of columns.

    Raises:
        Fault: they are no JSON objects.
    """
    is_csv = sample.format == "csv"
    is_change_log, physical = False, dict[str, str]()
    objects: list[tuple[str, ...]] = []
    undeclared: list[str] = []
    if is_csv:
        paths: list[tuple[str, ...]] = [(name,) for name in sample.columns]
        values = [f"nullif(trim({quoted(name)}), '')" for name in sample.columns]
        kinds = ["null::varchar"] * len(values)
        source = LANDED
    else:
        is_change_log = _begin_documents(connection)
        if is_change_log:
            physical = _physical_types(connection)
        paths, objects, undeclared = _paths(connection)
        values = [f"nullif(trim(json_extract_string(document, {_at(path)})), '')" for path in paths]
        kinds = [f"json_type(document, {_at(path)})" for path in paths]
        source = "documents"
    if not paths:
        raise Fault(
            "The sample's documents have no keys to learn from: give documents that have some.",
            MISUSED,
        )
    listed = ", ".join(
        f"{value} as c{number}, {kind} as j{number}"
        for number, (value, kind) in enumerate(zip(values, kinds, strict=True))
    )
    identity = quoted(*sample.columns) if is_csv else "line"
    connection.execute(f"create table flat as select hash({identity}) as row_hash, {listed} from {source}")
    rows = _one(connection, "select count(*) from flat")
    columns = [
        _column(connection, path, number, rows, physical.get(path[-1]), sample.dialect)
        for number, path in enumerate(paths)
    ]
    if not is_change_log:
        columns = _with_times(connection, columns, known_formats)
    distinct_rows = _one(connection, "select count(distinct row_hash) from flat")
    broken = _one(connection, f"select count(*) from {LANDED}") - rows
    return Profile(
        sample, rows, distinct_rows, broken, is_change_log, columns, objects, undeclared, connection
    )


def _begin_documents(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the table of documents: lines, or the rows that changed; tell whether they are changes."""
    connection.execute(
        f"create table lines as select line from {LANDED} "
        "where json_valid(line) and json_type(line) = 'OBJECT'"
    )
    objects = _one(connection, "select count(*) from lines")
    if objects < 2:
        raise Fault(
            f"Of the sample's lines, {objects} hold a JSON object: there are no JSON objects, one a line, to "
            "learn from. Write each document on a line of its own, and give at least 2.",
            MISUSED,
        )
    envelope = ", ".join(
        f"case when json_exists(line, '{place}/op') and "
        f"json_type(coalesce(nullif(json_extract(line, '{place}/after'), 'null'), "
        f"json_extract(line, '{place}/before'))) = 'OBJECT' then json_extract(line, '{place or '/'}') end"
        if place
        else "case when json_exists(line, '/op') and json_type(coalesce(nullif(json_extract(line, '/after'), "
        "'null'), json_extract(line, '/before'))) = 'OBJECT' then line end"
        for place in _ENVELOPES
    )
    connection.execute(f"create table events as select line, coalesce({envelope}) as event from lines")
    all_lines, changes = connection.execute("select count(*), count(event) from events").fetchall()[0]
    is_change_log = bool(changes) and changes >= 0.8 * all_lines
    if is_change_log:
        _check_one_table(connection)
    document = (
        "coalesce(nullif(json_extract(event, '/after'), 'null'), json_extract(event, '/before'))"
        if is_change_log
        else "line"
    )
    connection.execute(
        f"create table documents as select line, {document} as document from events"
        + " where event is not null" * is_change_log
    )
    return is_change_log


def _check_one_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that changes are of one table.

    Raises:
        Fault: they are of several, whose rows have columns and keys of their own.
    """
    tables = connection.execute(
        "select distinct concat_ws('.', json_extract_string(event, '/source/schema'), "
        "json_extract_string(event, '/source/table')) as name from events "
        "where json_extract_string(event, '/source/table') is not null order by name"
    ).fetchall()
    if len(tables) > 1:
        raise Fault(
            f"The sample has changes of {len(tables)} tables: {listed([name for (name,) in tables], 8)}. "
            "Put those of each table in files of their own, and add each as a source's table.",
            MISUSED,
        )


def _physical_types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the types that change events name in their schemas, by attribute."""
    rows = connection.execute(
        "select distinct field.field, field.name, field.parameters.scale from ("
        "  select unnest(flatten(list_transform(from_json(coalesce("
        "    json_extract(line, '/schema/fields'), json_extract(line, '/value/schema/fields')), "
        '    \'[{"field": "VARCHAR", "fields": [{"field": "VARCHAR", "name": "VARCHAR", '
        '      "parameters": {"scale": "VARCHAR"}}]}]\'), lambda part: part.fields))) as field from events'
        ") where field.name is not null"
    ).fetchall()
    return {name: f"{kind}({scale})" if scale is not None else kind for name, kind, scale in rows}


def _paths(
    connection: duckdb.DuckDBPyConnection,
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], list[str]]:
    """Return the paths of keys of values, those of keys of objects, and what is wrong with other keys."""
    found: list[tuple[str, ...]] = []
    objects: list[tuple[str, ...]] = []
    wrong: list[str] = []
    for key in _declarable(_keys(connection, ()), wrong):
        others = _one(
            connection,
            "select count(*) filter (kind not in ('OBJECT', 'NULL')) "
            f"from (select json_type(document, {_at((key,))}) as kind from documents)",
        )
        inner = _keys(connection, (key,)) if not others else []
        if inner and len(inner) <= _MOST_KEYS:
            objects.append((key,))
            found += [(key, each) for each in _declarable(inner, wrong)]
        else:
            found.append((key,))
    return found[:_MOST_COLUMNS], objects, wrong


def _declarable(keys: Sequence[str], wrong: list[str]) -> list[str]:
    """Return the keys of an object that can be declared; `wrong` is told what is wrong with others."""
    known: list[str] = []
    for key in keys:
        if problem := what_is_wrong(key, known, is_column=False):
            wrong.append(problem.replace("is declared already as", "is there already as"))
        else:
            known.append(key)
    return known


def _keys(connection: duckdb.DuckDBPyConnection, path: tuple[str, ...]) -> list[str]:
    """Return the keys of an object, in the order in which they come."""
    rows = connection.execute(
        "select key from (select unnest(keys) as key, generate_subscripts(keys, 1) as place from "
        f"(select json_keys(document, {_at(path)}) as keys from documents)) "
        "group by key order by min(place), key"
    ).fetchall()
    return [key for (key,) in rows]


def _at(path: tuple[str, ...]) -> str:
    return text(pointer(path) if path else "$")


def _column(
    connection: duckdb.DuckDBPyConnection,
    path: tuple[str, ...],
    number: int,
    rows: int,
    physical: str | None,
    dialect: Dialect,
) -> ColumnProfile:
    """Count what the values of one column are like."""

    def matches(pattern: str, value: str = "t") -> str:
        return f"count(*) filter (regexp_full_match({value}, '{pattern}'))"

    is_number = "n is not null"
    is_time = f"regexp_full_match(t, '{_ISO}') and try_cast(t as timestamptz) is not null"
    counts = {
        "filled": "count(t)",
        "distinct": "count(distinct t)",
        "longest": "coalesce(max(length(t)), 0)",
        "integers": matches(r"[+-]?\d+", "n"),
        "padded": matches(r"[+-]?0\d+|\+.*", "n"),
        "numbers": f"count(*) filter ({is_number})",
        "exponents": f"count(*) filter ({is_number} and regexp_matches(n, '[eE]'))",
        "digits": f"coalesce(max(length(regexp_extract(n, '^[+-]?0*(\\d+)', 1))) filter ({is_number}), 0)",
        "decimals": f"coalesce(max(length(regexp_extract(n, '\\.(\\d+)', 1))) filter ({is_number}), 0)",
        "usual_decimals": (
            f"coalesce(quantile_disc(length(regexp_extract(n, '\\.(\\d+)', 1)), {1 - DIRTY}) "
            f"filter ({is_number}), 0)"
        ),
        "least": f"min(try_cast(n as double)) filter ({is_number})",
        "most": f"max(try_cast(n as double)) filter ({is_number})",
        "booleans": matches("(?i)true|false|t|f|yes|no|y|n|0|1"),
        "dates": f"{matches(_DAY)[:-1]} and try_cast(t as date) is not null)",
        "clock_times": f"{matches(_CLOCK)[:-1]} and try_cast(t as time) is not null)",
        "timestamps": f"count(*) filter ({is_time})",
        "first_time": f"min(try_cast(t as timestamptz)) filter ({is_time})::varchar",
        "last_time": f"max(try_cast(t as timestamptz)) filter ({is_time})::varchar",
        "uuids": matches("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
        "objects": "count(*) filter (j = 'OBJECT')",
        "arrays": "count(*) filter (j = 'ARRAY')",
    }
    found = _row(
        connection,
        counts,
        f"(select c{number} as t, j{number} as j, {write_number_sql(f'c{number}', dialect)} as n from flat)",
    )
    is_name = matches(_FULL_NAME)
    looked_at = {
        "looked_at": "count(*)",
        "dressed": matches(_DRESSED),
        "bare": matches(rf"[-+]?{_DIGITS}"),
        "zoned": matches(_ZONED),
        "emails": matches(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"),
        "phones": matches(_PHONE),
        "cards": f"count(*) filter ({_passes_luhn('t')})",
        "ibans": matches(_IBAN),
        "full_names": is_name,
        "given_names": (
            f"{is_name[:-1]} and list_has_any(string_split_regex(lower(t), '[ ,]+'), {_GIVEN_NAMES}))"
        ),
    }
    some = f"(select distinct c{number} as t from flat where c{number} is not null limit {_LOOKED_AT})"
    found |= _row(connection, looked_at, some)
    values = {}
    if found["distinct"] <= MOST_VALUES:
        values = dict(
            connection.execute(
                f"select c{number}, count(*) from flat where c{number} is not null group by all order by all"
            ).fetchall()
        )
    return ColumnProfile(path=path, rows=rows, values=values, physical=physical, **found)


def write_number_sql(value: str, dialect: Dialect) -> str:
    """Return SQL for the number that a text tells, as SQL writes it; NULL where it tells none.

    Args:
        value: a SQL expression of type text.
        dialect: by which numbers are written.
    """
    parts = THOUSANDS.get(dialect.thousands, "")
    plain = (
        f"replace(translate({value}, {text(parts)}, ''), {text(dialect.decimal)}, '.')" if parts else value
    )
    if not parts and dialect.decimal != ".":
        plain = f"replace({value}, {text(dialect.decimal)}, '.')"
    pattern = number_pattern(dialect.decimal, dialect.thousands)
    return f"case when regexp_full_match({value}, {text(pattern)}) then {plain} end"


def _with_times(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[ColumnProfile],
    known: Mapping[tuple[str, ...], str],
) -> list[ColumnProfile]:
    """Return the columns with how times are written that are not as ISO 8601 has them."""
    found = {number: _time_formats(connection, number, column) for number, column in enumerate(columns)}
    # What one column tells holds for others that do not.
    certain = {formats[0] for formats in found.values() if len(formats) == 1}
    result = []
    for number, column in enumerate(columns):
        formats = [each for each in found[number] if each.format == known.get(column.path)] or found[number]
        if len(formats) > 1:
            formats = [each for each in formats if each in certain] or formats
        result.append(_written(connection, number, column, formats) if formats else column)
    return result


def _time_formats(
    connection: duckdb.DuckDBPyConnection, number: int, column: ColumnProfile
) -> list[TimeFormat]:
    """Return the ways in which the values of a column may be written as times, those of ISO 8601 aside."""
    if not column.filled or column.dates + column.timestamps + column.objects + column.arrays:
        return []
    is_named_so = _IS_TIME.fullmatch(make_snake_case(column.name)) is not None
    # Whole numbers may be anything.
    if column.numbers and not is_named_so:
        return []
    # Of texts in several shapes, a few may be mistakes; so may days that no month has.
    rows = connection.execute(
        f"select value, n, sum(n) over (partition by shape) from (select c{number} as value, count(*) as n, "
        f"regexp_replace(regexp_replace(c{number}, '[0-9]+', '9', 'g'), '[A-Za-z]+', 'A', 'g') as shape "
        f"from flat where c{number} is not null group by all limit {_LOOKED_AT})"
    ).fetchall()
    most = max(count for *_, count in rows)
    if most < (1 - DIRTY) * sum(n for _, n, _ in rows):
        return []
    usual = Counter({value: n for value, n, count in rows if count == most})
    return [each for each in find_time_formats(usual.elements(), mistakes=DIRTY) if each.format]


def _written(
    connection: duckdb.DuckDBPyConnection, number: int, column: ColumnProfile, formats: Sequence[TimeFormat]
) -> ColumnProfile:
    found, *others = formats
    assert found.format
    instant = time_by_format("value", duckdb_format(found.format, found.logical_type))
    count, first, last = connection.execute(
        f"select count(*) filter ({found.condition}), min({instant})::varchar, max({instant})::varchar "
        f"from (select c{number} as value from flat)"
    ).fetchall()[0]
    if others:
        return replace(column, written=found, also_written=tuple(others))
    counts = {"dates": count} if found.logical_type == "date" else {"timestamps": count}
    return replace(column, written=found, first_time=first, last_time=last, **counts)


def _passes_luhn(value: str) -> str:
    """Return a SQL condition: the digits of a card's number add up as issuers have them add up."""
    digits = f"regexp_replace({value}, '[ -]', '', 'g')"
    doubled = "(try_cast(d[len(d) - i] as integer) * (1 + i % 2))"
    return (
        f"case when regexp_full_match({value}, '\\d([ -]?\\d){{12,18}}') then list_sum(list_transform("
        f"range(length({digits})), lambda i: list_transform([{digits}], "
        f"lambda d: {doubled} - 9 * ({doubled} > 9)::integer)[1])) % 10 = 0 else false end"
    )


def _row(connection: duckdb.DuckDBPyConnection, select: Mapping[str, str], source: str) -> dict[str, Any]:
    listed = ", ".join(f"{sql} as {quoted(name)}" for name, sql in select.items())
    [row] = connection.execute(f"select {listed} from {source}").fetchall()
    return dict(zip(select, row, strict=True))


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    [row] = connection.execute(sql).fetchall()
    return int(row[0])
