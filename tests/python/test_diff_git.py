"""A review has the files of a commit as git would check them out, and leaves the repository as it is."""

from __future__ import annotations

import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

from assay.core.fault import Fault
from assay.diff.git import find_commit, write_tree

_AS = [part for each in ("user.name=a", "user.email=a@b.c") for part in ("-c", each)]


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(folder), *_AS, *arguments], check=True, capture_output=True, text=True
    )
    return ran.stdout


def commit(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "files")


def written(project: Path, name: str, folder: Path) -> dict[str, bytes]:
    """Return the files of a commit that a review in a project's folder gets, by their names there."""
    with chdir(project):
        root = write_tree(find_commit(name), folder)
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a project in its folder `own`; the last commit changes what attributes say."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    top = tmp_path / "a repository\nof two lines"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    files = {
        "own/dbt_project.yml": "name: own\n",
        "own/seeds/days.csv": "day\n1\n",
        "other/a.txt": "text\n",
    }
    commit(top, files | {".gitattributes": "*.csv text eol=crlf\n*.yml export-ignore\n"})
    commit(top, {".gitattributes": ""})
    return top


def test_attributes_are_those_of_the_commit(repository: Path, tmp_path: Path) -> None:
    before = written(repository / "own", "main~1", tmp_path / "before")
    assert before == {"dbt_project.yml": b"name: own\n", "seeds/days.csv": b"day\r\n1\r\n"}
    assert written(repository / "own", "main", tmp_path / "after")["seeds/days.csv"] == b"day\n1\n"


def test_a_sparse_checkout_has_all_files(repository: Path, tmp_path: Path) -> None:
    git(repository, "sparse-checkout", "set", "own")
    git(repository, "config", "index.sparse", "true")
    assert not (repository / "other").exists()
    written(repository / "own", "main", tmp_path / "base")
    assert (tmp_path / "base" / "other" / "a.txt").read_text() == "text\n"
    assert not (repository / "other").exists()


def test_neither_hooks_run_nor_is_anything_left_in_the_repository(repository: Path, tmp_path: Path) -> None:
    for name in ("post-checkout", "post-index-change"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/{name}'\n")
        hook.chmod(0o755)
    git(repository, "config", "core.splitIndex", "true")
    there = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    written(repository / "own", "main~1", tmp_path / "base")
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == there
    assert sorted(path.name for path in tmp_path.iterdir()) == [repository.name, "base"]


@pytest.mark.parametrize("git_dir", [".git", "{top}/.git"])
def test_within_a_hook_of_git_the_project_is_found_where_it_lies(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_dir: str
) -> None:
    """Git names its repository to hooks in the environment, as seen from another folder."""
    index = (repository / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", git_dir.format(top=repository))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / ".git" / "index"))
    assert "dbt_project.yml" in written(repository / "own", "main~1", tmp_path / "base")
    assert (repository / ".git" / "index").read_bytes() == index


def test_a_submodule_has_the_files_that_the_commit_says(repository: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    git(shared, "init", "-q", "-b", "main")
    commit(shared, {"rate.sql": "first\n"})
    add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"]
    git(repository, *add, str(shared), "own/macros/shared")
    git(repository, *add, str(shared), "own/macros/unfetched")
    git(repository, "config", "submodule.recurse", "true")
    commit(repository, {})
    git(repository, "submodule", "--quiet", "deinit", "-f", "own/macros/unfetched")
    here = repository / "own" / "macros" / "shared"
    commit(here, {"rate.sql": "second\n"})
    commit(repository, {})
    found = written(repository / "own", "main~1", tmp_path / "base")
    assert {name: text for name, text in found.items() if "macros" in name} == {
        "macros/shared/rate.sql": b"first\n"
    }
    assert written(repository / "own", "main", tmp_path / "head")["macros/shared/rate.sql"] == b"second\n"
    git(here, "reset", "-q", "--hard", "main~1")
    git(here, "reflog", "expire", "--expire=all", "--all")
    git(here, "gc", "-q", "--prune=now")
    with pytest.raises(Fault, match="submodule own/macros/shared lacks commit"):
        written(repository / "own", "main", tmp_path / "again")


def test_a_repository_that_git_cannot_read_is_told_as_git_tells_it(repository: Path, tmp_path: Path) -> None:
    (repository / ".git" / "config").write_text("[broken\n")
    with pytest.raises(Fault, match=r"git cannot read the repository of (.|\n)*bad config"):
        written(repository / "own", "main", tmp_path / "base")


def test_filters_as_of_large_files_run_and_one_that_fails_is_told(repository: Path, tmp_path: Path) -> None:
    commit(repository, {".gitattributes": "*.txt filter=caps\n"})
    for name, value in (("smudge", "tr a-z A-Z"), ("required", "true")):
        git(repository, "config", f"filter.caps.{name}", value)
    written(repository / "own", "main", tmp_path / "base")
    assert (tmp_path / "base" / "other" / "a.txt").read_text() == "TEXT\n"
    git(repository, "config", "filter.caps.smudge", "false")
    with pytest.raises(Fault, match=r"git cannot give the files of main: (.|\n)*other/a.txt"):
        written(repository / "own", "main", tmp_path / "again")


def test_a_linked_working_tree_is_of_the_same_repository(repository: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(repository, "worktree", "add", "-q", "-b", "other", str(linked), "main~1")
    assert written(linked / "own", "main", tmp_path / "base")["seeds/days.csv"] == b"day\n1\n"
    assert git(linked, "status", "--short") == ""
