"""Read versions of the project's code from git; the repository and its working tree stay as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.core.fault import MISUSED, Fault, unknown

_PACKAGES = "dbt_packages"
# What says which packages of dbt a project has.
_DECLARED = ("packages.yml", "dependencies.yml", "package-lock.yml")
_PROFILES = "profiles.yml"


@dataclass(frozen=True)
class Commit:
    """A commit of the project's repository; `name` is what a person called it."""

    name: str
    sha: str


def find_commit(name: str) -> Commit:
    """Find a branch, tag or commit in the repository of the current folder.

    Raises:
        Fault: git is not installed, the folder is in no repository, or it has no such commit.
    """
    if _git("rev-parse", "--is-inside-work-tree").returncode:
        raise Fault(
            f"{name} is no file, and {Path.cwd()} is in no repository of git, so it names no version of the "
            "code either. Name two warehouses, as `assay diff OLD.duckdb --to NEW.duckdb`.",
            MISUSED,
        )
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        refs = _git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes")
        said = f"{name} is neither a warehouse's file nor a branch, tag or commit of this repository"
        raise Fault(
            f"{unknown(said, name, refs.stdout.decode().split())} A shallow clone has few: git fetch.",
            MISUSED,
        )
    return Commit(name, found.stdout.decode().strip())


def has_commit(sha: str) -> bool:
    """Tell whether the repository has a commit; a shallow clone lacks most."""
    return _git("cat-file", "-e", f"{sha}^{{commit}}").returncode == 0


def write_tree(commit: Commit, folder: Path) -> Path:
    """Write the files of a commit to a new folder, and return that of the project within it.

    What git does not keep is linked from the working tree: dbt's packages, where both declare the same ones,
    and `profiles.yml`.

    Raises:
        Fault: the commit has no dbt project where the working tree has it, or git fails.
    """
    top = Path(_git("rev-parse", "--show-toplevel").stdout.decode().removesuffix("\n"))
    within = _git("rev-parse", "--show-prefix").stdout.decode().removesuffix("\n")
    folder.mkdir(parents=True)
    _extract(commit, top, folder)
    project, here = folder / within, Path.cwd()
    if not (project / "dbt_project.yml").is_file():
        raise Fault(f"{commit.name} has no dbt project in {within or 'its root'}.", MISUSED)
    if not (project / _PROFILES).exists() and (here / _PROFILES).is_file():
        (project / _PROFILES).symlink_to(here / _PROFILES)
    if all(_content(here / name) == _content(project / name) for name in _DECLARED):
        _link_packages(here, project, top, folder)
    return project


def _extract(commit: Commit, top: Path, folder: Path) -> None:
    # An index of its own: the user's knows nothing of it.
    index = os.environ | {"GIT_INDEX_FILE": str(folder.with_name(f"{folder.name}.index").absolute())}
    prefix = f"--prefix={folder.absolute()}/"
    for command in (["read-tree", commit.sha], ["checkout-index", "--all", "--quiet", prefix]):
        done = _git("-C", str(top), *command, env=index)
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip()
            raise Fault(f"git cannot give the files of {commit.name}: {told}")


def _link_packages(here: Path, project: Path, top: Path, folder: Path) -> None:
    """Link each package of dbt; one that lies in the repository itself is that of the commit."""
    installed = here / _PACKAGES
    if not installed.is_dir() or (project / _PACKAGES).exists():
        return
    (project / _PACKAGES).mkdir()
    for package in installed.iterdir():
        real = package.resolve()
        own = folder / real.relative_to(top) if real.is_relative_to(top) else None
        (project / _PACKAGES / package.name).symlink_to(own if own and own.is_dir() else real)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _git(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([_program(), *arguments], env=env, capture_output=True, check=False)


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise Fault("git is not installed: install it, or name two warehouses to compare.", MISUSED)
    return program
