"""A landing zone of a test's own, with the warehouse it is loaded into."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.landing.declared import declared_tables
from assay.landing.load import load_new_files

BOM = b"\xef\xbb\xbf"


class Zone:
    """A landing zone and its warehouse, whose books must balance after every load."""

    def __init__(self, folder: Path, declared: str) -> None:
        self.landing = folder / "landing"
        self.models = folder / "models"
        self.landing.mkdir()
        self.models.mkdir()
        self.declare(declared)
        self.warehouse = folder / "warehouse.duckdb"
        self.connection = duckdb.connect(self.warehouse)
        self.runs = 0

    def declare(self, text: str) -> None:
        (self.models / "sources.yml").write_text(text)

    def drop(self, name: str, content: str | bytes) -> Path:
        path = self.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def load(self, cold: Path | None = None, *, are_cold_lacking: bool = False) -> None:
        """Load what is new in a run of its own, `run 1`, `run 2`, ..., a day each."""
        self.runs += 1
        load_new_files(
            self.connection,
            landing=self.landing,
            models=[self.models],
            cold=cold,
            are_cold_lacking=are_cold_lacking,
            run_id=f"run {self.runs}",
            loaded_at=datetime(2025, 6, self.runs),
        )
        self.balance()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def files(self, name: str = "%") -> list[dict[str, Any]]:
        relation = self.connection.execute(
            "from landing.files where source_file like ? order by source_file, file_version", [name]
        )
        names = [column[0] for column in relation.description or []]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]

    def file(self, name: str = "%") -> dict[str, Any]:
        (found,) = self.files(name)
        return found

    def sales(self, columns: str = "id, name, amount") -> dict[int, tuple[Any, ...]]:
        """Rows that are well-formed, by their number; of a zone where numbers are unique."""
        rows = self.query(
            f"select row_number, {columns} from landing.shop__sales where malformed_reason is null order by 1"
        )
        assert len({row[0] for row in rows}) == len(rows)
        return {row[0]: row[1:] for row in rows}

    def malformed(self) -> dict[int, tuple[str, str]]:
        rows = self.query(
            "select row_number, malformed_line, malformed_reason from landing.shop__sales "
            "where malformed_reason is not null order by 1"
        )
        return {row[0]: row[1:] for row in rows}

    def clicks(self) -> dict[int, tuple[str, str | None]]:
        rows = self.query("select row_number, line, malformed_reason from landing.shop__clicks order by 1")
        return {row[0]: row[1:] for row in rows}

    def balance(self) -> None:
        """Compare the list of files with the rows, and with the lines of files that still are as loaded."""
        landed = {}
        for table in declared_tables(self.models).values():
            landed |= {
                (table.name, row[0]): row[1:]
                for row in self.query(
                    "select file_id, count(*), count(distinct row_number), min(row_number), max(row_number), "
                    f"count(malformed_reason) from landing.{table.relation} group by file_id"
                )
            }
        for file in self.files():
            rows, numbers, first, last, malformed = landed.pop(
                (file["table_name"], file["file_id"]), (0, 0, 1, 0, 0)
            )
            assert (file["row_count"], file["malformed_row_count"]) == (rows, malformed), file
            assert numbers == rows, file
            assert first >= 1, file
            assert last <= file["line_count"], file
            assert (file["status"] == "loaded") == (file["error"] is None), file
            parts = ("header_line_count", "blank_line_count", "row_line_count")
            assert file["line_count"] == sum(file[part] for part in parts), file
            if file["status"] != "loaded":
                assert file["line_count"] == 0, file
            path = self.landing / file["source_file"]
            if file["status"] == "loaded" and path.exists() and ".parquet" not in path.suffixes:
                raw = contents(path)
                if hashlib.sha256(raw).hexdigest() == file["content_sha256"]:
                    assert file["line_count"] == physical_lines(path), file
        assert not landed, "rows of files that are not listed"


def contents(path: Path) -> bytes:
    """The bytes of a file, also where a test lets nobody open it."""
    with io.FileIO(path) as stream:
        return stream.readall()


def physical_lines(path: Path) -> int:
    raw = contents(path)
    raw = (gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw).removeprefix(BOM)
    if raw.startswith(codecs.BOM_UTF16):
        raw = raw.decode("utf-16", "replace").encode()
    return raw.count(b"\n") + (raw[-1:] not in (b"", b"\n"))
