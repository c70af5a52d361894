"""The folders of a dbt project, as its dbt_project.yml has them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from jinja2 import Environment

_PROJECT = Path("dbt_project.yml")


def model_paths() -> list[Path]:
    """Return the folders of the models of the project in the current folder, those that are there.

    Their names may use `env_var` and `target.profile_name`, as dbt allows: all other Jinja is dbt's alone.
    """
    declared = _declared()
    environment = Environment()
    names = {
        "env_var": lambda name, default=None: os.environ.get(name, default),
        "target": SimpleNamespace(profile_name=declared.get("profile")),
    }
    paths = declared.get("model-paths") or ["models"]
    rendered = [Path(environment.from_string(str(path)).render(names)) for path in paths]
    return [path for path in rendered if path.is_dir()]


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


def _declared() -> dict[str, Any]:
    """What the project declares; nothing, and so dbt's defaults, where its file is not there."""
    return yaml.safe_load(_PROJECT.read_text(encoding="utf-8")) or {} if _PROJECT.is_file() else {}
