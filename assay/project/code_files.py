"""Read what dbt's parse of a project follows from, as hashes: its files, versions, environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assay.core.yaml_text import read_yaml

_PACKAGES = ("dbt-core", "dbt-duckdb", "dbt-adapters", "duckdb", "pyarrow")
_NODE_PATHS = {
    "model": "models",
    "seed": "seeds",
    "snapshot": "snapshots",
    "test": "tests",
    "analysis": "analyses",
}
_CODE = (".sql", ".py", ".yml", ".yaml", ".csv", ".md")
_ENV_VAR = re.compile(rb"env_var\(\s*['\"](\w+)")
# How a build tells of itself; what it builds is the same.
_ABOUT_OUTPUT = ("ASSAY_LOG_FORMAT",)


@dataclass(frozen=True)
class Code:
    """The hashes of a project.

    `settings` covers what any node may depend on: dbt_project.yml, profiles.yml, macros, packages, Python
    modules, versions, environment variables. `nodes` covers the files of single nodes: models, seeds,
    snapshots and tests.
    """

    settings: str
    nodes: str


def read_code() -> Code:
    """Read the project in the current folder.

    Raises:
        OSError: a file of the project cannot be read.
    """
    nodes, rest = sha256(), sha256()
    names = set()
    for folder in (Path(), *_installed_packages()):
        declared = _yaml(folder / "dbt_project.yml")
        for kind, default in _NODE_PATHS.items():
            for file in _files(folder, declared.get(f"{kind}-paths") or [default]):
                names |= _add(nodes, file)
        for file in _files(folder, [*(declared.get("macro-paths") or ["macros"]), "contracts"]):
            names |= _add(rest, file)
        for file in sorted(folder.glob("*.yml")):
            names |= _add(rest, file)
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or "", "profiles.yml")
    for file in (profiles, Path.home() / ".dbt" / "profiles.yml"):
        if file.is_file():
            names |= _add(rest, file)
    for package in _python_packages():
        for file in sorted(package.rglob("*.py")):
            _add(rest, file)
    for name in _PACKAGES:
        rest.update(f"{name} {_version(name)}\n".encode())
    # Values of variables may be secret: they go into the hash alone.
    wanted = names | {name for name in os.environ if name.startswith(("ASSAY_", "DBT_"))}
    for name in sorted(wanted - set(_ABOUT_OUTPUT)):
        rest.update(f"{name}={os.environ.get(name)}\n".encode())
    return Code(rest.hexdigest(), nodes.hexdigest())


def _installed_packages() -> list[Path]:
    folder = Path(_yaml(Path("dbt_project.yml")).get("packages-install-path") or "dbt_packages")
    return sorted(file.parent for file in folder.glob("*/dbt_project.yml"))


def _python_packages() -> list[Path]:
    """Return the Python packages of which Python models may import something: Assay's, the project's own."""
    own = {file.parent.resolve() for file in Path().glob("*/__init__.py")}
    return sorted(own | {Path(__file__).resolve().parents[1]})


def _files(folder: Path, paths: Iterable[Any]) -> Iterator[Path]:
    """Yield the files in declared folders; of a path that is Jinja, those of all folders it may name."""
    for path in sorted({str(each).partition("{{")[0].rstrip("/") for each in paths}):
        for place, folders, names in os.walk(folder / path):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names) if name.endswith(_CODE))


def _add(digest: Any, file: Path) -> set[str]:
    """Add a file to a digest; return the environment variables that it reads by dbt's `env_var`."""
    content = file.read_bytes()
    digest.update(f"{file} {len(content)}\n".encode())
    digest.update(content)
    return {name.decode() for name in _ENV_VAR.findall(content)}


def _yaml(file: Path) -> dict[str, Any]:
    return (read_yaml(file.read_text(encoding="utf-8")) if file.is_file() else None) or {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
