"""Prove that a query is closed under a key: rows of one key alone give all that it says of that key.

Such a query may run on the rows of some keys, and the results together are those of one run. What cannot be
proved is refused, and the part of the query that stands in the way is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from assay.core.sql import folded

_LONGEST = 90
# They look at one row, but are no functions in DuckDB's list; `error` is in it as one that may say anything.
_OF_ONE_ROW = {
    *("cast", "try_cast", "try", "coalesce", "extract", "if", "case", "error", "unnest", "nullif", "row"),
    # Macros of DuckDB, as those of lists are.
    *("split_part", "md5_number_lower", "md5_number_upper"),
}
_HEAD = re.compile(r"([A-Za-z_]\w*)\s*\(")


class NotClosed(Exception):
    """A query is not known to be closed under a key; the message says which part of it stands in the way."""


@dataclass(frozen=True)
class _Rows:
    """What a part of a query gives: its columns, folded, each with the part of the key that it holds, if any.

    `is_open` says whether it has columns beside whose names are not known, `is_whole` that it has all rows.
    """

    columns: dict[str, int | None]
    is_open: bool = False
    is_whole: bool = False


@dataclass
class _Query:
    """One SELECT: what it reads, by alias, and the columns that USING has made one."""

    sources: dict[str, _Rows] = field(default_factory=dict)
    merged: dict[str, int | None] = field(default_factory=dict)
    shadowed: set[str] = field(default_factory=set)
    named_windows: dict[str, exp.Window] = field(default_factory=dict)

    def part_of_key(self, node: exp.Expr) -> int | None:
        """Return the part of the key that an expression is; None if it is none."""
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        name = folded(node.name)
        if node.table:
            source = self.sources.get(folded(node.table))
            return source.columns.get(name) if source else None
        if name in self.shadowed:
            return None
        if name in self.merged:
            return self.merged[name]
        found = {rows.columns[name] for rows in self.sources.values() if name in rows.columns}
        return found.pop() if len(found) == 1 else None


def check_closed(
    sql: str,
    keys: Sequence[str],
    tables: Mapping[str, Sequence[str]],
    whole: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Check that a query is closed under a key that its tables have.

    Args:
        sql: the compiled query.
        keys: the columns that are the key.
        tables: the columns of the tables that it reads, by relation as `"database"."schema"."name"`.
        whole: those of tables whose rows are all there, beside the rows of each key.

    Raises:
        NotClosed: it is not, as far as can be told.
    """
    try:
        query = parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        told = re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0]
        raise NotClosed(f"its SQL cannot be read: {told}") from error
    for path in [*query.find_all(exp.JSONPath)]:
        # It stays within its row, and sqlglot cannot write all of them.
        path.replace(exp.Literal.string("$"))
    _Prover([folded(key) for key in keys], tables, whole or {}).rows_of(query, {})


class _Prover:
    """Goes through a query from the inside out; raises `NotClosed` at the first part that is not closed."""

    def __init__(
        self,
        keys: Sequence[str],
        tables: Mapping[str, Sequence[str]],
        whole: Mapping[str, Sequence[str]],
    ) -> None:
        self._keys = keys
        self._all = set(range(len(keys)))
        self._tables = {_plain(relation): columns for relation, columns in tables.items()}
        self._whole = {_plain(relation): columns for relation, columns in whole.items()}

    def rows_of(self, query: exp.Expr, known: Mapping[str, _Rows]) -> _Rows:
        known = dict(known)
        if with_ := _part(query, "with"):
            if with_.args.get("recursive"):
                raise NotClosed("WITH RECURSIVE")
            for cte in with_.expressions:
                known[folded(cte.alias)] = _renamed(self.rows_of(cte.this, known), cte.args.get("alias"))
        if query.args.get("limit") or query.args.get("offset"):
            raise NotClosed(f"{_text(query.args.get('limit') or query.args['offset'])} counts all rows")
        match query:
            case exp.Subquery():
                return _renamed(self.rows_of(query.this, known), query.args.get("alias"))
            case exp.SetOperation():
                return self._set_operation(query, known)
            case exp.Select():
                return self._select(query, known)
        raise NotClosed(f"{_text(query)} is no SELECT")

    def _set_operation(self, query: exp.SetOperation, known: Mapping[str, _Rows]) -> _Rows:
        left, right = self.rows_of(query.left, known), self.rows_of(query.right, known)
        if query.args.get("by_name"):
            columns = {
                name: part if right.columns.get(name, -1) == part else None
                for name, part in left.columns.items()
            } | {name: None for name in right.columns if name not in left.columns}
        elif left.is_open or right.is_open:
            columns = dict.fromkeys(left.columns)
        else:
            pairs = zip(left.columns.items(), right.columns.values(), strict=False)
            columns = {name: part if part == other else None for (name, part), other in pairs}
        rows = _Rows(columns, left.is_open or right.is_open)
        compares = query.args.get("distinct") or not isinstance(query, exp.Union)
        if compares and not self._all <= {*rows.columns.values()}:
            raise NotClosed(f"{query.key.upper()} compares rows without the key")
        return rows

    def _select(self, query: exp.Select, known: Mapping[str, _Rows]) -> _Rows:
        from_ = _part(query, "from")
        if not from_:
            raise NotClosed(f"{_text(query)} gives rows that no table has")
        found = _Query()
        alias, rows = self._source(from_.this, known)
        if rows.is_whole:
            raise NotClosed(f"{_text(from_.this)} has no column {self._keys[0]}")
        found.sources[alias] = rows
        for join in query.args.get("joins") or []:
            self._join(join, found, known)
        for lateral in query.args.get("laterals") or []:
            raise NotClosed(_text(lateral))
        if query.args.get("sample"):
            raise NotClosed(_text(query.args["sample"]))
        found.named_windows = {
            folded(window.this.name): window for window in query.args.get("windows") or [] if window.this
        }
        output = self._output(query, found)
        found.shadowed = {
            folded(each.alias)
            for each in query.expressions
            if isinstance(each, exp.Alias) and folded(each.alias) not in _kept(each, found)
        }
        self._check_grouping(query, found)
        self._check_distinct(query, found, output)
        return output

    def _source(self, node: exp.Expr, known: Mapping[str, _Rows]) -> tuple[str, _Rows]:
        if node.args.get("pivots") or node.args.get("sample") or node.args.get("joins"):
            raise NotClosed(_text(node))
        if isinstance(node, exp.Subquery):
            return folded(node.alias or "_"), self.rows_of(node, known)
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise NotClosed(f"{_text(node)} is no table")
        name = folded(".".join(part.name for part in node.parts))
        alias = folded(node.alias_or_name)
        if name in known:
            return alias, _renamed(known[name], node.args.get("alias"))
        if name in self._whole:
            rows = _Rows({folded(column): None for column in self._whole[name]}, is_whole=True)
            return alias, _renamed(rows, node.args.get("alias"))
        if name not in self._tables:
            raise NotClosed(f"{_text(node)} is no table that it refers to")
        columns = [folded(column) for column in self._tables[name]]
        for key in self._keys:
            if key not in columns:
                raise NotClosed(f"{node.name} has no column {key}")
        rows = _Rows({each: self._keys.index(each) if each in self._keys else None for each in columns})
        return alias, _renamed(rows, node.args.get("alias"))

    def _join(self, join: exp.Join, found: _Query, known: Mapping[str, _Rows]) -> None:
        if isinstance(join.this, exp.Lateral | exp.Unnest):
            # A row's own list, next to it.
            inner = join.this.this if isinstance(join.this, exp.Lateral) else join.this
            if isinstance(inner, exp.Unnest) and not (join.side or inner.args.get("offset")):
                self._check_expressions(inner.expressions, found, are_grouped=False)
                found.sources[folded(join.this.alias_or_name or "_unnest")] = _Rows({}, is_open=True)
                return
            raise NotClosed(_text(join))
        alias, rows = self._source(join.this, known)
        if join.method == "NATURAL" or join.method == "POSITIONAL":
            raise NotClosed(_text(join))
        parts: set[int] = set()
        side, names = join.side, [folded(each.name) for each in join.args.get("using") or []]
        for name in names:
            left = found.part_of_key(exp.column(name))
            part = left if left is not None and (rows.is_whole or rows.columns.get(name) == left) else None
            found.merged[name] = part
            parts |= {part} if part is not None else set()
        before = _Query(dict(found.sources), dict(found.merged))
        found.sources[alias] = rows
        for one, other in _equalities(join.args.get("on")):
            sides = [found.part_of_key(one), found.part_of_key(other)]
            is_across = (_of(one, alias, rows, before) is None) != (_of(other, alias, rows, before) is None)
            if is_across and sides[0] is not None and sides[0] == sides[1]:
                parts.add(sides[0])
        if on := join.args.get("on"):
            self._check_expressions([on], found, are_grouped=False)
        # Each row finds what it looks for in a table that is whole; rows that it lacks are not to be told.
        if not (side in ("", "LEFT") if rows.is_whole else self._all <= parts):
            raise NotClosed(f"{_text(join)} does not join by the key")
        # Where a side has no row, its columns are NULL and tell nothing of the key.
        if side in ("RIGHT", "FULL"):
            for name in before.sources:
                found.sources[name] = _without_keys(found.sources[name])
        if side in ("LEFT", "FULL"):
            found.sources[alias] = _without_keys(rows)
        if join.kind in ("SEMI", "ANTI"):
            del found.sources[alias]

    def _output(self, query: exp.Select, found: _Query) -> _Rows:
        columns: dict[str, int | None] = {}
        is_open = False
        for node in query.expressions:
            for name, part in self._columns_of(node, found):
                is_open |= name is None
                if name is not None:
                    # Two columns of one name: which one is meant is not known.
                    columns[name] = part if columns.get(name, part) == part else None
        return _Rows(columns, is_open)

    def _columns_of(self, node: exp.Expr, found: _Query) -> Iterator[tuple[str | None, int | None]]:
        star = node.this if isinstance(node, exp.Column) else node
        if isinstance(star, exp.Star):
            table = folded(node.table) if isinstance(node, exp.Column) else None
            if table is not None and table not in found.sources:
                yield None, None  # The fields of a struct.
                return
            left_out = {folded(each.name) for each in _list(_part(star, "except"))}
            replaced = {folded(each.alias) for each in _list(star.args.get("replace"))}
            renamed = {folded(each.this.name) for each in _list(star.args.get("rename"))}
            if renamed:
                yield None, None
            for alias, rows in found.sources.items():
                if table is None or alias == table:
                    if rows.is_open:
                        yield None, None
                    for name, part in rows.columns.items():
                        if name not in left_out | renamed:
                            part = found.merged.get(name, part) if table is None else part
                            yield name, None if name in replaced else part
        elif isinstance(node, exp.Columns):
            yield None, None
        elif isinstance(node, exp.Alias):
            yield folded(node.alias), found.part_of_key(node.this)
        elif node.output_name:
            yield folded(node.output_name), found.part_of_key(node)
        else:
            yield None, None

    def _check_grouping(self, query: exp.Select, found: _Query) -> None:
        group = query.args.get("group")
        if group:
            if any(group.args.get(kind) for kind in ("grouping_sets", "cube", "rollup")):
                raise NotClosed(_text(group))
            grouped = (
                [each.unalias() for each in query.expressions]
                if group.args.get("all")
                else [self._grouped(each, query) for each in group.expressions]
            )
            parts = {found.part_of_key(each) for each in grouped}
            if not self._all <= parts:
                raise NotClosed(f"{_text(group)} groups without the key")
        others = [query.args.get(name) for name in ("where", "having", "qualify", "group", "order")]
        self._check_expressions([*query.expressions, *filter(None, others)], found, are_grouped=bool(group))

    @staticmethod
    def _grouped(node: exp.Expr, query: exp.Select) -> exp.Expr:
        if isinstance(node, exp.Literal) and not node.is_string:
            place = int(node.this) - 1
            stars = any(each.is_star for each in query.expressions[: place + 1])
            return node if stars or place >= len(query.expressions) else query.expressions[place].unalias()
        return node

    def _check_distinct(self, query: exp.Select, found: _Query, output: _Rows) -> None:
        if distinct := query.args.get("distinct"):
            on = distinct.args.get("on")
            parts = {found.part_of_key(each) for each in on.expressions} if on else {*output.columns.values()}
            if not self._all <= parts:
                raise NotClosed("DISTINCT compares rows without the key")

    def _check_expressions(self, nodes: Sequence[exp.Expr], found: _Query, *, are_grouped: bool) -> None:
        for node in nodes:
            self._check_expression(node, found, are_grouped)

    def _check_expression(self, node: exp.Expr, found: _Query, may_aggregate: bool) -> None:
        if isinstance(node, exp.Query | exp.Exists):
            raise NotClosed(f"the subquery {_text(node)}")
        of_window = False
        if isinstance(node, exp.Window):
            self._check_window(node, found)
            of_window = True
        elif isinstance(node, exp.Func):
            _check_function(node, may_aggregate)
        for child in node.iter_expressions():
            self._check_expression(child, found, may_aggregate or of_window)

    def _check_window(self, node: exp.Window, found: _Query) -> None:
        window = node
        while not window.args.get("partition_by"):
            name = folded(window.alias) if window is node else folded(window.args.get("alias") or "")
            if name not in found.named_windows or found.named_windows[name] is window:
                break
            window = found.named_windows[name]
        parts = {found.part_of_key(each) for each in window.args.get("partition_by") or []}
        if not self._all <= parts:
            raise NotClosed(f"{_text(node)} looks past the key")


def _check_function(node: exp.Func, may_aggregate: bool) -> None:
    """Raise if a function may look at other rows, or at what is not the same on each machine."""
    name = folded(node.name) if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc) else ""
    if not name:
        head = _HEAD.match(node.sql(dialect="duckdb"))
        name = folded(head[1]) if head else ""
    if isinstance(node, exp.AggFunc) or "aggregate" in _functions().get(name, ()):
        if not may_aggregate:
            raise NotClosed(f"{_text(node)} counts in all rows")
        return
    if node.key.startswith("current") or node.key in ("rand", "randn", "uuid"):
        raise NotClosed(f"{_text(node)} may differ each time it is asked")
    if not name or name in _OF_ONE_ROW:
        return
    kinds = _functions().get(name)
    # DuckDB's own macros such as list_min ask one list.
    of_list = name.startswith("list_") and kinds is not None and "macro" in kinds
    if kinds is None or not ("scalar" in kinds or of_list):
        raise NotClosed(f"{_text(node)} is not known to look at one row alone")
    # With one argument, `age` counts to today.
    asks_outside = name in ("age", "getvariable", "current_setting")
    if kinds & {"VOLATILE", "CONSISTENT_WITHIN_QUERY"} or asks_outside:
        raise NotClosed(f"{_text(node)} may differ each time it is asked")


@cache
def _functions() -> dict[str, set[str]]:
    """Return DuckDB's functions, each with its kinds and how stable it is."""
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.execute(
            "select lower(function_name), function_type, stability from duckdb_functions()"
        ).fetchall()
    found: dict[str, set[str]] = {}
    for name, kind, stability in rows:
        found.setdefault(name, set()).update((kind, stability or ""))
    return found


def _plain(relation: str) -> str:
    return folded(relation.replace('"', ""))


def _part(node: exp.Expr, name: str) -> Any:
    """Return a part of a node: releases of sqlglot call it `from` or `from_`."""
    return node.args.get(name) or node.args.get(f"{name}_")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _kept(node: exp.Alias, found: _Query) -> set[str]:
    """Return the name of a projection that is a part of the key under its own name."""
    return {folded(node.this.name)} if found.part_of_key(node.this) is not None else set()


def _renamed(rows: _Rows, alias: Any) -> _Rows:
    """Return rows whose alias may name their columns, as in `t(a, b)`."""
    names = [folded(each.name) for each in (alias.args.get("columns") if alias else None) or []]
    if not names:
        return rows
    if rows.is_open:
        return replace(rows, columns=dict.fromkeys(names))
    own = list(rows.columns.items())
    columns = {new: part for new, (_, part) in zip(names, own, strict=False)} | dict(own[len(names) :])
    return replace(rows, columns=columns)


def _without_keys(rows: _Rows) -> _Rows:
    return replace(rows, columns=dict.fromkeys(rows.columns))


def _equalities(on: exp.Expr | None) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """Yield both sides of each equality that must hold."""
    if isinstance(on, exp.Paren):
        yield from _equalities(on.this)
    elif isinstance(on, exp.And):
        yield from _equalities(on.left)
        yield from _equalities(on.right)
    elif isinstance(on, exp.EQ | exp.NullSafeEQ):
        yield on.left, on.right


def _of(node: exp.Expr, alias: str, rows: _Rows, before: _Query) -> str | None:
    """Return the alias if a column is of the joined table; None if it is of those before."""
    if not isinstance(node, exp.Column):
        return None
    if node.table:
        return alias if folded(node.table) == alias else None
    name = folded(node.name)
    is_before = any(name in each.columns for each in before.sources.values())
    return alias if name in rows.columns and not is_before else None


def _text(node: exp.Expr) -> str:
    told = " ".join(node.sql(dialect="duckdb", comments=False).split())
    return told if len(told) <= _LONGEST else told[: _LONGEST - 3] + "..."
