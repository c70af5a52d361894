"""Land a folder of documents: a line for each that is new, has changed or is gone since the last time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import LOCKED, MISUSED, Fault
from assay.core.lock import Holder, hold
from assay.core.moment import in_file_name
from assay.documents.extract import extract_text, is_document, kinds_of_documents

#: The table of the landing zone that documents land in.
SOURCE, TABLE = "docs", "documents"
#: The folder of the landing zone that tells what was landed of each folder; no build reads it as data.
STATE = "_documents"


@dataclass(frozen=True)
class LandedFolder:
    """What was landed of a folder: the documents' names within it.

    `unreadable` are those whose text could not be read, with the reason; they land all the same, and builds
    keep them in quarantine. `passed_over` are files that are no documents.
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


@dataclass
class _Known:
    """What was landed of a file last; `digest` is empty where it was gone."""

    digest: str
    updated_at: str


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
    state = landing / STATE / f"{source}.json"
    with hold(state.with_suffix(".lock"), command=f"assay documents land --source {source}", refuse=_refuse):
        last, known = _read_state(state)
        # Folders tell seconds. Of two landings, the later one has a later second, so that its versions stand.
        landed_at = max(landed_at.replace(microsecond=0), last + timedelta(seconds=1))
        found = LandedFolder(folder, source, None)
        lines = list(_lines(found, known, landed_at))
        if not known:
            raise Fault(
                f"{folder} holds no document: their names end with {', '.join(kinds_of_documents())}.",
                MISUSED,
            )
        there = sum(bool(each.digest) for each in known.values())
        found = replace(found, unchanged=there - len(found.new) - len(found.changed))
        if not lines:
            return found
        file = _write_lines(lines, landing, source, landed_at)
        # A process that ends here lands the same lines once more, and silver knows them.
        documents = {name: asdict(each) for name, each in sorted(known.items())}
        content = {"landed_at": f"{landed_at}", "documents": documents}
        replace_private(state, json.dumps(content).encode())
    return replace(found, file=file)


def _refuse(holder: Holder | None) -> Fault:
    return Fault(f"Another process lands these documents: {holder}. Wait until it ends.", LOCKED)


def _lines(found: LandedFolder, known: dict[str, _Known], landed_at: datetime) -> Iterator[str]:
    there = set()
    for path in _files(found.folder):
        # Names are bytes, and need not be text.
        name = os.fsencode(path.relative_to(found.folder).as_posix()).decode("utf-8", "replace")
        if not is_document(path):
            found.passed_over.append(name)
            continue
        there.add(name)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        last = known.get(name)
        if last and last.digest == digest:
            continue
        (found.changed if last and last.digest else found.new).append(name)
        text = extract_text(path, content)
        if text.problem:
            found.unreadable[name] = text.problem
        updated_at = _later(datetime.fromtimestamp(path.stat().st_mtime, UTC), last, landed_at)
        known[name] = _Known(digest, updated_at)
        tags = list(dict.fromkeys(Path(name).parent.parts))
        title, problem = text.title or path.stem, text.problem or None
        yield _line(found.source, name, updated_at, title=title, body=text.body, tags=tags, problem=problem)
    for name, last in known.items():
        if last.digest and name not in there:
            found.deleted.append(name)
            known[name] = _Known("", _later(None, last, landed_at))
            yield _line(found.source, name, known[name].updated_at, deleted=True)


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith((".", "_")))


def _later(written_at: datetime | None, last: _Known | None, landed_at: datetime) -> str:
    """Return when a version was written: as its file says, or now where the one before it is later."""
    now = landed_at.replace(tzinfo=UTC)
    if written_at and written_at < now and (not last or _text(written_at) > last.updated_at):
        return _text(written_at)
    return _text(now)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def _line(source: str, name: str, updated_at: str, **values: Any) -> str:
    document = {"document_id": f"{source}/{name}", "source": source, "updated_at": updated_at, **values}
    return json.dumps(
        {key: value for key, value in document.items() if value is not None}, ensure_ascii=False
    )


def _write_lines(lines: list[str], landing: Path, source: str, landed_at: datetime) -> Path:
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, packed, mtime=0) as file:
        file.writelines(f"{line}\n".encode() for line in lines)
    content = packed.getvalue()
    folder = landing / SOURCE / TABLE / f"landed_at={in_file_name(landed_at)}"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source}-{hashlib.sha256(content).hexdigest()[:12]}.jsonl.gz"
    replace_private(target, content)
    return target


def _read_state(state: Path) -> tuple[datetime, dict[str, _Known]]:
    """Return when documents were landed last, and which."""
    if not state.exists():
        return datetime.min, {}
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
        known = {name: _Known(**each) for name, each in content["documents"].items()}
        return datetime.fromisoformat(content["landed_at"]), known
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Fault(
            f"{state} is damaged, so it cannot be told which documents have changed: remove it, and all of "
            "them land again. Silver knows those that are the same."
        ) from error
