"""The lineage of columns as a page, by dbt-colibri: one HTML file that needs no network.

The columns are followed by DuckDB, as for OpenLineage. dbt-colibri's own way, a parser, loses them at unions
and at structs of rows.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from dbt_colibri.lineage_extractor.extractor import DbtColumnLineageExtractor
from dbt_colibri.report.generator import DbtColibriReportGenerator

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.lineage.columns import SourceColumn, Untraceable, lineage_of, tables_of
from assay.project.dbt_run import Watcher
from assay.project.docs import describe

FILE = "assay_lineage.html"
_TABLES = ("model", "snapshot")


@dataclass(frozen=True)
class Page:
    """What was written: where, for how many models, and whose columns could not be followed, and why."""

    path: Path
    models: int
    not_followed: dict[str, str]


def write_page(places: Places, watcher: Watcher, out: Path | None = None) -> Page:
    """Write the page of the project in the current folder.

    Args:
        places: of the project.
        watcher: told of what dbt does.
        out: the file; None for `assay_lineage.html` in dbt's target folder.

    Raises:
        Fault: there is no warehouse, another program has it open, or dbt cannot read the project.
    """
    if not places.warehouse.exists():
        raise Fault(f"There is no warehouse {places.warehouse} yet. To build it: assay build", MISUSED)
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    describe(places.warehouse, watcher)
    with TemporaryDirectory() as folder, tables_of(places.warehouse) as tables:
        extractor = _Extractor(target, tables)
        DbtColibriReportGenerator(extractor, light_mode=False, disable_telemetry=True).generate_report(folder)
        path = out or target / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder, "index.html"), path)
    return Page(path, len(extractor.parents), extractor.not_followed)


class _Extractor(DbtColumnLineageExtractor):  # type: ignore[misc]
    """Gives dbt-colibri's page the columns that DuckDB follows."""

    def __init__(self, target: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(str(target / "manifest.json"), str(target / "catalog.json"))
        self._connection = connection
        self._nodes = {
            f"{node['database']}.{node['schema']}.{node.get('identifier') or node['alias']}": id_
            for id_, node in (*self.manifest["nodes"].items(), *self.manifest["sources"].items())
            if node["resource_type"] in (*_TABLES, "seed", "source")
        }
        self.parents: dict[str, dict[str, list[dict[str, str]]]] = {}
        self.not_followed: dict[str, str] = {}

    def extract_project_lineage(self) -> dict[str, Any]:
        """Return for each column those above and below it, in the form that the page is made from."""
        children: dict[str, dict[str, list[dict[str, str]]]] = {}
        for id_, node in self.manifest["nodes"].items():
            if node["resource_type"] not in _TABLES or node["language"] != "sql":
                continue
            self.parents[id_] = {}
            for name, sources in self._columns(node).items():
                self.parents[id_][name] = list(sources)
                for source in sources:
                    below = children.setdefault(source["dbt_node"], {}).setdefault(source["column"], [])
                    below.append({"column": name, "dbt_node": id_})
        return {"lineage": {"parents": self.parents, "children": children}, "errors": []}

    def _columns(self, node: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
        try:
            columns = lineage_of(self._connection, node["compiled_code"]).columns
        except (duckdb.Error, Untraceable) as error:
            self.not_followed[node["name"]] = str(error)
            columns = {}
        return {
            # The page knows columns in small letters.
            name.lower(): [
                {
                    "column": source.name.lower(),
                    "dbt_node": self._nodes[source.relation],
                    "lineage_type": _kind(name, source, is_same),
                }
                for source, is_same in sources.items()
                if source.relation in self._nodes
            ]
            for name, sources in columns.items()
        }


def _kind(name: str, source: SourceColumn, is_same: bool) -> str:
    if not is_same:
        return "transformation"
    return "pass-through" if name == source.name else "rename"
