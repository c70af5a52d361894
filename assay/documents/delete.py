"""Delete documents: hide them at once, and land that they are deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from assay.core.moment import END_OF_TIME_SQL
from assay.documents.landed import (
    FolderState,
    Known,
    as_text,
    document_line,
    held_state,
    moment_text,
    pack_lines,
    sources_of_folders,
    write_lines,
    write_state,
)
from assay.project.warehouse import connect_published

_COMMAND = "assay documents delete"
_SECONDS_TO_WAIT = 10.0
_PUBLISHED = f"""
select document_id, arg_max(source, valid_from), max(valid_from), bool_or(valid_to = {END_OF_TIME_SQL})
from gold.doc_chunks
where document_id in (select unnest($documents::varchar[]))
group by document_id
"""


class Deletion(StrEnum):
    """What became of a document that was to be deleted."""

    deleted = "deleted"
    already = "deleted already"
    unknown = "unknown"


@dataclass(frozen=True)
class DeletedDocument:
    """A document that was to be deleted, and what became of it."""

    document_id: str
    deletion: Deletion


@dataclass(frozen=True)
class _Document:
    """What is known of a document: its source, its file's name in a folder, and its newest state.

    Attributes:
        source: what it is part of.
        name: of its file, where it landed from a folder.
        since: when its newest state was written, or since when it is published.
        is_there: whether it is there now, as far as anybody knows.
    """

    source: str | None
    name: str | None
    since: datetime
    is_there: bool


def delete_documents(
    document_ids: Iterable[str],
    *,
    landing: Path,
    published: Path,
    hidden: Callable[[], Mapping[str, datetime]],
    hide: Callable[[Mapping[str, datetime]], None],
    deleted_at: datetime,
) -> list[DeletedDocument]:
    """Delete documents: searches hide them at once, and the next build has their deletion.

    Documents that are unknown stop nothing. If the process is killed, the same call goes on where it stopped.

    Args:
        document_ids: the documents.
        landing: the landing zone's folder.
        published: the published file, which knows documents.
        hidden: returns the documents that are hidden, and since when.
        hide: hides documents from a moment on.
        deleted_at: now, in UTC.

    Raises:
        Fault: another process lands documents of the same folder, or the state of a folder is damaged.
        OSError: a file cannot be written.
    """
    wanted = list(dict.fromkeys(map(as_text, document_ids)))
    with ExitStack() as held:
        # One order for all processes, so that none waits for another that waits for it.
        states = {
            source: held.enter_context(held_state(landing, source, command=_COMMAND, wait=_SECONDS_TO_WAIT))
            for source in sorted({each.partition("/")[0] for each in wanted} & sources_of_folders(landing))
        }
        found_states = deepcopy(states)
        known = _find(wanted, published, states)
        before = hidden()
        there = {each: found for each, found in known.items() if found.is_there}
        # What is hidden in its newest state was deleted by a call that may have been killed.
        pending = {each: at for each, at in before.items() if each in there and there[each].since < at}
        moment = deleted_at.replace(microsecond=0)
        for state in states.values():
            moment = max(moment, state.later(moment))
        new = {each: found for each, found in there.items() if each not in pending}
        for found in new.values():
            moment = max(moment, found.since.replace(microsecond=0) + timedelta(seconds=1))
        if new:
            hide(dict.fromkeys(new, moment))
        for document_id, at in (pending | dict.fromkeys(new, moment)).items():
            _land(document_id, known[document_id], at, landing, states)
        for source, state in states.items():
            if state != found_states[source]:
                write_state(landing, source, state)
    return [DeletedDocument(each, _outcome(each, known, new)) for each in wanted]


def _outcome(document_id: str, known: Mapping[str, _Document], new: Mapping[str, _Document]) -> Deletion:
    if document_id not in known:
        return Deletion.unknown
    return Deletion.deleted if document_id in new else Deletion.already


def _land(
    document_id: str, document: _Document, at: datetime, landing: Path, states: Mapping[str, FolderState]
) -> None:
    """Land that a document is deleted; the same deletion is the same file."""
    line = document_line(document_id, document.source, moment_text(at), deleted=True)
    write_lines(pack_lines([line]), landing, "deleted", at)
    if document.name is None or document.source is None:
        return
    state = states[document.source]
    # Where the file is gone, what comes later is another document.
    if state.known[document.name].digest:
        state.known[document.name] = Known("", moment_text(at), is_withdrawn=True)
        state.landed_at = max(state.landed_at, at)


def _find(wanted: list[str], published: Path, states: Mapping[str, FolderState]) -> dict[str, _Document]:
    found = {
        document_id: _Document(source, None, since, is_there)
        for document_id, source, since, is_there in _find_published(wanted, published)
    }
    for document_id in wanted:
        source, _, name = document_id.partition("/")
        if source in states and (file := states[source].known.get(name)):
            since, is_there = datetime.fromisoformat(file.updated_at.removesuffix("Z")), bool(file.digest)
            if document := found.get(document_id):
                since = max(since, document.since) if is_there else document.since
                is_there = is_there or document.is_there
            found[document_id] = _Document(source, name, since, is_there)
    return found


def _find_published(wanted: list[str], published: Path) -> list[tuple[str, str | None, datetime, bool]]:
    if not published.is_file():
        return []
    with connect_published(published) as connection:
        [(tables,)] = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = 'gold' and table_name = 'doc_chunks'"
        ).fetchall()
        return connection.execute(_PUBLISHED, {"documents": wanted}).fetchall() if tables else []
