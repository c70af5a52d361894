"""Read what dbt's parse of a project follows from, as hashes: its files, versions, environment variables."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.encryption import BEFORE, COMMAND, VARIABLE
from assay.core.places import ALERTS, COSTS, TARGET
from assay.core.yaml_text import read_yaml
from assay.project.experiments import EXPERIMENTS

_NODE_PATHS = {
    "model": ["models"],
    "seed": ["seeds"],
    "snapshot": ["snapshots"],
    "test": ["tests"],
    "analysis": ["analyses"],
    "function": ["functions"],
    "docs": [],
}
_CODE = (".sql", ".py", ".yml", ".yaml", ".csv", ".md")
# dbt does not read files of such names: editors put them beside those that they have open.
_NOT_CODE = (".", "#", "~")
# The macros of generic tests lie among the tests, and any node may use them.
_GENERIC = "generic"
# Whoever reads an environment variable writes its name, in the call or elsewhere.
_QUOTED = re.compile(rb"['\"]([A-Za-z_]\w*)['\"]")
# The name of a variable may also be made by Jinja. Then any but those of the shell's own may be meant.
_COMPOSED = re.compile(rb"env_var\(\s*[^'\"\s]")
_OF_SHELL = re.compile("_|OLDPWD|PWD|SHLVL")
# How and where a build tells of itself, and a key that is changed now and then; what it builds is the same.
_OF_NO_EFFECT = (
    *("ASSAY_LOG_FORMAT", TARGET, "ASSAY_EMBEDDING_KEY"),
    *(VARIABLE, COMMAND, BEFORE),
)
# Macros ask for the engine, and tables are the same wherever they are computed.
_WHERE_COMPUTED = ("ASSAY_ENGINE", "ASSAY_SPARK_FROM")


@dataclass(frozen=True)
class Code:
    """The hashes of a project.

    `settings` covers what any node may depend on: dbt_project.yml, profiles.yml, macros, packages, Python
    modules, installed versions, environment variables. `nodes` covers the files of single nodes: models,
    seeds, snapshots and tests, and the experiments.
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
            for file in _files(folder, declared.get(f"{kind}-paths") or default):
                names |= _add(rest if kind == "test" and _GENERIC in file.parts else nodes, file)
        for file in _files(folder, [*(declared.get("macro-paths") or ["macros"]), "contracts"]):
            names |= _add(rest, file)
        for file in sorted({*folder.glob("*.yml"), *folder.glob(".dbtignore")} - {ALERTS, COSTS}):
            # The plugin writes experiments into the nodes that judge them and that their metrics are made of.
            names |= _add(nodes if file == EXPERIMENTS else rest, file)
    own = own_modules()
    for file in [*_profiles(), *own]:
        names |= _add(rest, file)
    rest.update(_versions())
    for file in _modules_of_assay(but=own):
        _add_content(rest, file)
    # Values of variables may be secret: they go into the hash alone.
    known = {name for name in os.environ if name.startswith(("ASSAY_", "DBT_"))} - {*_OF_NO_EFFECT}
    for name in sorted((known | {name for name in os.environ if name in names}) - {*_WHERE_COMPUTED}):
        rest.update(f"{name}={os.environ[name]}\n".encode())
    return Code(rest.hexdigest(), nodes.hexdigest())


def _installed_packages() -> list[Path]:
    folder = Path(_yaml(Path("dbt_project.yml")).get("packages-install-path") or "dbt_packages")
    return sorted(file.parent for file in folder.glob("*/dbt_project.yml"))


def read_python() -> str:
    """Return a hash of what a process imports once: Assay, the project's own modules, installed packages."""
    digest, own = sha256(_versions()), own_modules()
    for file in [*own, *_modules_of_assay(but=own)]:
        _add_content(digest, file)
    return digest.hexdigest()


def own_modules() -> list[Path]:
    """Return the modules that Python models may import: beside `dbt_project.yml`, and where profiles say."""
    declared = _yaml(Path("dbt_project.yml"))
    of_nodes = {
        each.parts[0]
        for kind, default in _NODE_PATHS.items()
        for each in _folders(Path(), declared.get(f"{kind}-paths") or default)
        if each.parts
    }
    folders = {file.parent for file in Path().glob("*/*.py")}
    folders = {each for each in folders if each.name not in of_nodes and each.name[0] != "."}
    folders |= {path for profiles in _profiles() for path in _module_paths(profiles)}
    return sorted([*Path().glob("*.py"), *(file for folder in folders for file in folder.rglob("*.py"))])


def _profiles() -> list[Path]:
    beside = Path(os.environ.get("DBT_PROFILES_DIR") or "", "profiles.yml")
    return [file for file in (beside, Path.home() / ".dbt" / "profiles.yml") if file.is_file()]


def _module_paths(profiles: Path) -> list[Path]:
    """Return the folders that profiles of dbt-duckdb add to those that Python imports from."""
    if "module_paths" not in profiles.read_text(encoding="utf-8"):
        return []
    outputs = [each.get("outputs") or {} for each in _yaml(profiles).values() if isinstance(each, dict)]
    targets = [target for each in outputs for target in each.values() if isinstance(target, dict)]
    return [Path(str(path)) for target in targets for path in target.get("module_paths") or []]


def _modules_of_assay(*, but: Iterable[Path]) -> list[Path]:
    """Return Assay's modules without those that are read already: the project may be Assay's own."""
    read = {os.path.realpath(each) for each in but}
    folder = Path(__file__).resolve().parents[1]
    return sorted(each for each in folder.rglob("*.py") if str(each) not in read)


def _versions() -> bytes:
    """Return Python's version, and those of installed packages as the folders of their metadata tell them."""
    places = {Path(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages")}
    installed = sorted({each.name for place in places for each in place.glob("*.dist-info")})
    return f"{sys.version} {installed}\n".encode()


def _folders(folder: Path, paths: Iterable[Any]) -> list[Path]:
    """Return declared folders; of a path that is Jinja, the one above all that it may name."""
    return [folder / path for path in sorted({str(each).partition("{{")[0].rstrip("/") for each in paths})]


def _files(folder: Path, paths: Iterable[Any]) -> Iterator[Path]:
    """Yield the files of code in declared folders."""
    for path in _folders(folder, paths):
        for place, folders, names in os.walk(path):
            folders.sort()
            yield from (
                Path(place, name)
                for name in sorted(names)
                if name.endswith(_CODE) and not name.startswith(_NOT_CODE)
            )


def _add(digest: Any, file: Path) -> set[str]:
    """Add a file to a digest; return the names in it that may be of environment variables."""
    content = _add_content(digest, file)
    if file.suffix == ".csv":
        return set()
    if _COMPOSED.search(content):
        return {name for name in os.environ if not _OF_SHELL.fullmatch(name)}
    # In code, `_` is what words are joined with; in a shell, the name of the last command.
    return {name.decode() for name in _QUOTED.findall(content)} - {"_"}


def _add_content(digest: Any, file: Path) -> bytes:
    """Add a file to a digest; return its content."""
    content = file.read_bytes()
    digest.update(f"{file} {len(content)}\n".encode())
    digest.update(content)
    return content


def _yaml(file: Path) -> dict[str, Any]:
    return (read_yaml(file.read_text(encoding="utf-8")) if file.is_file() else None) or {}
