"""A change is tried by building what it concerns, beside a warehouse that is only read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import duckdb
from small_project import PROJECT, SmallProject

SLIM = "build --target ci --select state:modified+ --defer --state state"


def built_slim(project: SmallProject) -> list[str]:
    """Build what differs from `state`, and return the names of what was run."""
    run = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", *SLIM.split()],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    results = json.loads((project.root / "target" / "run_results.json").read_text())["results"]
    return sorted(each["unique_id"].split(".")[2] for each in results if "operation" not in each["unique_id"])


def test_the_guide_has_this_command() -> None:
    assert f"\ndbt {SLIM}\n" in (PROJECT / "docs" / "review.md").read_text()


def test_only_what_a_change_concerns_is_built_and_all_else_is_read_from_the_warehouse(
    project: SmallProject,
) -> None:
    (project.root / "state").mkdir()
    shutil.copy(project.root / "target" / "manifest.json", project.root / "state")
    changed = project.root / "models" / "own" / "gold" / "fct_lines.sql"
    changed.write_text(changed.read_text().replace("quantity,", "(quantity + 1)::integer as quantity,"))
    before = project.warehouse.read_bytes()
    assert built_slim(project) == ["fct_days", "fct_lines", "quantities_are_plausible"]
    assert project.warehouse.read_bytes() == before
    quantities = project.query("select quantity from gold.fct_lines order by all")
    with duckdb.connect(project.root / "data" / "ci.duckdb", read_only=True) as ci:
        built = ci.sql("select table_name from duckdb_tables() where schema_name in ('silver', 'gold')")
        assert built.fetchall() == [("fct_lines",)]
        found = ci.sql("select quantity from gold.fct_lines order by all").fetchall()
    assert found == [(quantity + 1,) for (quantity,) in quantities]
    assert len(found) == 4
