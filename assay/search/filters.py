"""Read filters such as `tags contains 'x' and source = 'y'`, and write them as SQL with parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.moment import instant

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>\w+)|(?P<sign><=|>=|!=|<>|[=<>(),]))")
_COLUMNS = {
    "document_id": "text",
    "source": "text",
    "title": "text",
    "tags": "list",
    "updated_at": "time",
    "valid_from": "time",
}
_SIGNS = {
    "=": "=",
    "!=": "is distinct from",
    "<>": "is distinct from",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_KEYWORDS = {"and", "or", "not", "in", "contains"}
_LONGEST, _DEEPEST = 10_000, 50
_EXAMPLE = "Write it as: tags contains 'x' and source = 'y' (and, or, not, in, contains, = != < <= > >=)."


@dataclass(frozen=True)
class Filter:
    """A condition on columns of chunks, as SQL, and its parameters."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


EVERYTHING = Filter("true")


def read_filter(text: str | None) -> Filter:
    """Read a filter; without one, everything is kept.

    A condition on a value that is missing does not hold, and `!=` does.

    Raises:
        Fault: it is written otherwise, or names an unknown column.
    """
    if text is None or not text.strip():
        return EVERYTHING
    if len(text) > _LONGEST:
        raise Fault(f"The filter has {len(text):,} characters; {_LONGEST:,} are the most.", MISUSED)
    # DuckDB's texts hold no half characters, which arguments of a command can.
    return _Parser(text.encode("utf-8", "replace").decode()).read()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._parameters: dict[str, Any] = {}

    def read(self) -> Filter:
        sql = self._either(0)
        if self._next < len(self._tokens):
            raise self._misread("nothing more, or and, or or")
        return Filter(sql, self._parameters)

    def _split(self) -> Any:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if not found:
                rest = self._text[at:].strip()
                raise Fault(f"The filter cannot be read at {rest[:40]!r}. {_EXAMPLE}", MISUSED)
            yield str(found.lastgroup), found.group(str(found.lastgroup)), found.start()
            at = found.end()

    def _either(self, depth: int) -> str:
        return self._joined("or", lambda: self._both(depth))

    def _both(self, depth: int) -> str:
        return self._joined("and", lambda: self._one(depth))

    def _joined(self, keyword: str, read: Callable[[], str]) -> str:
        found = [read()]
        while self._takes(keyword):
            found.append(read())
        return found[0] if len(found) == 1 else "(" + f" {keyword} ".join(found) + ")"

    def _one(self, depth: int) -> str:
        if depth > _DEEPEST:
            raise Fault(f"The filter nests more than {_DEEPEST} levels deep.", MISUSED)
        if self._takes("not"):
            return f"not {self._one(depth + 1)}"
        if self._takes("("):
            found = self._either(depth + 1)
            self._expect(")")
            return found
        return self._condition()

    def _condition(self) -> str:
        kind, name = self._token()
        if kind != "word" or name.lower() in _KEYWORDS:
            raise self._misread("a column")
        column = name.lower()
        if column not in _COLUMNS:
            raise Fault(unknown(f"The filter names a column {name!r}", name, _COLUMNS), MISUSED)
        self._next += 1
        if self._takes("contains"):
            return self._contains(column)
        if _COLUMNS[column] == "list":
            raise self._misread(f"contains (behind {column})")
        if self._takes("in"):
            return f"coalesce({column} in ({', '.join(self._values(column))}), false)"
        sign = self._token()[1]
        if sign not in _SIGNS:
            raise self._misread("=, !=, <, <=, >, >=, in or contains")
        self._next += 1
        return f"coalesce({column} {_SIGNS[sign]} {self._value(column)}, false)"

    def _contains(self, column: str) -> str:
        if _COLUMNS[column] == "time":
            raise Fault(f"The filter: {column} is a time, which contains nothing. {_EXAMPLE}", MISUSED)
        function = "list_contains" if _COLUMNS[column] == "list" else "contains"
        return f"coalesce({function}({column}, {self._value(column)}), false)"

    def _values(self, column: str) -> list[str]:
        self._expect("(")
        found = [self._value(column)]
        while self._takes(","):
            found.append(self._value(column))
        self._expect(")")
        return found

    def _value(self, column: str) -> str:
        kind, written = self._token()
        if kind != "text":
            raise self._misread("a value in single quotes")
        self._next += 1
        value: str | datetime | None = written[1:-1].replace("''", "'")
        if _COLUMNS[column] == "time":
            value = instant(str(value))
            if value is None:
                raise Fault(
                    f"The filter: {column} is a time, and {written} is none: write '2025-06-30'.", MISUSED
                )
        name = f"filter_{len(self._parameters)}"
        self._parameters[name] = value
        return f"${name}"

    def _token(self) -> tuple[str, str]:
        return self._tokens[self._next][:2] if self._next < len(self._tokens) else ("end", "")

    def _takes(self, wanted: str) -> bool:
        kind, written = self._token()
        if kind in ("word", "sign") and written.lower() == wanted:
            self._next += 1
            return True
        return False

    def _expect(self, wanted: str) -> None:
        if not self._takes(wanted):
            raise self._misread(wanted)

    def _misread(self, wanted: str) -> Fault:
        kind, written = self._token()
        found = f"{written!r}" if kind != "end" else "its end"
        return Fault(f"The filter is to have {wanted} where it has {found}. {_EXAMPLE}", MISUSED)
