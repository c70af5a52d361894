"""Read YAML quickly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

# The loader written in C takes a tenth of the time; a build of PyYAML without LibYAML lacks it.
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]
    """Reads as text what is written as a date or a number and is none, such as 2025-13-01.

    PyYAML raises a plain error for it that names neither line nor value. Whoever reads the value knows both.
    """


def _or_text(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def constructed(loader: Any, node: Any) -> Any:
        try:
            return construct(loader, node)
        except ValueError:
            return node.value

    return constructed


for _kind in ("timestamp", "int", "float"):
    _tag = f"tag:yaml.org,2002:{_kind}"
    _Loader.add_constructor(_tag, _or_text(_BASE.yaml_constructors[_tag]))


def read_yaml(text: str) -> Any:
    """Return what a YAML text says; None if it is empty.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    return yaml.load(text, _Loader)
