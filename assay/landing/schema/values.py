"""Write SQL for the values of landed rows, by names of columns or paths of a document's keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from assay.core.sql import quoted, text
from assay.landing.declared import LandingTable
from assay.landing.names import container_of, name_of, path_of
from assay.landing.schema.logical_types import NESTED, LogicalType, reads

#: Debezium's events hold a row before and after a change; columns are named by their paths in the latter.
_STATES = ("after", "before")
#: The places in a line where a change event may be.
_WRAPPERS: tuple[tuple[str, ...], ...] = ((), ("payload",), ("value",), ("value", "payload"))


class CsvValues:
    """Values of a CSV table: each is a text, in its own column or in `other_values`."""

    is_row = "malformed_reason is null"

    def __init__(self, table: LandingTable, names: Collection[str]) -> None:
        self._table = table
        self._columns = frozenset(table.columns)

    def relation(self, landed: str) -> str:
        """Return a query of landed rows, with what the expressions need."""
        return f"select * from {landed}"

    def text(self, name: str) -> str:
        """Return the value as text; NULL where there is none."""
        return quoted(name) if name in self._columns else self.kept(name)

    def kept(self, name: str) -> str:
        """Return the value in `other_values`, as text; NULL if it is not there."""
        return f"json_extract_string(other_values, {text(pointer((name,)))})"

    def is_present(self, name: str) -> str:
        """Return the condition that a row has the column."""
        return f"{self.text(name)} is not null"

    def is_filled(self, name: str) -> str:
        """Return the condition that a row has a value: an empty text is none."""
        return f"{self.text(name)} <> ''"

    def reads(self, name: str, logical_type: LogicalType) -> str:
        """Return the condition that a value reads as a type."""
        if logical_type in NESTED:
            return "false"
        return reads(self.text(name), logical_type, self._table.dialect, self._table.time_formats.get(name))


class JsonValues:
    """Values of JSON lines: each is in the document, which is parsed once for all of them."""

    is_row = "document is not null"

    def __init__(self, table: LandingTable, names: Collection[str]) -> None:
        self._table = table
        self._is_change_log = is_change_log(table)
        self._places: dict[str, list[int]] = {}
        self._pointers: list[str] = []
        for name in names:
            pointers = [pointer(path) for path in paths_of(self._table, name)]
            first = len(self._pointers) + 1
            self._places[name] = list(range(first, first + len(pointers)))
            self._pointers += pointers

    def relation(self, landed: str) -> str:
        """Return a query of landed rows, with what the expressions need."""
        pointers = f"[{', '.join(text(pointer) for pointer in self._pointers) or text('/')}]"
        document = document_of(self._is_change_log)
        return (
            f"select *, json_extract_string(document, {pointers}) as texts, "
            f"json_type(document, {pointers}) as types from (select *, {document} as document from {landed})"
        )

    def text(self, name: str) -> str:
        """Return the value as text, as JSON if it is nested; NULL if there is none."""
        return self._first("texts", name)

    def is_present(self, name: str) -> str:
        """Return the condition that a document has the key."""
        return f"{self._first('types', name)} is not null"

    def is_filled(self, name: str) -> str:
        """Return the condition that a document has a value: null is none."""
        return f"{self._first('types', name)} <> 'NULL'"

    def reads(self, name: str, logical_type: LogicalType) -> str:
        """Return the condition that a value reads as a type."""
        found = self._first("types", name)
        if logical_type in NESTED:
            return f"{found} = '{NESTED[logical_type]}'"
        nested = ", ".join(text(each) for each in NESTED.values())
        value = reads(self.text(name), logical_type, time_format=self._table.time_formats.get(name))
        return f"{found} not in ({nested}) and {value}"

    def without(self, name: str) -> list[str]:
        """Return SQL for the line without a value: one expression for each place where the value may be."""
        line = exact_numbers("coalesce(line_as_declared, line)")
        found = []
        for path in paths_of(self._table, name):
            for place in [(*wrapper, *path) for wrapper in (_WRAPPERS if self._is_change_log else [()])]:
                patch: dict[str, object] | None = None
                for part in reversed(place):
                    patch = {part: patch}
                is_there = f"json_exists({line}, {text(pointer(place))})"
                found.append(
                    f"case when {is_there} then json_merge_patch({line}, {text(json.dumps(patch))})::varchar "
                    "else line_as_declared end"
                )
        return found

    def _first(self, values: str, name: str) -> str:
        places = ", ".join(f"{values}[{place}]" for place in self._places[name])
        return f"coalesce({places})" if len(self._places[name]) > 1 else places


Values = CsvValues | JsonValues


def values_of(table: LandingTable, names: Collection[str]) -> Values:
    """Return the SQL writer for the values of these columns or keys."""
    return CsvValues(table, names) if table.format == "csv" else JsonValues(table, names)


def is_change_log(table: LandingTable) -> bool:
    """Tell whether the declared keys are those of Debezium's change events."""
    return table.format == "jsonl" and {"op", *_STATES} <= set(table.types)


def paths_of(table: LandingTable, name: str) -> list[tuple[str, ...]]:
    """Return the paths at which the value of a key may be; the first with a value counts."""
    path = path_of(name)
    if is_change_log(table) and len(path) > 1 and path[0] in _STATES:
        return [(state, *path[1:]) for state in _STATES]
    return [path]


def exact_numbers(line: str) -> str:
    """Return SQL for a line with long numbers in quotes, so that DuckDB does not round them; as in silver."""
    return (
        f"case when regexp_matches({line}, '[0-9][0-9.]{{15}}') and json_valid({line}) "
        f"then left(regexp_replace({line} || ' 0000000000000000', "
        r"""'((?:"(?:[^"\\]|\\.)*"|[^"])*?)(-?[0-9][0-9.eE+-]{15,})', '\1"\2"', 'g'), -19) """
        f"else {line} end"
    )


def document_of(in_envelope: bool) -> str:
    """Return SQL for a line's document; NULL if it is no JSON object.

    Args:
        in_envelope: whether a converter may have wrapped the document under `payload`, beside its schema, and
            a tool may have wrapped all of that under `value`, beside the message's key.
    """
    # A malformed line may be JSON that is nested too deep for DuckDB's functions.
    is_document = "malformed_reason is null and left(ltrim(line), 1) = '{' and json_valid(line)"
    line = f"case when {is_document} then line end"
    if not in_envelope:
        return line
    parts = "['/op', '/payload', '/key', '/value', '/value/payload']"
    return (
        f"list_filter(list_transform([struct_pack(whole := {line}, parts := json_extract({line}, {parts}))], "
        "lambda _line: case when _line.parts[1] is not null then _line.whole "
        "when _line.parts[3] is not null and _line.parts[4] is not null "
        "then coalesce(_line.parts[5], _line.parts[4])::varchar "
        "else coalesce(_line.parts[2]::varchar, _line.whole) end), "
        "lambda _found: left(ltrim(_found), 1) = '{')[1]"
    )


def containers_of(table: LandingTable, names: Collection[str]) -> list[str]:
    """Return the names of the objects in which keys are expected, in their order."""
    parents = dict.fromkeys(parent for name in names if (parent := container_of(name)))
    if is_change_log(table):
        parents |= dict.fromkeys(_STATES)
    return list(parents)


def name_within(table: LandingTable, container: str, key: str) -> str:
    """Return the name of a key that is in an object."""
    if is_change_log(table) and container in _STATES:
        container = _STATES[0]
    return name_of((*path_of(container), key))


def pointers(containers: Sequence[str]) -> str:
    """Return a SQL list of paths for json_keys: the whole document and some objects in it."""
    return f"[{', '.join([text('$'), *(text(pointer(path_of(each))) for each in containers)])}]"


def pointer(path: Sequence[str]) -> str:
    """Return the JSON pointer to a key."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
