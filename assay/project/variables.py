"""Read a variable of dbt_project.yml, without dbt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.core.yaml_text import read_yaml


def declared_variable(name: str) -> Any:
    """Return a variable of the project in the current folder, its own before that of all; None if unset."""
    project = read_yaml(Path("dbt_project.yml").read_text(encoding="utf-8")) or {}
    variables = project.get("vars") or {}
    own: dict[str, Any] = variables.get(project.get("name")) or {}
    return own.get(name, variables.get(name))
