"""Build the project into a warehouse of the test's own, and compare what it holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from dbt_here import NO_LOG, dbt_here
from typer.testing import CliRunner

from assay.cli import app
from assay.project.warehouse import connect

PROJECT = Path(__file__).parents[2]
# What goes on from the run before, and all above it; whatever else there is, each run makes anew.
WHAT_GROWS = (
    *("--select", "+config.materialized:incremental", "+config.materialized:checked"),
    "+config.materialized:history",
    "+resource_type:snapshot",
)
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
AUDIT_COLUMNS = ("loaded_at", "run_id")
#: Set by the option `--lake`: what tests share is built in a lake.
ON_LAKE = "TESTS_ON_LAKE"


@dataclass
class Warehouse:
    """A warehouse in `folder`, a file or a lake, and the landing zone it is built from."""

    folder: Path
    landing: Path
    is_lake: bool = field(default_factory=lambda: ON_LAKE in os.environ)

    def parsed_as(self, other: Warehouse) -> Warehouse:
        """Begin with what another warehouse's dbt has parsed, and return this one."""
        (self.folder / "target").mkdir(parents=True)
        shutil.copy(other.folder / "target" / "partial_parse.msgpack", self.folder / "target")
        return self

    @property
    def path(self) -> Path:
        return self.folder / ("assay.sqlite" if self.is_lake else "assay.duckdb")

    @property
    def environment(self) -> dict[str, str]:
        """What commands on it are started with; what one of them has parsed is there for the next."""
        paths = {
            "ASSAY_LANDING": self.landing,
            "ASSAY_LAKE_CATALOG" if self.is_lake else "ASSAY_WAREHOUSE": self.path,
            "DBT_TARGET_PATH": self.folder / "target",
            "DBT_LOG_PATH": self.folder / "logs",
        }
        target = {"ASSAY_TARGET": "lake"} if self.is_lake else {}
        return {name: str(path) for name, path in paths.items()} | target | NO_LOG

    def start_dbt(self, *arguments: str) -> subprocess.Popen[str]:
        """Start dbt on this warehouse in a process of its own."""
        # With what dbt is spared here: less time goes by before the first statement.
        script = "import dbt_here; from dbt.cli.main import cli; cli()"
        command = [sys.executable, "-c", script, "--no-use-colors", *arguments]
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **self.environment, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def dbt(
        self, *arguments: str, variables: Mapping[str, object] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run dbt on this warehouse to its end; artifacts stay in the warehouse's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return dbt_here(
            [*arguments, "--vars", json.dumps(variables or {})], PROJECT, {**os.environ, **self.environment}
        )

    def build(self, *arguments: str, variables: dict[str, str] | None = None) -> str:
        """Run `dbt build`, which must succeed, and return what it printed.

        Unit tests need no data: that of `built_demo` runs them.
        """
        run = self.dbt("build", *NO_UNIT_TESTS, *arguments, variables=variables)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def build_and_publish(self) -> None:
        """Run `assay build`, which must succeed."""
        with chdir(PROJECT), mock.patch.dict(os.environ, self.environment):
            run = CliRunner().invoke(app, ["build"])
        assert run.exit_code == 0, run.output

    def query(self, sql: str) -> list[tuple]:  # type: ignore[type-arg]
        with connect(self.path) as connection:
            return connection.sql(sql).fetchall()

    def hashes(self, *, without: tuple[str, ...] = ()) -> dict[str, tuple[int, int, int]]:
        """Hash the rows of everything in silver, gold and snapshots, whatever their order.

        The audit columns are left out, and the columns named in `without`.
        """
        with connect(self.path) as connection:
            columns: dict[str, list[str]] = {}
            for schema, table, column in connection.execute(
                "select table_schema, table_name, column_name from information_schema.columns "
                "where table_schema in ('silver', 'gold', 'snapshots') order by all"
            ).fetchall():
                columns.setdefault(f"{schema}.{table}", [])
                if column not in (*AUDIT_COLUMNS, *without):
                    columns[f"{schema}.{table}"].append(f'"{column}"')
            found = {}
            for relation, names in columns.items():
                row_hash = f"hash({', '.join(names)})"
                row = connection.execute(
                    f"select count(*), coalesce(bit_xor({row_hash}), 0), "
                    f"coalesce(sum({row_hash}::hugeint), 0) from {relation}"
                ).fetchone()
                assert row is not None
                found[relation] = row
            return found


def files_by_landing(landing: Path) -> list[Path]:
    """Return the files of a landing zone made of `landed_at=` folders, in the order of their arrival."""
    files = [path for path in landing.rglob("*") if path.is_file() and not path.name.startswith("_")]
    return sorted(files, key=lambda path: (path.parent.name, path.as_posix()))
