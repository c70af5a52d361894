"""Which chunks a search may see at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Visible:
    """A condition on `chunks` as SQL, and its parameters; chunks for which it does not hold do not exist.

    Attributes:
        sql: the condition.
        parameters: its values.
        is_now: whether it holds of chunks that are valid now alone.
    """

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)
    is_now: bool = True


def visible(as_of: datetime | None, sources: Collection[str] | None, hidden: Collection[str]) -> Visible:
    """Return what may be seen.

    Args:
        as_of: the moment of which is asked (UTC, without zone); now without it.
        sources: of which documents may be seen; all without it.
        hidden: documents that may not, by their id.
    """
    parameters: dict[str, Any] = {}
    if as_of is None:
        conditions = ["valid_to = timestamp '9999-12-31'"]
    else:
        conditions = ["valid_from <= $as_of", "$as_of < valid_to"]
        parameters["as_of"] = as_of
    if sources is not None:
        conditions.append("source in (select unnest($sources::varchar[]))")
        parameters["sources"] = sorted(sources)
    if hidden:
        conditions.append("document_id not in (select unnest($hidden::varchar[]))")
        parameters["hidden"] = sorted(hidden)
    return Visible(" and ".join(conditions), parameters, as_of is None)
