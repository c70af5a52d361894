"""Macros of the package as text, without dbt: for those that need nothing of a project."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment

MACROS = Path(__file__).parents[2] / "macros"


class Macros:
    """Call a macro by its name, as `assay.<name>` does in dbt, and get what it renders.

    `of_dbt` are names that dbt gives to macros, such as `adapter`.
    """

    def __init__(self, **of_dbt: Any) -> None:
        self._found: dict[str, Any] = {}
        environment = Environment(extensions=["jinja2.ext.do"])
        environment.globals.update(
            assay=self, modules=SimpleNamespace(re=re), **{"return": lambda value: value}, **of_dbt
        )
        for path in sorted(MACROS.glob("*/*.sql")):
            if "{% materialization" not in (text := path.read_text()):
                # Names that begin with an underscore are not seen from outside.
                text = text.replace("{% macro ", "{% macro its_")
                self._found |= vars(environment.from_string(text).module)

    def __getattr__(self, name: str) -> Any:
        return self._found[f"its_{name}"]
