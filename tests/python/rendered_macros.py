"""Macros of the package as text, without dbt: for those that need nothing of a project."""

from __future__ import annotations

import re
from functools import cache
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
        self._environment = Environment(extensions=["jinja2.ext.do"])
        self._environment.globals.update(
            assay=self, modules=SimpleNamespace(re=re), **{"return": lambda value: value}, **of_dbt
        )

    def __getattr__(self, name: str) -> Any:
        # Compiled when it is asked for: a run of a few tests needs a few of the files.
        # Names that begin with an underscore are not seen from outside.
        text = _files()[name].read_text().replace("{% macro ", "{% macro its_")
        self.__dict__ |= {
            macro.removeprefix("its_"): each
            for macro, each in vars(self._environment.from_string(text).module).items()
            if macro.startswith("its_")
        }
        return self.__dict__[name]


@cache
def _files() -> dict[str, Path]:
    """Return the file of each macro."""
    return {
        name: path
        for path in sorted(MACROS.glob("*/*.sql"))
        if "{% materialization" not in (text := path.read_text())
        for name in re.findall(r"{% macro (\w+)", text)
    }
