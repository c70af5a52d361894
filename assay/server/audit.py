"""Who read which view, and who was turned away: a line each, appended and never changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import orjson

from assay.runs.moment import now
from assay.server.keys import Reader

FILE = "audit.jsonl"


class Audit:
    """The log in a folder; several processes may append to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(
        self, reader: Reader, request_id: str, path: str, views: Iterable[str], entities: int, at: datetime
    ) -> None:
        """Append what was read: one write, which the system keeps whole."""
        line = {
            "read_at": f"{now().isoformat()}Z",
            "reader": reader.name,
            "request_id": request_id,
            "path": path,
            "views": list(views),
            "entities": entities,
            "as_of": f"{at.isoformat()}Z",
        }
        os.write(self._file, orjson.dumps(line) + b"\n")

    def note_refused(self, reader: str | None, request_id: str, path: str, status: int, why: str) -> None:
        """Append that a request was turned away: by 401 nobody knows whose, by 403 of a reader."""
        line = {
            "refused_at": f"{now().isoformat()}Z",
            "reader": reader,
            "request_id": request_id,
            "path": path,
            "status": status,
            "why": why,
        }
        os.write(self._file, orjson.dumps(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
