"""A small dbt project made of parts of this one, quick enough to be built many times.

It has the bronze layer, the silver of order lines, and a gold of its own: a table under contract, and a view.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import duckdb
from dbt_here import NO_LOG, dbt_here
from typer.testing import CliRunner, Result
from warehouse import ON_LAKE

from assay.build.inputs import identity, read_landed
from assay.build.state import read_state, write_state
from assay.cli import app
from assay.project.warehouse import attach

PROJECT = Path(__file__).parents[2]
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
MOST_PIECES = 1000

_FCT_LINES = """
select order_line_id, product_id, quantity, event_at, available_at
from {{ ref('slv_order_lines') }}
"""
_FCT_DAYS = """
{{ config(materialized='view', contract={'enforced': false}) }}
select event_at::date as order_date, sum(quantity)::bigint as pieces
from {{ ref('fct_lines') }}
group by all
"""
_MODELS = f"""
models:
  - name: fct_lines
    description: Order lines.
    config:
      persist_docs: {{relation: true, columns: true}}
    columns:
      - {{name: order_line_id, data_type: varchar, description: Hash of the line.}}
      - {{name: product_id, data_type: varchar}}
      - name: quantity
        data_type: integer
        data_tests:
          - dbt_expectations.expect_column_values_to_be_between:
              name: quantities_are_plausible
              arguments: {{max_value: {MOST_PIECES}}}
      - {{name: event_at, data_type: timestamp}}
      - {{name: available_at, data_type: timestamp}}
"""


@dataclass(frozen=True)
class SmallProject:
    """The root of the project; landing zone and warehouse are where they are by default.

    `settings` are environment variables of its commands.
    """

    root: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def landing(self) -> Path:
        return self.root / "data" / "landing"

    @property
    def warehouse(self) -> Path:
        return self.root / "data" / ("assay.sqlite" if ON_LAKE in os.environ else "assay.duckdb")

    @property
    def published(self) -> Path:
        return self.root / "data" / "published" / "assay.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command, whatever this process was started with."""
        theirs = ("ASSAY_", "DBT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        # The package under test, also where another checkout is installed.
        on_lake = {"ASSAY_TARGET": "lake", "ASSAY_LAKE_CATALOG": "data/assay.sqlite"}
        target = on_lake if ON_LAKE in os.environ else {}
        return {**kept, **NO_LOG, "PYTHONPATH": str(PROJECT), "COLUMNS": "100", **target, **self.settings}

    def assay(self, *arguments: str) -> Result:
        """Run `assay` to its end within this process, which spares it the second that importing dbt takes."""
        with chdir(self.root), mock.patch.dict(os.environ, self.environment, clear=True):
            result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `assay` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from assay.cli import app; app()", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dbt itself to its end."""
        return dbt_here([*arguments], self.root, self.environment)

    def land(self, day: int, *quantities: int | str, name: str = "lines.csv") -> Path:
        """Land a file of order lines on a day of January 2025, a line for each quantity."""
        path = self.landing / "erp" / "order_lines" / f"landed_at=2025-01-{day:02}T02-00-00" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{day:02}{number:04},P{number},a thing,{quantity},2025-01-{day - 1:02} 08:00:00,1.50,7,France\n"
            for number, quantity in enumerate(quantities)
        ]
        path.write_text(HEADER + "".join(lines))
        return path

    def query(self, sql: str, *, file: Path | None = None) -> list[tuple]:  # type: ignore[type-arg]
        """Run SQL on the warehouse or another file; `gold.x` is schema gold, whatever the file's name."""
        with duckdb.connect() as connection:
            attach(connection, file or self.warehouse, "opened")
            connection.execute("use opened")
            return connection.sql(sql).fetchall()

    def runs(self) -> list[tuple]:  # type: ignore[type-arg]
        """The status and message of every run, in the order they began."""
        return self.query(
            "select status, message from runs order by started_at", file=self.root / "data" / "ops.duckdb"
        )


def make_small_project(root: Path) -> SmallProject:
    """Write the project to `root`, with two days of order lines landed and nothing built."""
    for folder in (
        *("macros", "seeds/platform", "tests/dbt/platform"),
        *("models/platform/bronze", "models/example/bronze", "models/example/silver/erp"),
    ):
        others = shutil.ignore_patterns("*__unit_tests.yml", "docs")
        shutil.copytree(PROJECT / folder, root / folder, ignore=others)
    for docs in (PROJECT / "models").rglob("*__docs.md"):
        target = root / docs.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(docs, target)
    rules = Path("models", "platform", "silver")
    for name in ("slv_rules.sql", "_silver__models.yml"):
        shutil.copy(PROJECT / rules / name, root / rules / name)
    for name in ("dbt_project.yml", "profiles.yml", "packages.yml"):
        shutil.copy(PROJECT / name, root / name)
    stand_in = Path("dbt_expectations")
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    gold = root / "models" / "own" / "gold"
    gold.mkdir(parents=True, exist_ok=True)
    (gold / "fct_lines.sql").write_text(_FCT_LINES)
    (gold / "fct_days.sql").write_text(_FCT_DAYS)
    (gold / "_gold__models.yml").write_text(_MODELS)
    _without_promises(root / "models" / "example" / "silver" / "erp" / "_erp__models.yml")
    project = SmallProject(root)
    project.land(2, 1, 2, 3)
    project.land(3, 4, "many")
    return project


def make_built_project(root: Path) -> SmallProject:
    """Write the project to `root`, build it and publish it."""
    project = make_small_project(root)
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout + build.stderr
    return project


def copy_as_built(built: SmallProject, root: Path) -> SmallProject:
    """Copy a project to `root`, whose next build then builds what has changed, as one of the original would.

    Of any other copy it builds everything: a file of another inode may have been replaced.

    Args:
        built: a project, or a copy of one, in which nothing has landed since its last build.
        root: the folder to make.
    """
    project = SmallProject(Path(shutil.copytree(built.root, root)), dict(built.settings))
    state = read_state(project.warehouse)
    assert state
    found = {name: identity(getattr(project, name)) or "" for name in ("warehouse", "published")}
    for name, of_copy in found.items():
        size_and_time = of_copy.rpartition(":")[0]
        assert size_and_time
        assert str(getattr(state, name)).rpartition(":")[0] == size_and_time
    landed = read_landed(project.landing)
    assert landed.keys() == state.inputs.landed.keys()
    write_state(project.warehouse, replace(state, inputs=replace(state.inputs, landed=landed), **found))
    return project


def _without_promises(models: Path) -> None:
    """Of five lines one is wrong by intention, which no source would promise."""
    text, found = re.subn(r" +- assay.source_keeps_its_promises:\n( {10}.*\n)+", "", models.read_text())
    assert found == 1
    models.write_text(text)
