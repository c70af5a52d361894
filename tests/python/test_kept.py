"""What dbt has parsed is kept: commands that only read do without dbt until a file of the project changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from unittest import mock

import pytest
from small_project import SmallProject

from assay.project.kept import Kept
from assay.project.project import Project

_HEAVY = ("dbt", "pandas", "fastapi", "sqlglot")
_ASK = f"""
import sys
from assay.cli import app
try:
    app(sys.argv[1:])
finally:
    print([name for name in {_HEAVY} if name in sys.modules], file=sys.stderr)
"""


@contextmanager
def project_read(project: SmallProject) -> Iterator[Project]:
    """The project as a reader sees it, in this process."""
    with chdir(project.root), mock.patch.dict(os.environ, project.environment, clear=True):
        yield Project()


def heavy_imports(project: SmallProject, *command: str) -> list[str]:
    """Run a command in a process of its own, and return what it has imported that takes long."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, *command],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[str] = json.loads(done.stderr.splitlines()[-1].replace("'", '"'))
    return found


def test_readers_import_dbt_only_after_a_file_has_changed(project: SmallProject) -> None:
    for command in ("status", "runs list", "training-set list", "contracts check", "lineage"):
        assert "dbt" not in heavy_imports(project, *command.split()), command
    assert heavy_imports(project, "features", "list") == []
    [file] = (project.root / "models").rglob("fct_lines.sql")
    for change in ("\n-- another text\n", "\n-- and another\n"):
        file.write_text(file.read_text() + change)
        assert "dbt" in heavy_imports(project, "features", "list")
        assert heavy_imports(project, "features", "list") == []


def test_an_environment_variable_counts_as_a_file(project: SmallProject) -> None:
    changed = SmallProject(project.root, {"ASSAY_WAREHOUSE": "data/another.duckdb"})
    assert "dbt" in heavy_imports(changed, "features", "list")
    assert heavy_imports(changed, "features", "list") == []


@pytest.mark.parametrize("damage", ["", "{", '{"code": 1}', "[]"])
def test_what_is_kept_and_damaged_counts_as_nothing(project: SmallProject, damage: str) -> None:
    pointer = project.root / "target" / "assay_parsed.json"
    manifest = project.root / "target" / json.loads(pointer.read_text())["manifest"]
    (pointer if damage else manifest).write_text(damage)
    with project_read(project) as found:
        assert not isinstance(found._manifest, Kept)
    with project_read(project) as found:
        assert isinstance(found._manifest, Kept)


def test_what_is_kept_is_what_dbt_parses(project: SmallProject) -> None:
    with project_read(project) as kept:
        assert isinstance(kept._manifest, Kept)
        parsed = kept._parse()
        assert kept.nodes.keys() == {*parsed.nodes, *parsed.sources}
        for unique_id, node in {**parsed.nodes, **parsed.sources}.items():
            mine = kept.nodes[unique_id]
            assert mine.name == node.name
            assert mine.config.meta == node.config.meta
            assert list(mine.columns) == list(node.columns)
            assert mine.relation_name == node.relation_name
            assert mine.resource_type == node.resource_type
        assert kept.macros == set(parsed.macros)
        assert "order_line_id" in kept.compiled("fct_lines")
