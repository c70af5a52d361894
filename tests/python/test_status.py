"""`assay status`, before and after builds; what it tells during one is tested with the lock."""

from __future__ import annotations

import re
from pathlib import Path

from small_project import SmallProject


def test_before_the_first_build_it_says_how_to_build(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").touch()
    status = SmallProject(tmp_path).assay("status")
    assert (status.exit_code, status.stderr) == (0, "")
    assert status.stdout == "Nothing is built yet in data. To build: assay build\n"
    assert [path.name for path in tmp_path.iterdir()] == ["dbt_project.yml"]


def test_after_a_build_it_says_what_is_there(built_project: SmallProject) -> None:
    status = built_project.assay("status")
    assert status.exit_code == 0
    assert re.search(r"published +\d+ s +2 +5 +[1-9]\d* +0 +build", status.stdout), status.stdout
    assert re.search(r"erp/order_lines\W+2\W+2\W+5\W+5\W+4\W+1\W+yes", status.stdout)
    assert re.search(
        r"Published  data/published/assay.duckdb at \S+ \S+ UTC: 2 tables, 6 rows, by run \S+", status.stdout
    )


def test_a_published_file_that_is_gone_is_told(project: SmallProject) -> None:
    project.published.unlink()
    assert "That file is gone" in project.assay("status").stdout
