"""Land a folder of documents: a line for each that is new, has changed or is gone since the last time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.documents.extract import extract_text, is_document, kinds_of_documents
from assay.documents.landed import Known, document_line, held_state, moment_text, write_lines, write_state


@dataclass(frozen=True)
class LandedFolder:
    """What was landed of a folder: the documents' names within it.

    `unreadable` are those whose text could not be read, with the reason; they land all the same, and builds
    keep them in quarantine. `passed_over` are files that are no documents. `withdrawn` were deleted as
    documents and are still in the folder: they do not land.
    """

    folder: Path
    source: str
    file: Path | None
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unchanged: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)


def land_folder(folder: Path, source: str, landing: Path, landed_at: datetime) -> LandedFolder:
    """Land what is new in a folder of documents.

    Args:
        folder: with files at any depth; those whose names begin with a dot or an underscore are left out.
        source: what the documents are part of; their ids begin with it.
        landing: the landing zone's folder.
        landed_at: now, in UTC.

    Raises:
        Fault: there is no such folder, it holds no document and never did, the source's name cannot be one,
            another process lands it, or the extra `documents` is not installed.
    """
    if not folder.is_dir():
        raise Fault(f"{folder} is no folder: name the folder that holds the documents.", MISUSED)
    if not source or source.strip() != source or "/" in source or source.startswith((".", "_")):
        raise Fault(
            f"{source!r} cannot name a source of documents: take a word such as handbook, without a slash.",
            MISUSED,
        )
    with held_state(landing, source, command=f"assay documents land --source {source}") as state:
        before = deepcopy(state)
        # Of two landings, the later one has a later second, so that its versions stand.
        landed_at = state.later(landed_at)
        found = LandedFolder(folder, source, None)
        lines = list(_lines(found, state.known, landed_at))
        if not state.known:
            raise Fault(
                f"{folder} holds no document: their names end with {', '.join(kinds_of_documents())}.",
                MISUSED,
            )
        there = sum(bool(each.digest) for each in state.known.values())
        found = replace(found, unchanged=there - len(found.new) - len(found.changed))
        if lines:
            found = replace(found, file=write_lines(lines, landing, source, landed_at))
            state.landed_at = landed_at
        # A process that ends here lands the same lines once more, and silver knows them.
        if state != before:
            write_state(landing, source, state)
    return found


def _lines(found: LandedFolder, known: dict[str, Known], landed_at: datetime) -> Iterator[str]:
    there = set()
    for path in _files(found.folder):
        # Names are bytes, and need not be text.
        name = os.fsencode(path.relative_to(found.folder).as_posix()).decode("utf-8", "replace")
        if not is_document(path):
            found.passed_over.append(name)
            continue
        there.add(name)
        last = known.get(name)
        if last and last.is_withdrawn:
            found.withdrawn.append(name)
            continue
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if last and last.digest == digest:
            continue
        (found.changed if last and last.digest else found.new).append(name)
        text = extract_text(path, content)
        if text.problem:
            found.unreadable[name] = text.problem
        updated_at = _later(datetime.fromtimestamp(path.stat().st_mtime, UTC), last, landed_at)
        known[name] = Known(digest, updated_at)
        tags = list(dict.fromkeys(Path(name).parent.parts))
        title, problem = text.title or path.stem, text.problem or None
        values = {"title": title, "body": text.body, "tags": tags, "problem": problem}
        yield document_line(f"{found.source}/{name}", found.source, updated_at, **values)
    for name, last in known.items():
        if name in there:
            continue
        if last.is_withdrawn:
            # A file that comes later is another document.
            known[name] = replace(last, is_withdrawn=False)
        if last.digest:
            found.deleted.append(name)
            known[name] = Known("", _later(None, last, landed_at))
            yield document_line(f"{found.source}/{name}", found.source, known[name].updated_at, deleted=True)


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith((".", "_")))


def _later(written_at: datetime | None, last: Known | None, landed_at: datetime) -> str:
    """Return when a version was written: as its file says, or now where the one before it is later."""
    now = landed_at.replace(tzinfo=UTC)
    if written_at and written_at < now and (not last or moment_text(written_at) > last.updated_at):
        return moment_text(written_at)
    return moment_text(now)
