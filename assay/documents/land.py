"""Land a folder of documents: a line for each that is new, has changed or is gone since the last time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.documents.extract import Extracted, extract_text, is_document, kinds_of_documents
from assay.documents.landed import (
    Known,
    as_text,
    document_line,
    held_state,
    moment_text,
    pack_lines,
    write_lines,
    write_state,
)
from assay.landing.declared import DeclarationError
from assay.landing.formats.rows import LINE_MB, line_limit

_LONGEST_NAME = 100
# Archives that know no times have files of 1970 or 1980; silver takes no time before this one.
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LandedFolder:
    """What was landed of a folder: the documents' names within it.

    `unreadable` are those whose text could not be read, with the reason; they land all the same, and builds
    keep them in quarantine. `passed_over` are files that are no documents, links to folders, and what has a
    name that begins with an underscore. `withdrawn` were deleted as documents and are still in the folder:
    they do not land.
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
        Fault: there is no such folder, it cannot be listed, it holds no document and never did, the source's
            name cannot be one, another process lands it, or the extra `documents` is not installed.
    """
    if not folder.is_dir():
        raise Fault(f"{folder} is no folder: name the folder that holds the documents.", MISUSED)
    is_name = source.isprintable() and source.strip() == source and 0 < len(source.encode()) <= _LONGEST_NAME
    if not is_name or "/" in source or source.startswith((".", "_")):
        raise Fault(
            f"{source!r} cannot name a source of documents: take a word such as handbook, without a slash.",
            MISUSED,
        )
    with held_state(landing, source, command=f"assay documents land --source {source}") as state:
        before = deepcopy(state)
        # Of two landings, the later one has a later second, so that its versions stand.
        landed_at = state.later(landed_at)
        found = LandedFolder(folder, source, None)
        packed = pack_lines(_lines(found, state.known, landed_at))
        if not state.known:
            raise Fault(
                f"{folder} holds no document: their names end with {', '.join(kinds_of_documents())}.",
                MISUSED,
            )
        there = sum(bool(each.digest) for each in state.known.values())
        found = replace(found, unchanged=there - len(found.new) - len(found.changed))
        if names := [*found.new, *found.changed, *found.deleted]:
            state.landed_at = landed_at
            # If the process ends between the lines and the state, nobody knows which of them landed.
            write_state(landing, source, state.unsettled(names))
            found = replace(found, file=write_lines(packed, landing, source, landed_at))
        if state != before:
            write_state(landing, source, state)
    return found


def _lines(found: LandedFolder, known: dict[str, Known], landed_at: datetime) -> Iterator[str]:
    there, limit = set(), _most_bytes()
    for path in _files(found.folder):
        name = as_text(path.relative_to(found.folder).as_posix())
        if path.name.startswith("_") or _is_folder(path) or not is_document(path):
            found.passed_over.append(name)
            continue
        there.add(name)
        last = known.get(name)
        if last and last.is_withdrawn:
            found.withdrawn.append(name)
            continue
        content, problem = _read(path)
        digest = _digest_of(content or problem.encode())
        if last and last.digest == digest:
            continue
        text = Extracted(problem=problem) if problem else extract_text(path, content)
        updated_at = _later(_written_at(path), last, landed_at)
        line = _line_of(found, name, text, updated_at)
        if (size := len(line.encode())) >= limit:
            text = Extracted(problem=_too_long(size, limit))
            # It lands once for each limit: a higher one may allow it.
            digest = _digest_of(f"{digest}: {text.problem}".encode())
            if last and last.digest == digest:
                continue
            line = _line_of(found, name, text, updated_at)
        (found.changed if last and last.digest else found.new).append(name)
        known[name] = Known(digest, updated_at)
        if text.problem:
            found.unreadable[name] = text.problem
        yield line
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
    """Yield all files below a folder, and the folders that are not looked into: links, and those with `_`."""
    for root, folders, names in os.walk(folder, onerror=_refuse_unlisted):
        shown = sorted(name for name in folders if not name.startswith("."))
        apart = [name for name in shown if name.startswith("_") or Path(root, name).is_symlink()]
        folders[:] = [name for name in shown if name not in apart]
        yield from (Path(root, name) for name in sorted(names) + apart if not name.startswith("."))


def _refuse_unlisted(error: OSError) -> None:
    # What is only not seen would land as deleted.
    raise Fault(
        f"{error.filename} cannot be listed ({error.strerror}), so nobody can tell which documents are gone, "
        "and nothing is landed. Make it readable, and land again."
    ) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # A link that leads where nobody may look: to read it tells why.
        return False


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> tuple[bytes, str]:
    """Return what a file holds, or why it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b"", "it is no file that holds anything"
        return path.read_bytes(), ""
    except OSError as error:
        return b"", f"it cannot be read: {error.strerror}"


def _line_of(found: LandedFolder, name: str, text: Extracted, updated_at: str) -> str:
    values = {
        "title": text.title or Path(name).stem,
        "body": text.body,
        "tags": list(dict.fromkeys(Path(name).parent.parts)),
        "problem": text.problem or None,
    }
    return document_line(f"{found.source}/{name}", found.source, updated_at, **values)


def _most_bytes() -> int:
    """Return how long a line may be: a longer one would keep all lines of its file from being loaded."""
    try:
        return line_limit()
    except DeclarationError as error:
        raise Fault(str(error), MISUSED) from error


def _too_long(size: int, limit: int) -> str:
    most = f"and {limit:,} are the most: cut it in parts, or allow more with {LINE_MB}"
    return f"it takes {size:,} bytes as a line of JSON, {most}"


def _written_at(path: Path) -> datetime | None:
    """Return when a file was written, as it says; None where that can be no time of a document."""
    try:
        moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None
    return moment if moment >= _EARLIEST else None


def _later(written_at: datetime | None, last: Known | None, landed_at: datetime) -> str:
    """Return when a version was written: as its file says, or now where the one before it is later."""
    now = landed_at.replace(tzinfo=UTC)
    if written_at and written_at < now and (not last or moment_text(written_at) > last.updated_at):
        return moment_text(written_at)
    return moment_text(now)
