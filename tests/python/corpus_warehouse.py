"""A warehouse with the table of a corpus, and the manifest of its model, made without dbt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from assay.corpus.take import Made, take_corpus
from assay.training.source import Source
from assay.training.store import Version

NAME = "crp_help"
_KEY = ("document_id",)


@dataclass
class CorpusWarehouse:
    """`folder` holds the warehouse and the versions; `columns` has the YAML of columns by name."""

    folder: Path
    key: Sequence[str] = _KEY
    columns: Mapping[str, Any] = ()  # type: ignore[assignment]
    taken: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def fill(self, columns: str, rows: Iterable[Sequence[Any]], table: str = f"gold.{NAME}") -> None:
        """Write a table with these columns, each with its type."""
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("create schema if not exists gold; create schema if not exists landing")
            connection.execute("create schema if not exists silver")
            connection.execute(
                "create or replace table landing.files as select 1 as file_id, 'a.jsonl' as source_file, "
                "'0' as content_sha256, 1 as row_count, 'loaded' as status"
            )
            connection.execute(
                "create or replace table silver.slv_texts as select timestamp '2025-01-09' as available_at"
            )
            connection.execute(f"create or replace table {table} ({columns})")
            rows = [[*row] for row in rows]
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"insert into {table} values ({marks})", rows)

    def manifest(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        def node(name: str, schema: str, **others: Any) -> dict[str, Any]:
            return {
                "unique_id": f"model.p.{name}",
                "name": name,
                "alias": name,
                "schema": schema,
                "resource_type": "model",
                "primary_key": [],
                "columns": {},
                "raw_code": "select 1",
                "config": {"meta": {"assay": {"layer": schema, "kinds": []}}},
                "depends_on": {"nodes": [], "macros": []},
                **others,
            }

        corpus = node(
            NAME,
            "gold",
            primary_key=list(self.key),
            columns={
                name: {"name": name, "description": "", **yaml} for name, yaml in dict(self.columns).items()
            },
            config={
                "meta": {"corpus": dict(settings), "assay": {"layer": "gold", "kinds": ["corpora"]}},
                "contract": {"enforced": False},
            },
            depends_on={"nodes": ["model.p.slv_texts"], "macros": []},
        )
        nodes = [corpus, node("slv_texts", "silver"), node("questions", "gold")]
        return {
            "nodes": {each["unique_id"]: each for each in nodes},
            "macros": {},
            "metadata": {"dbt_version": "1.11"},
        }

    def take(self, format_name: str = "pretrain", *, split: bool = False, **settings: Any) -> Version:
        """Take a version with these settings into a folder of its own."""
        self.taken += 1
        folder = self.folder / f"take {self.taken}" / "version"
        folder.mkdir(parents=True)
        (self.folder / "dbt_project.yml").write_text("name: p\n")
        source = Source(self.file, self.manifest(settings), "run", None, None)
        with chdir(self.folder):
            return take_corpus(NAME, source, folder, Made(format_name, split))


def rows_of(version: Version) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(version.data).to_pylist()
    return found


def documents_of(version: Version) -> dict[str, dict[str, Any]]:
    """The rows that were read, by document."""
    found = {row["document_id"]: row for row in pq.read_table(version.documents).to_pylist()}
    for row in found.values():
        if row["left_out"]:
            row["left_out"] = json.loads(row["left_out"])
    return found
