"""The lineage of tables and columns as a page: one HTML file that needs no network.

The columns are followed by DuckDB, as for OpenLineage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from assay.core.disk import put_in_place
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.places import Places
from assay.lineage.columns import tables_of
from assay.lineage.followed_tables import follow_tables
from assay.project.compiled import compiled_project
from assay.project.project import Project


@dataclass(frozen=True)
class Page:
    """What was written: where, for how many models, and whose columns could not be followed, and why."""

    path: Path
    models: int
    not_followed: dict[str, str]


def write_page(places: Places, out: Path | None = None, about: str | None = None) -> Page:
    """Write the page of the project in the current folder.

    Args:
        places: of the project.
        out: the file; None for `assay_lineage.html` in dbt's target folder.
        about: the table, or `table.column`, that the page opens on; None for the first feature view.

    Raises:
        Fault: there is no warehouse, another program has it open, dbt cannot read the project, or there is
            nothing of the name.
    """
    if not places.warehouse.exists():
        raise Fault(f"There is no warehouse {places.warehouse} yet. To build it: assay build", MISUSED)
    project = Project()
    compiled = compiled_project(project)
    try:
        with tables_of(places.warehouse) as connection:
            tables, not_followed = follow_tables(project.manifest, compiled, connection)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    start = _start(tables, about)
    path = out or places.lineage
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(_html({"tables": tables, "start": start}), encoding="utf-8")
    put_in_place(new, path)
    return Page(path, sum(table["kind"] == "model" for table in tables.values()), not_followed)


def _start(tables: dict[str, dict[str, Any]], about: str | None) -> dict[str, str]:
    """Return the table and the column that the page opens on."""
    if about is None:
        views = [name for name, table in tables.items() if table["isFeatureView"]]
        return {"table": min(views or tables, default=""), "column": ""}
    if about in tables:
        return {"table": about, "column": ""}
    table, _, column = about.rpartition(".")
    if table not in tables:
        name = table or about
        raise Fault(unknown(f"There is no table {name} in this project", name, tables), MISUSED)
    columns = tables[table]["columns"]
    if column not in columns:
        raise Fault(unknown(f"{table} has no column {column}", column, columns), MISUSED)
    return {"table": table, "column": column}


def _html(data: dict[str, Any]) -> str:
    folder = files("assay.lineage").joinpath("templates")
    script = folder.joinpath("lineage.js").read_text(encoding="utf-8")
    # Within a script, the text of an end tag would end it.
    script = script.replace('"DATA"', json.dumps(data, separators=(",", ":")).replace("</", "<\\/"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = folder.joinpath("lineage.html").read_text(encoding="utf-8")
    return page.replace("SCRIPT_HASH", digest, 1).replace("SCRIPT", script, 1)
