"""Which chunks a search may see at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay.core.moment import END_OF_TIME_SQL

#: Until when the past of documents is hidden, by their ids.
Hidden = Mapping[str, datetime]
_IS_NOW = f"valid_to = {END_OF_TIME_SQL}"
_IS_NOT_HIDDEN = """chunk_id not in (
    select states.chunk_id
    from chunks as states
    inner join (
        select
            unnest($hidden_documents::varchar[]) as hidden_document,
            unnest($hidden_until::timestamp[]) as hidden_until
    ) on states.document_id = hidden_document and states.valid_from < hidden_until
)"""
# What arrived again later had not yet done so at the moment.
_AS_KNOWN = """(
    select * replace (
        coalesce(list_last(list_filter(confirmed_at, lambda each: each <= $as_of)), updated_at) as updated_at
    )
    from chunks
) as chunks"""
# A document that is there has a chunk with the number 1. Where the times of that chunk's states add up to all
# the time since a moment, the document was never gone.
_HAS_STAYED = f"""document_id in (
    select document_id
    from chunks
    where chunk_number = 1 and valid_to > $as_of
    group by document_id
    having sum(epoch_us(valid_to) - epoch_us(greatest(valid_from, $as_of)))
        = epoch_us({END_OF_TIME_SQL}) - epoch_us($as_of::timestamp)
)"""


@dataclass(frozen=True)
class Scope:
    """The documents that a reader may see: those of some sources that have one of some tags; None for all.

    It holds of what a document is now: of one that is gone, or was gone since, or is no longer in scope, the
    past is not seen either.
    """

    sources: frozenset[str] | None = None
    tags: frozenset[str] | None = None


@dataclass(frozen=True)
class Visible:
    """A condition on `chunks` as SQL, and its parameters; chunks for which it does not hold do not exist.

    Attributes:
        sql: the condition.
        parameters: its values.
        as_of: the moment of which is asked; None for now.
    """

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)
    as_of: datetime | None = None

    @property
    def is_now(self) -> bool:
        """Whether it holds of chunks that are valid now alone."""
        return self.as_of is None

    @property
    def chunks(self) -> str:
        """The table `chunks` as SQL, as it was known then."""
        return "chunks" if self.is_now else _AS_KNOWN


def visible(as_of: datetime | None, scope: Scope | None, hidden: Hidden) -> Visible:
    """Return what may be seen.

    Args:
        as_of: the moment of which is asked (UTC, without zone); now without it.
        scope: what the reader may see; without it, all that was there at the moment.
        hidden: documents that were deleted, and when: states that began before are not seen. Without a scope,
            a moment before the deletion is answered as it was.
    """
    parameters: dict[str, Any] = {}
    conditions = [_IS_NOW]
    if as_of is not None:
        conditions = ["valid_from <= $as_of", "$as_of < valid_to"]
        parameters["as_of"] = as_of
    if scope is not None:
        allowed = _allowed(scope, parameters)
        conditions += allowed
        if as_of is not None:
            now = " and ".join([_IS_NOW, *allowed])
            conditions += [f"document_id in (select document_id from chunks where {now})", _HAS_STAYED]
    elif as_of is not None:
        hidden = {document: until for document, until in hidden.items() if until <= as_of}
    if hidden:
        conditions.append(_IS_NOT_HIDDEN)
        parameters["hidden_documents"] = list(hidden)
        parameters["hidden_until"] = list(hidden.values())
    return Visible(" and ".join(conditions), parameters, as_of)


def _allowed(scope: Scope, parameters: dict[str, Any]) -> list[str]:
    conditions = []
    if scope.sources is not None:
        conditions.append("source in (select unnest($sources::varchar[]))")
        parameters["sources"] = sorted(scope.sources)
    if scope.tags is not None:
        conditions.append("coalesce(list_has_any(tags, $tags::varchar[]), false)")
        parameters["tags"] = sorted(scope.tags)
    return conditions
