"""Build with dbt in a process of its own: `python -m benchmarks.build ARGUMENTS` in the project's folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml
from dbt.cli.main import dbtRunner

from benchmarks.measure import Cost, own_cpu, run_module

MEMORY_LIMIT = "8GB"
_FOUND = "benchmark: "


@dataclass(frozen=True)
class Build:
    """What a build cost.

    `start_up` is the CPU dbt takes before the first node runs, `nodes` how many ran, `statements` the seconds
    that statements took, added up over dbt's threads, `of_nodes` the same by node, and `loading` the wall
    seconds of `brz_files`.
    """

    cost: Cost
    start_up: float
    nodes: int
    statements: float
    of_nodes: dict[str, float]
    loading: float


@dataclass(frozen=True)
class Warehouse:
    """A warehouse of the benchmarks' own, with the folder of what dbt writes beside it."""

    folder: Path
    landing: Path

    @property
    def file(self) -> Path:
        return self.folder / "assay.duckdb"

    def build(self, *arguments: str) -> Build:
        """Build, or build on.

        Raises:
            CommandFailed: dbt, or one of its tests, failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        profiles = _limited_profiles(self.folder / "profiles")
        cost = run_module(
            "benchmarks.build",
            "build",
            *arguments,
            *("--profiles-dir", str(profiles)),
            *("--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs")),
            environment={"ASSAY_LANDING": str(self.landing), "ASSAY_WAREHOUSE": str(self.file)},
        )
        line = next(line for line in reversed(cost.output.splitlines()) if line.startswith(_FOUND))
        return Build(cost, **json.loads(line.removeprefix(_FOUND)))

    def build_of_nothing(self, *arguments: str) -> Build:
        """The same build with no file landed: what dbt itself takes.

        The first such build reads the project, which dbt does not do again while the project stays the same.
        """
        nothing = self.folder / "nothing"
        nothing.mkdir(parents=True, exist_ok=True)
        built = Warehouse(self.folder, nothing).build(*arguments)
        self.remove_data()
        return built

    def count_loaded(self) -> int:
        """Return the number of lines of all files that are loaded."""
        with duckdb.connect(self.file, read_only=True) as connection:
            [(lines,)] = connection.execute(
                "select coalesce(sum(line_count), 0) from landing.files where status = 'loaded'"
            ).fetchall()
        return int(lines)

    def remove_data(self) -> None:
        """Begin from the start, but for what dbt knows of the project."""
        for path in self.folder.glob("assay.duckdb*"):
            path.unlink()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _limited_profiles(folder: Path) -> Path:
    """The project's own profiles, with a limit to DuckDB's memory."""
    profiles = yaml.safe_load(Path("profiles.yml").read_text(encoding="utf-8"))
    for output in profiles["assay"]["outputs"].values():
        output.setdefault("settings", {})["memory_limit"] = MEMORY_LIMIT
    folder.mkdir(exist_ok=True)
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    return folder


class _Events:
    """Listens to dbt."""

    def __init__(self) -> None:
        self.start_up = 0.0
        self.nodes = 0
        self.statements = 0.0
        self.of_nodes: Counter[str] = Counter()

    def __call__(self, event: Any) -> None:
        match event.info.name:
            case "ConcurrencyLine":
                self.start_up = own_cpu()
                self.nodes = event.data.node_count
            case "SQLQueryStatus":
                self.statements += event.data.elapsed
                self.of_nodes[event.data.node_info.node_name] += event.data.elapsed


def _main(arguments: list[str]) -> int:
    events = _Events()
    result = dbtRunner(callbacks=[events]).invoke(["--no-use-colors", *arguments])
    if not result.success:
        print(result.exception or "dbt failed")
        return 1
    results: Any = result.result
    loading = sum(node.execution_time for node in results if node.node.name == "brz_files")
    found = {
        "start_up": events.start_up,
        "nodes": events.nodes,
        "statements": events.statements,
        "of_nodes": events.of_nodes,
        "loading": loading,
    }
    print(_FOUND + json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
