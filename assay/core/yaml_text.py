"""Read YAML quickly, and settings strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from assay.core.fault import MISUSED, Fault

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


def read_settings(path: Path) -> Any:
    """Return what a file of Assay's own settings says, such as `costs.yml`; None if it is empty or missing.

    Raises:
        Fault: the file is no YAML, or has a name twice, of which YAML would keep the last without a word.
    """
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        for key in _find_repeated(yaml.compose(text, _BASE), set()):
            line = key.start_mark.line + 1
            raise Fault(f"{path}, line {line}: {key.value} stands there twice. Keep one of them.", MISUSED)
        return read_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Fault(f"{path} is no YAML: {error}", MISUSED) from error


def _find_repeated(node: Any, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    """Yield the keys that their mapping has had before; `seen` has the nodes looked at until now."""
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    had: set[tuple[str, str]] = set()
    for each in node.value:
        key, value = each if isinstance(node, yaml.MappingNode) else (None, each)
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in had:
                yield key
            had.add((key.tag, key.value))
        yield from _find_repeated(value, seen)
