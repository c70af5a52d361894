"""A project as a repository of git, and what tests of reviews do with it all the time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from small_project import SmallProject

GOLD = Path("models", "own", "gold")
LINES = GOLD / "fct_lines.sql"
YAML = GOLD / "_gold__models.yml"


def git(project: SmallProject, *arguments: str, folder: Path | None = None) -> str:
    """Run git in the project's folder or another one, whoever's machine it is, and return what it prints."""
    names = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=folder or project.root,
        env=project.environment | names | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def commit_all(project: SmallProject, *, top: Path | None = None) -> SmallProject:
    """Make the project a repository whose branch main has its files; or a folder above it.

    Args:
        project: to commit, without what is built.
        top: the root of the repository.
    """
    top = top or project.root
    (top / ".gitignore").write_text("data/\ntarget/\nlogs/\ndbt_packages/\n")
    git(project, "init", folder=top)
    git(project, "add", "-A", folder=top)
    git(project, "commit", "-m", "begin", folder=top)
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
