"""Find the point-in-time join in the compiled SQL of a model, and cut the SQL there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import TokenType, tokenize
from sqlglot.errors import SqlglotError

# As `point_in_time_join` writes them.
_SPINE = re.compile(r"from \(select \* from (.+?)\) as _spine_row\b", re.DOTALL)
_HISTORY = re.compile(
    r"\bfeatures_\d+_history as \(\s*select(.*?)\n\s*from (.+?) as history\s+inner join asked_", re.DOTALL
)
_KEY = re.compile(r'history\.("(?:[^"]|"")+") as _key_\d+')


class OwnHistory(Exception):
    """A join cannot be cut out of its model; the message says why."""


@dataclass(frozen=True)
class JoinedHistory:
    """A history that is joined, and the columns that are its key."""

    relation: str
    keys: tuple[str, ...]
    _before: str
    _behind: str

    def asked_on(self, spine: str) -> str:
        """Return the query of its rows that the rows of a table ask for; the join needs no others."""
        rows = f"select history.* from {self.relation}{self._behind}"
        return f"{_on(spine, self._before)}_rows_asked_for as ({rows})\nselect * from _rows_asked_for"


@dataclass(frozen=True)
class JoinText:
    """A point-in-time join, cut out of the SQL of its model.

    Attributes:
        spine: the query of the rows that it begins with.
        views: the histories, each once.
        before: the model's SQL before it.
        after: the model's SQL behind it.
    """

    spine: str
    views: list[JoinedHistory]
    before: str
    after: str
    _body: str

    def body_on(self, spine: str) -> str:
        """Return the join's SQL, of a table that holds the rows that it begins with."""
        return _on(spine, self._body)


def _on(spine: str, body: str) -> str:
    return _SPINE.sub(lambda _: f"from (select * from {spine}) as _spine_row", body, count=1)


def find_join(sql: str, parents: Mapping[str, str]) -> JoinText:
    """Cut the join out of a model's SQL.

    Args:
        sql: as dbt compiles it.
        parents: the relations of the nodes that the model reads.

    Raises:
        OwnHistory: there is not one join, or it reads what the model makes itself.
    """
    try:
        tokens = tokenize(sql, dialect="duckdb")
    except SqlglotError:
        raise OwnHistory("its SQL cannot be read") from None
    starts = [
        place
        for place, token in enumerate(tokens[:-1])
        if token.token_type is TokenType.WITH and tokens[place + 1].text == "features_0"
    ]
    if len(starts) != 1:
        raise OwnHistory("it joins twice" if starts else "its join is made by other macros")
    opening, closing = _parentheses_around(tokens, starts[0])
    start = tokens[starts[0]].start
    end = tokens[closing].start if closing is not None else len(sql)
    body = sql[start:end]
    spine = _SPINE.search(body)
    if spine is None:
        raise OwnHistory("its join is made by other macros")
    prefix = ""
    if spine[1] not in parents:
        prefix = _queries_before(sql, tokens, opening)
    views: dict[str, JoinedHistory] = {}
    for found in _HISTORY.finditer(body):
        selected, relation = found.groups()
        if relation not in parents:
            raise OwnHistory("it joins a history that it makes itself")
        keys = tuple(each[1:-1].replace('""', '"') for each in _KEY.findall(selected))
        if relation in views and views[relation].keys != keys:
            raise OwnHistory("it joins one history by two keys")
        inside = next(n for n, token in enumerate(tokens) if token.start >= start + found.start(1))
        _, end_of_rows = _parentheses_around(tokens, inside)
        assert end_of_rows is not None
        behind = sql[start + found.end(2) : tokens[end_of_rows].start]
        views[relation] = JoinedHistory(relation, keys, body[: found.start()], behind)
    if not views or not all(view.keys for view in views.values()):
        raise OwnHistory("its join is made by other macros")
    return JoinText(f"{prefix}select * from {spine[1]}", [*views.values()], sql[:start], sql[end:], body)


def _parentheses_around(tokens: Sequence[Any], place: int) -> tuple[int | None, int | None]:
    """Return the parentheses that a token stands in; None where it stands in none."""
    pairs: list[tuple[int, int]] = []
    begun: list[int] = []
    for number, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            begun.append(number)
        elif token.token_type is TokenType.R_PAREN and begun:
            pairs.append((begun.pop(), number))
    around = [pair for pair in pairs if pair[0] < place < pair[1]]
    return max(around) if around else (None, None)


def _queries_before(sql: str, tokens: Sequence[Any], opening: int | None) -> str:
    """Return the WITH queries that stand before the one that is the join.

    Raises:
        OwnHistory: the join is no query of the model's own WITH.
    """
    depth = 0
    for token in tokens[: opening or 0]:
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
    name = (opening or 0) - 2
    is_query = opening is not None and depth == 0 and name > 0 and tokens[name + 1].text.lower() == "as"
    if not is_query or tokens[0].token_type is not TokenType.WITH:
        raise OwnHistory("its join stands within another query")
    if tokens[name - 1].token_type is not TokenType.COMMA:
        return ""
    return sql[tokens[0].start : tokens[name - 1].start] + "\n"
