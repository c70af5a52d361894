"""The landing zone: files under <source>/<table>/landed_at=.../, and the count of what they hold."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO


class Landing:
    """Writes files whose bytes depend on nothing but their content."""

    def __init__(self, root: Path) -> None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise FileExistsError(f"{root} is not an empty folder: name a new one, or remove it first")
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.rows: dict[str, int] = {}
        self.files: dict[str, list[str]] = {"empty": [], "late": [], "missing": [], "truncated": []}

    def path(self, table: str, landed_at: datetime, name: str) -> str:
        """Where a file lands, relative to the root."""
        return f"{table}/landed_at={landed_at:%Y-%m-%dT%H-%M-%S}/{name}"

    def write_lines(self, table: str, path: str, lines: Iterable[str]) -> None:
        """Land a file of lines."""
        with self._open(path) as text:
            self._count(table, sum(text.write(f"{line}\n") > 0 for line in lines))

    def write_csv(self, table: str, path: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Land a CSV file. Its header is not counted among the rows."""
        with self._open(path) as text:
            write = csv.writer(text, lineterminator="\n").writerow
            write(header)
            self._count(table, sum(write(row) > 0 for row in rows))

    def copy_truncated(self, path: str, original: str) -> None:
        """A copy of a file cut in the middle, as a broken transfer leaves it."""
        content = (self.root / original).read_bytes()
        self._prepare(path).write_bytes(content[: len(content) // 2])
        self.files["truncated"].append(path)

    def empty(self, path: str) -> None:
        """A file of no bytes."""
        self._prepare(path).touch()
        self.files["empty"].append(path)

    def _count(self, table: str, rows: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows

    @contextmanager
    def _open(self, path: str) -> Iterator[TextIO]:
        """A new text file, compressed where its name says so."""
        with self._prepare(path).open("xb") as raw:
            if not path.endswith(".gz"):
                with TextIOWrapper(raw, encoding="utf-8", newline="\n") as text:
                    yield text
                return
            # Neither name nor time in the header, or the same rows would give other bytes.
            with (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
                TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
            ):
                yield text

    def _prepare(self, path: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
