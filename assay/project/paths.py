"""The folders of a dbt project, as its dbt_project.yml has them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from assay.core.places import rendered

_PROJECT = "dbt_project.yml"
_HERE = Path()


def put_project_on_path() -> None:
    """Let Python models of the project import the modules that lie beside its `dbt_project.yml`."""
    folder = str(_HERE.absolute())
    if folder not in sys.path:
        sys.path.append(folder)


def model_paths() -> list[Path]:
    """Return the folders of the models of the project in the current folder, those that are there."""
    return _model_paths(_HERE, _declared())


def all_model_paths() -> list[Path]:
    """Return these, and those of the packages that are installed: what they declare lands as well."""
    declared = _declared()
    packages = Path(declared.get("packages-install-path") or "dbt_packages")
    installed = [file.parent for file in sorted(packages.glob(f"*/{_PROJECT}"))]
    return [path for folder in (_HERE, *installed) for path in _model_paths(folder, declared)]


def _model_paths(folder: Path, root: dict[str, Any]) -> list[Path]:
    # A package sees the profile of the project that installs it.
    target = SimpleNamespace(profile_name=root.get("profile"))
    paths = _declared(folder).get("model-paths") or ["models"]
    found = [folder / rendered(str(path), target=target) for path in paths]
    return [path for path in found if path.is_dir()]


def _declared(folder: Path = _HERE) -> dict[str, Any]:
    """What a project declares; nothing, and so dbt's defaults, where its file is not there."""
    file = folder / _PROJECT
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}


def own_models() -> Path:
    """Return the folder of models and YAML that belong to no other yet: the last of the models' folders."""
    return Path(str((_declared().get("model-paths") or ["models"])[-1]))


def contract_folders(folder: Path) -> dict[Path, Path]:
    """Return the folders of contracts, each with that of the models which it is about.

    A folder `contracts/<part>` goes with the models' folder `<part>`, and is left out with it; what lies in
    `contracts` itself goes with the models that are nobody else's.
    """
    parts = {path.name: path for path in model_paths()}
    inner = {each: parts[each.name] for each in sorted(folder.glob("*/")) if each.name in parts}
    return {folder: parts.get(own_models().name, own_models()), **inner}
