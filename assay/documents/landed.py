"""What of documents has landed: files of lines, and what each folder held at its last landing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import LOCKED, Fault
from assay.core.lock import Holder, hold
from assay.core.moment import in_file_name

#: The table of the landing zone that documents land in.
SOURCE, TABLE = "docs", "documents"
#: The folder of the landing zone that tells what was landed of each folder; no build reads it as data.
STATE = "_documents"
# No digest: what became of a version is not known if its landing was killed.
_UNSETTLED = "unsettled"


@dataclass
class Known:
    """What was landed of a file last.

    Attributes:
        digest: of its content; empty where it was gone, or deleted as a document.
        updated_at: of the version that landed.
        is_withdrawn: whether the document was deleted while the file was there: it lands no more as long as
            the file stays.
    """

    digest: str
    updated_at: str
    is_withdrawn: bool = False


@dataclass
class FolderState:
    """What was landed of a folder, by the files' names in it, and when something landed last."""

    landed_at: datetime
    known: dict[str, Known]

    def later(self, moment: datetime) -> datetime:
        """Return a moment in whole seconds, which folders tell, that is later than the last landing's."""
        return max(moment.replace(microsecond=0), self.landed_at + timedelta(seconds=1))

    def unsettled(self, names: Iterable[str]) -> FolderState:
        """Return a state by which the files of these names land again, whatever becomes of them."""
        unsettled = {name: replace(self.known[name], digest=_UNSETTLED) for name in names}
        return FolderState(self.landed_at, self.known | unsettled)


def sources_of_folders(landing: Path) -> set[str]:
    """Return the names of the folders that were landed."""
    return {state.stem for state in (landing / STATE).glob("*.json")}


@contextmanager
def held_state(landing: Path, source: str, *, command: str, wait: float = 0) -> Iterator[FolderState]:
    """Let no other process land a folder, or delete documents of it, while the block runs.

    Args:
        landing: the landing zone's folder.
        source: the name of the folder's documents.
        command: which other processes are told.
        wait: how long to wait for another process, in seconds.

    Raises:
        Fault: another process lands the folder, or its state is damaged.
    """
    state = _state_file(landing, source)
    with hold(state.with_suffix(".lock"), command=command, wait=wait, refuse=_refuse):
        yield _read_state(state)


def write_state(landing: Path, source: str, state: FolderState) -> None:
    """Write what was landed of a folder.

    Raises:
        OSError: it cannot be written, and is as it was.
    """
    documents = {name: asdict(each) for name, each in sorted(state.known.items())}
    content = {"landed_at": f"{state.landed_at}", "documents": documents}
    replace_private(_state_file(landing, source), json.dumps(content).encode())


def moment_text(moment: datetime) -> str:
    """Write a moment of UTC as lines have it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def as_text(name: str) -> str:
    """Return a name of a file, or an argument, as text: it is bytes, and no two become one."""
    return name.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")


def document_line(document_id: str, source: str | None, updated_at: str, **values: Any) -> str:
    """Return a version of a document as a line; values that are None are left out."""
    document = {"document_id": document_id, "source": source, "updated_at": updated_at, **values}
    return json.dumps(
        {key: value for key, value in document.items() if value is not None}, ensure_ascii=False
    )


def pack_lines(lines: Iterable[str]) -> bytes:
    """Return a file of lines, compressed: only one of them is held as a text at a time."""
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, packed, mtime=0) as file:
        file.writelines(f"{line}\n".encode() for line in lines)
    return packed.getvalue()


def write_lines(packed: bytes, landing: Path, name: str, landed_at: datetime) -> Path:
    """Land a file of lines; the same lines of the same moment are the same file.

    Raises:
        OSError: it cannot be written.
    """
    folder = landing / SOURCE / TABLE / f"landed_at={in_file_name(landed_at)}"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{hashlib.sha256(packed).hexdigest()[:12]}.jsonl.gz"
    if not target.exists():
        replace_private(target, packed)
    return target


def _state_file(landing: Path, source: str) -> Path:
    return landing / STATE / f"{source}.json"


def _refuse(holder: Holder | None) -> Fault:
    told = f": {holder}" if holder else ""
    return Fault(f"Another process lands these documents{told}. Wait until it ends.", LOCKED)


def _read_state(state: Path) -> FolderState:
    if not state.exists():
        return FolderState(datetime.min, {})
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
        known = {name: Known(**each) for name, each in content["documents"].items()}
        return FolderState(datetime.fromisoformat(content["landed_at"]), known)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Fault(
            f"{state} is damaged, so it cannot be told which documents have changed: remove it, and all of "
            "them land again. Silver knows those that are the same."
        ) from error
