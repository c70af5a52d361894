"""Find the folders of a dbt project that its dbt_project.yml names."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assay.core.places import rendered
from assay.core.yaml_text import read_yaml

_PROJECT = "dbt_project.yml"
_HERE = Path()


def put_project_on_path() -> None:
    """Let Python models of the project import the modules that lie beside its `dbt_project.yml`."""
    folder = str(_HERE.absolute())
    if folder not in sys.path:
        sys.path.append(folder)


def model_paths() -> list[Path]:
    """Return the existing model folders of the project in the current folder."""
    return _model_paths(_HERE, _declared())


def all_model_paths() -> list[Path]:
    """Return the model folders of the project and its installed packages: both may declare landing tables."""
    declared = _declared()
    packages = Path(declared.get("packages-install-path") or "dbt_packages")
    installed = [file.parent for file in sorted(packages.glob(f"*/{_PROJECT}"))]
    return [path for folder in (_HERE, *installed) for path in _model_paths(folder, declared)]


def _model_paths(folder: Path, root: dict[str, Any]) -> list[Path]:
    # The Jinja of a package sees the profile of the project that installs it.
    target = SimpleNamespace(profile_name=root.get("profile"))
    paths = _declared(folder).get("model-paths") or ["models"]
    found = [folder / rendered(str(path), target=target) for path in paths]
    return [path for path in found if path.is_dir()]


def _declared(folder: Path = _HERE) -> dict[str, Any]:
    """Read a project's dbt_project.yml; empty, which means dbt's defaults, if there is no such file."""
    file = folder / _PROJECT
    return read_yaml(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}


def own_models() -> Path:
    """Return the folder for new models and YAML of the user: the last of the model folders."""
    return Path(str((_declared().get("model-paths") or ["models"])[-1]))


def contract_folders(folder: Path) -> dict[Path, Path]:
    """Return the folders of contracts, each with the folder of its models.

    Contracts in `contracts/<part>` belong to the model folder `<part>`, and are left out if that folder is.
    Contracts in `contracts` itself belong to the user's own models.
    """
    parts = {path.name: path for path in model_paths()}
    inner = {each: parts[each.name] for each in sorted(folder.glob("*/")) if each.name in parts}
    return {folder: parts.get(own_models().name, own_models()), **inner}
