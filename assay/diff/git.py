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
# By these, git tells its hooks which repository they are of, relative to another folder.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
# What people have git do whenever it writes an index or files is not meant for these.
_QUIET = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.splitIndex=false")


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
    asked = _git("rev-parse", "--is-inside-work-tree")
    if asked.returncode:
        here = Path.cwd()
        if any((each / ".git").exists() for each in (here, *here.parents)):
            raise Fault(f"git cannot read the repository of {here}: {_told(asked)}", MISUSED)
        raise Fault(
            f"{name} is no file, and {here} is in no repository of git, so it names no version of the "
            "code either. Name two warehouses, as `assay diff OLD.duckdb --to NEW.duckdb`.",
            MISUSED,
        )
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        refs = _git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes")
        said = f"{name} is neither a warehouse's file nor a branch, tag or commit of this repository"
        names = os.fsdecode(refs.stdout).split()
        raise Fault(
            f"{unknown(said, name, names)} A shallow clone has few: git fetch.",
            MISUSED,
        )
    return Commit(name, found.stdout.decode().strip())


def has_commit(sha: str, folder: Path = Path()) -> bool:
    """Tell whether the repository of a folder has a commit; a shallow clone lacks most."""
    return _git("-C", str(folder), "cat-file", "-e", f"{sha}^{{commit}}").returncode == 0


def write_tree(commit: Commit, folder: Path) -> Path:
    """Write the files of a commit to a new folder, and return that of the project within it.

    What git does not keep is linked from the working tree: dbt's packages, where both declare the same ones,
    and `profiles.yml`. A submodule that the working tree has, has the files that the commit says.

    Raises:
        Fault: the commit has no dbt project where the working tree has it, or git fails.
    """
    top = Path(os.fsdecode(_git("rev-parse", "--show-toplevel").stdout).removesuffix("\n"))
    within = os.fsdecode(_git("rev-parse", "--show-prefix").stdout).removesuffix("\n")
    folder.mkdir(parents=True)
    _extract(commit, top, folder, folder.with_name(f"{folder.name}.index").absolute())
    project, here = folder / within, Path.cwd()
    if not (project / "dbt_project.yml").is_file():
        raise Fault(f"{commit.name} has no dbt project in {within or 'its root'}.", MISUSED)
    if not (project / _PROFILES).exists() and (here / _PROFILES).is_file():
        (project / _PROFILES).symlink_to(here / _PROFILES)
    if all(_content(here / name) == _content(project / name) for name in _DECLARED):
        _link_packages(here, project, top, folder)
    return project


def _extract(commit: Commit, top: Path, folder: Path, index: Path) -> None:
    """Have git write the files of a commit of the repository in `top`, and those of its submodules."""
    # With a working tree and an index of its own, git takes attributes from the commit, and the user's stay.
    options = [part for each in _QUIET for part in ("-c", each)]
    place = ["-C", str(top), f"--work-tree={folder.absolute()}"]
    write = ["read-tree", "-u", "--reset", "--no-sparse-checkout", "--no-recurse-submodules", commit.sha]
    done = _git(*options, *place, *write, env={"GIT_INDEX_FILE": str(index)})
    if done.returncode:
        raise Fault(f"git cannot give the files of {commit.name}: {_told(done)}")
    index.unlink()
    if not (folder / ".gitmodules").is_file():
        return
    listed = _git("-C", str(top), "ls-tree", "-r", "-z", "--full-tree", commit.sha).stdout.split(b"\0")
    for about, _, name in (each.partition(b"\t") for each in listed):
        if not about.startswith(b"160000 "):
            continue
        path, sha = os.fsdecode(name), about.split()[2].decode()
        if not (top / path / ".git").exists():
            # Nobody has fetched it: its folder is as empty as in the working tree.
            continue
        if not has_commit(sha, top / path):
            raise Fault(
                f"The submodule {path} lacks commit {sha[:12]}, which {commit.name} has of it. To get it: "
                f"git -C {path} fetch",
                MISUSED,
            )
        _extract(Commit(f"{path} of {commit.name}", sha), top / path, folder / path, index)


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
    """Run git on the repository of the folder that it is told, whoever has started this process."""
    own = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(
        [_program(), *arguments], env=own | dict(env or {}), capture_output=True, check=False
    )


def _told(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode(errors="replace").strip()


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise Fault("git is not installed: install it, or name two warehouses to compare.", MISUSED)
    return program
