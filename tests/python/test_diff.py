"""A diff builds what a change touches beside production, and says what becomes of each table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_project import SmallProject

LINES = Path("models", "own", "gold", "fct_lines.sql")


def git(project: SmallProject, *arguments: str) -> None:
    """Run git in the project's folder, whoever's machine it is."""
    names = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=project.root,
        env=project.environment | names | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def committed(project: SmallProject) -> SmallProject:
    """The small project as a repository, with what is built of its branch main."""
    (project.root / ".gitignore").write_text("/data\n/target\n/logs\n/dbt_packages\n")
    git(project, "init")
    git(project, "add", "-A")
    git(project, "commit", "-m", "begin")
    return project


def change(project: SmallProject, old: str, new: str, file: Path = LINES) -> None:
    """Replace a text in a file of the project."""
    path = project.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def diff(project: SmallProject, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a diff, and return its tables by name."""
    result = project.assay("diff", *arguments, "--json")
    assert result.exit_code == code, result.output
    return {table["name"]: table for table in json.loads(result.stdout)["tables"]}


def test_a_changed_column_is_told_by_key_and_production_stays(committed: SmallProject) -> None:
    before = committed.warehouse.read_bytes()
    change(committed, "quantity,", "(quantity + (quantity > 1)::integer)::integer as quantity,")
    tables = diff(committed, "main")
    assert list(tables) == ["gold.fct_lines", "gold.fct_days"]
    rows = tables["gold.fct_lines"]["rows"]
    assert (rows["rows_before"], rows["rows_after"]) == (4, 4)
    assert (rows["added"], rows["removed"], rows["changed"]) == (3, 3, 0)
    assert rows["no_key"] == "the table declares no key"
    assert committed.warehouse.read_bytes() == before
    assert sorted(path.name for path in committed.warehouse.parent.iterdir() if path.is_dir()) == [
        "landing",
        "published",
    ]
