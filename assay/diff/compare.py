"""Compare two states of a table in DuckDB: which rows and columns were added, removed and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from assay.core.column_types import FLOATING, WHOLE, is_number
from assay.core.sql import quoted
from assay.project.personal import Personal

# When this warehouse loaded a row, and in which run: another build may write others.
AUDIT = ("loaded_at", "run_id")
_SAMPLES = 5
_DIFFERING = "assay_differing"
# Sums of DOUBLE differ in their last digits from run to run: what differs by less is the same.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ColumnType:
    """A column that only one side has, or whose type differs; None is where it is not."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Spread:
    """How the values of a column lie on one side; the last three of numbers alone."""

    null_share: float | None
    least: float | None = None
    mean: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class ChangedColumn:
    """A column in which rows of both sides differ; the spreads are None where it is personal."""

    name: str
    type: str
    rows: int
    before: Spread | None
    after: Spread | None

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return is_number(self.type)


@dataclass(frozen=True)
class Sample:
    """A row that differs, by its key, or the whole row where the table has no key; personal data is masked.

    Attributes:
        kind: `added`, `removed` or `changed`.
        key: the values of the key by column.
        values: value before and after of each column that differs; of rows on one side, the first columns.
    """

    kind: str
    key: dict[str, Any]
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class RowDiff:
    """How two states of a table differ.

    `key` is empty where rows are compared as a whole, and `no_key` says why. Rows are `changed` by key alone.
    """

    rows_before: int
    rows_after: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    key: Sequence[str] = ()
    no_key: str = ""
    columns: Sequence[ColumnType] = ()
    changed_columns: Sequence[ChangedColumn] = ()
    samples: Sequence[Sample] = ()

    @property
    def differs(self) -> bool:
        """Whether any row or column differs."""
        return bool(self.added or self.removed or self.changed or self.columns)


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation with their types."""
    found = connection.execute(f"describe from {relation}").fetchall()
    return {str(name): str(kind) for name, kind, *_ in found}


def count_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Return how many rows a relation has."""
    [(count,)] = connection.execute(f"select count(*) from {relation}").fetchall()
    return int(count)


def compare_rows(
    connection: duckdb.DuckDBPyConnection, before: str, after: str, key: Sequence[str], personal: Personal
) -> RowDiff:
    """Compare two relations.

    Args:
        connection: a connection that can read both.
        before: the relation of the base, as SQL.
        after: the other one.
        key: the columns that identify a row; rows are compared as a whole without them.
        personal: what is masked in samples.

    Raises:
        duckdb.Error: a relation cannot be read.
    """
    old, new = columns_of(connection, before), columns_of(connection, after)
    columns = [
        *(ColumnType(name, kind, None) for name, kind in old.items() if name not in new),
        *(ColumnType(name, None, kind) for name, kind in new.items() if name not in old),
        *(ColumnType(name, old[name], new[name]) for name in old if new.get(name, old[name]) != old[name]),
    ]
    found = RowDiff(count_rows(connection, before), count_rows(connection, after), key=key, columns=columns)
    shared = [name for name in new if name in old and name not in AUDIT]
    retyped = [name for name in shared if old[name] != new[name]]
    if not shared or (not retyped and _is_same(connection, before, after, shared)):
        return found
    sides = _Sides(connection, before, after, old, new, personal)
    if no_key := _why_no_key(sides, key, shared):
        return _compare_whole(sides, shared, replace(found, key=(), no_key=no_key))
    return _compare_by_key(sides, shared, found)


@dataclass(frozen=True)
class _Sides:
    """The two relations of a comparison, with the types of their columns."""

    connection: duckdb.DuckDBPyConnection
    before: str
    after: str
    old: dict[str, str]
    new: dict[str, str]
    personal: Personal

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()


def _is_same(connection: duckdb.DuckDBPyConnection, before: str, after: str, shared: Sequence[str]) -> bool:
    """Compare hashes that do not depend on the order of rows: much quicker than rows, and most are equal."""
    row_hash = f"hash({quoted(*shared)})"
    first, second = (
        connection.execute(
            f"select count(*), bit_xor({row_hash}), sum({row_hash}::hugeint) from {relation}"
        ).fetchall()
        for relation in (before, after)
    )
    return first == second


def _why_no_key(sides: _Sides, key: Sequence[str], shared: Sequence[str]) -> str:
    """Return why rows cannot be told apart by a key; an empty text if they can."""
    if not key:
        return "the table declares no key"
    if lacking := [name for name in key if name not in shared or not _is_same_key(sides, name)]:
        return f"its key {', '.join(lacking)} is not the same column on both sides"
    is_whole = " and ".join(f"{quoted(name)} is not null" for name in key)
    for relation in (sides.before, sides.after):
        [(rows, keys)] = sides.rows(
            f"select count(*), count(distinct ({quoted(*key)})) filter ({is_whole}) from {relation}"
        )
        if rows != keys:
            return f"its key ({', '.join(key)}) is NULL or not unique"
    return ""


def _is_same_key(sides: _Sides, name: str) -> bool:
    """Tell whether values of both types can be joined; whole numbers of different width can."""
    types = {sides.old[name], sides.new[name]}
    return len(types) == 1 or types <= set(WHOLE)


def _compare_by_key(sides: _Sides, shared: Sequence[str], found: RowDiff) -> RowDiff:
    key = list(found.key)
    compared = [name for name in shared if name not in key]
    keys = ", ".join(
        f"coalesce({quoted(name, of='b')}, {quoted(name, of='a')}) as {quoted(name)}" for name in key
    )
    first = quoted(key[0])
    flags = [
        f", {_differs(name, sides.old[name], sides.new[name])} as differs_{number}"
        for number, name in enumerate(compared)
    ]
    is_changed = " or ".join(f"differs_{number}" for number in range(len(compared))) or "false"
    sides.connection.execute(
        f"""
        create or replace temp table {_DIFFERING} as
        select * from (
            select
                {keys},
                case
                    when b.{first} is null then 'added' when a.{first} is null then 'removed' else 'changed'
                end as assay_kind
                {"".join(flags)}
            from {sides.before} as b
            full join {sides.after} as a using ({quoted(*key)})
        ) where assay_kind <> 'changed' or {is_changed}
        """
    )
    counts = dict(sides.rows(f"select assay_kind, count(*) from {_DIFFERING} group by all"))
    sums = ", ".join(f"count(*) filter (differs_{number})" for number in range(len(compared))) or "0"
    [rows] = sides.rows(f"select {sums} from {_DIFFERING} where assay_kind = 'changed'")
    changed = {name: count for name, count in zip(compared, rows, strict=False) if count}
    return replace(
        found,
        added=counts.get("added", 0),
        removed=counts.get("removed", 0),
        changed=counts.get("changed", 0),
        changed_columns=[
            ChangedColumn(
                name,
                sides.new[name],
                count,
                _spread(sides, sides.before, name, sides.old[name]),
                _spread(sides, sides.after, name, sides.new[name]),
            )
            for name, count in changed.items()
        ],
        samples=[
            sample
            for kind in ("added", "removed", "changed")
            for sample in _samples_by_key(
                sides,
                kind,
                key,
                # The flag of each column says in which of the rows it differs.
                {
                    name: compared.index(name)
                    for name in (changed if kind == "changed" else compared[:_SAMPLES])
                },
            )
        ],
    )


def _differs(name: str, before: str, after: str) -> str:
    a, b = quoted(name, of="a"), quoted(name, of="b")
    if _as_text(before, after):
        return f"{a}::varchar is distinct from {b}::varchar"
    differs = f"{a} is distinct from {b}"
    if before in FLOATING or after in FLOATING:
        # NaN and infinity are near nothing, and yet less than a billionth of infinity.
        finite = f"isfinite({a}::double) and isfinite({b}::double)"
        near = f"{finite} and abs({a} - {b}) <= {_TOLERANCE} * greatest(abs({a}), abs({b}))"
        return f"({differs} and not coalesce({near}, false))"
    return differs


def _as_text(before: str, after: str) -> bool:
    """Tell whether values of two types are compared by what they are as text."""
    return before != after and not (is_number(before) and is_number(after))


def _samples_by_key(
    sides: _Sides, kind: str, key: Sequence[str], flags: Mapping[str, int]
) -> Iterator[Sample]:
    chosen = ", ".join(f"chosen.{quoted(name)}" for name in key)
    names = list(flags)
    values = [f", {quoted(name, of='b')}, {quoted(name, of='a')}, differs_{flags[name]}" for name in names]
    rows = sides.rows(
        f"""
        with chosen as (
            from {_DIFFERING} where assay_kind = $1 order by {quoted(*key)} limit {_SAMPLES}
        )
        select {chosen}{"".join(values)}
        from chosen
        left join {sides.before} as b using ({quoted(*key)})
        left join {sides.after} as a using ({quoted(*key)})
        order by {chosen}
        """,
        kind,
    )
    for row in rows:
        olds, news, differ = (row[len(key) + place :: 3] for place in range(3))
        # Columns that are not shown say, too, whether a landed line beside them may be.
        befores, afters = (
            sides.personal.shown(dict.fromkeys(sides.new) | dict(zip(names, each, strict=True)))
            for each in (olds, news)
        )
        yield Sample(
            kind,
            sides.personal.shown(dict(zip(key, row, strict=False))),
            {
                name: (befores[name], afters[name])
                for name, is_other in zip(names, differ, strict=True)
                if kind != "changed" or is_other
            },
        )


def _spread(sides: _Sides, relation: str, name: str, column_type: str) -> Spread | None:
    if sides.personal.holds(name):
        return None
    column = quoted(name)
    numbers = f", min({column})::double, avg({column})::double, max({column})::double"
    [row] = sides.rows(
        f"select avg(({column} is null)::integer){numbers if is_number(column_type) else ''} from {relation}"
    )
    return Spread(*row)


def _compare_whole(sides: _Sides, shared: Sequence[str], found: RowDiff) -> RowDiff:
    """Compare rows as a whole: how many times each stands on either side."""
    names = quoted(*shared)
    columns = ", ".join(
        f"{quoted(name)}::varchar as {quoted(name)}"
        if _as_text(sides.old[name], sides.new[name])
        else quoted(name)
        for name in shared
    )
    sides.connection.execute(
        f"""
        create or replace temp table {_DIFFERING} as
        select {names}, sum(assay_side) as assay_more
        from (
            select {columns}, 1 as assay_side from {sides.after}
            union all by name
            select {columns}, -1 as assay_side from {sides.before}
        )
        group by {names}
        having assay_more <> 0
        """
    )
    [(added, removed)] = sides.rows(
        "select coalesce(sum(assay_more) filter (assay_more > 0), 0), "
        f"coalesce(-sum(assay_more) filter (assay_more < 0), 0) from {_DIFFERING}"
    )
    samples = []
    for kind, sign in (("added", ">"), ("removed", "<")):
        for row in sides.rows(
            f"select {names} from {_DIFFERING} where assay_more {sign} 0 order by all limit {_SAMPLES}"
        ):
            shown = sides.personal.shown(dict(zip(shared, row, strict=True)))
            pairs = {name: (None, each) if kind == "added" else (each, None) for name, each in shown.items()}
            samples.append(Sample(kind, {}, pairs))
    return replace(found, added=int(added), removed=int(removed), samples=samples)
