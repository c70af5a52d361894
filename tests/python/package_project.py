"""A project of somebody else's that has Assay as a package, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import yaml
from dbt_here import dbt_here

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
OF_THE_PACKAGE = ("dbt_project.yml", "macros", "models", "seeds", "snapshots", "analyses", "tests/dbt")

OWN_MODELS = Path("models", "own", "monitored")
DRIFT_MODELS = [
    path.stem for path in (PROJECT / "models").rglob("mon_*drift*.sql") if "retraining" not in path.stem
]

Row = dict[str, Any]


@dataclass
class PackageProject:
    """The project in `root`; its tables come from DuckDB, not from Assay's landing zone."""

    root: Path

    @property
    def path(self) -> Path:
        return self.root / "workshop.duckdb"

    def create(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        with duckdb.connect(self.path) as connection:
            connection.execute(f"create or replace table {table} ({columns})")
            if rows:
                columns = {str(place): each for place, each in enumerate(zip(*rows, strict=True))}
                given = pyarrow.table(columns)  # noqa: F841
                connection.execute(f"insert into {table} select * from given")

    def write_model(self, name: str, sql: str) -> None:
        (self.root / "models" / f"{name}.sql").write_text(sql)

    def dbt(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run dbt to its end; where an environment is given, in a process of its own."""
        arguments = (*arguments, "--profiles-dir", str(self.root))
        variables = {
            name: value for name, value in (environment or os.environ).items() if not name.startswith("DBT_")
        }
        if environment is None:
            return dbt_here([*arguments], self.root, variables)
        command = [sys.executable, "-m", "dbt.cli.main", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=variables, capture_output=True, text=True, check=False
        )

    def build(self, *arguments: str) -> None:
        run = self.dbt("build", *arguments)
        assert run.returncode == 0, run.stdout + run.stderr

    def rows(self, sql: str) -> list[Row]:
        with duckdb.connect(self.path, read_only=True) as connection:
            relation = connection.sql(sql)
            return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


class MonitoredProject(PackageProject):
    """Assay without its example; the models that a test writes are of gold, and monitored."""

    def write_model(self, name: str, sql: str) -> None:
        (self.root / OWN_MODELS / f"{name}.sql").write_text(sql)


def make_monitored_project(root: Path) -> MonitoredProject:
    """Lay out Assay's own project, with an empty landing zone and `OWN_MODELS` for the models of a test."""
    for name in ("macros", "models/platform", "seeds/platform", "tests/dbt/platform", "packages.yml"):
        source, target = PROJECT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*__unit_tests.yml"))
        else:
            shutil.copy(source, target)
    of_tests = "models:\n  assay:\n    monitored:\n      +schema: gold\n      +materialized: table\n"
    settings = (PROJECT / "dbt_project.yml").read_text()
    (root / "dbt_project.yml").write_text(settings.replace("models:\n  assay:\n", of_tests))
    profile = (PROJECT / "profiles.yml").read_text()
    (root / "profiles.yml").write_text(profile.replace("data/assay.duckdb", "workshop.duckdb"))
    stand_in = Path("dbt_expectations")
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    (root / OWN_MODELS).mkdir(parents=True)
    (root / "data" / "landing").mkdir(parents=True)
    return MonitoredProject(root)


def make_package_project(
    root: Path,
    *,
    models: bool = True,
    monitors: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> PackageProject:
    """Lay out the project as `dbt deps` would: Assay, and the package it needs, under `dbt_packages`.

    Args:
        root: the folder to make.
        models: whether the project's own models are in it, or its sources alone.
        monitors: which of Assay's models of monitoring are built.
        settings: variables of the project.
    """
    left_out = shutil.ignore_patterns(*([] if models else ["*.sql"]))
    shutil.copytree(HERE / "package_project", root, ignore=left_out)
    _configure(root / "dbt_project.yml", monitors, settings or {})
    installed = root / "dbt_packages" / "assay"
    for name in OF_THE_PACKAGE:
        source, target = PROJECT / name, installed / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    shutil.copytree(
        PROJECT / "assay" / "stand_ins" / "dbt_expectations", root / "dbt_packages" / "dbt_expectations"
    )
    return PackageProject(root)


def _configure(project: Path, monitors: Sequence[str], settings: Mapping[str, Any]) -> None:
    declared = yaml.safe_load(project.read_text())
    enabled = {name: {"+enabled": True} for name in monitors}
    declared["models"]["assay"] |= {"monitoring": enabled, "gold": {"monitoring": enabled}}
    project.write_text(yaml.safe_dump(declared | {"vars": dict(settings)}))
