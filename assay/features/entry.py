"""Complete the YAML entry of a model; what a person wrote keeps each character."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from assay.core.fault import Fault
from assay.core.sql import needs_quotes
from assay.features.columns import ModelColumn, likely_keys
from assay.project.personal import PII
from assay.project.views import VALIDITY

_INDENT = 2
_KNOWN_WHEN_WRITTEN = VALIDITY[:3]


@dataclass(frozen=True)
class View:
    """A model to describe in YAML; a model that is no history is a table, a label or a training set.

    `required` are columns that are never NULL, in addition to those of every history. `keys` are those that
    its SQL names.
    """

    name: str
    columns: Sequence[ModelColumn]
    is_history: bool
    describe: Callable[[str], str]
    shield: Callable[[str], str | None]
    required: Collection[str] = ()
    keys: Sequence[str] = ()


@dataclass(frozen=True)
class Entry:
    """An entry of `models:` in a YAML file: its lines from `first` to before `last`, and its parts by key."""

    first: int
    last: int
    indent: int
    parts: dict[str, str]

    @property
    def declared(self) -> dict[str, Any]:
        """The parsed content of the entry."""
        found = yaml.safe_load("".join(self.parts.values()))
        return dict(found[0]) if found else {}

    def saying(self, entry: dict[str, Any]) -> Entry:
        """Return the entry with new content; its name comes first."""
        margin = self.indent + _INDENT
        parts = {key: _dump({key: value}, margin) for key, value in entry.items()}
        parts["name"] = f"{' ' * self.indent}- name: {entry['name']}\n"
        return replace(self, parts=parts)


def find_entry(text: str, model: str) -> Entry:
    """Find a model's entry in a YAML file; an empty one, behind the others, where it has none."""
    lines = text.splitlines(keepends=True)
    entries = _value(yaml.compose(text, Loader=yaml.SafeLoader), "models")
    items = entries.value if isinstance(entries, yaml.SequenceNode) else []
    starts = [item.start_mark.line for item in items]
    end = entries.end_mark.line if items else len(lines)
    for item, first, next_start in zip(items, starts, [*starts, end][1:], strict=True):
        name = _value(item, "name")
        if name is None or name.value != model:
            continue
        last = _without_tail(lines, first, next_start)
        marks = [key.start_mark.line for key, _ in item.value]
        parts = {
            key.value: "".join(lines[start:stop])
            for (key, _), start, stop in zip(item.value, marks, [*marks, last][1:], strict=True)
        }
        return Entry(first, last, items[0].start_mark.column - _INDENT, parts)
    indent = items[0].start_mark.column - _INDENT if items else _INDENT
    last = _without_tail(lines, 0, end) if items else end
    return Entry(last, last, indent, {})


def complete_entry(entry: Entry, view: View) -> str:
    """Return the text of an entry with all its columns and, of a history, keys, tests and constraints."""
    declared = entry.declared
    config = declared.get("config") or {}
    indent = entry.indent + _INDENT
    parts = dict(entry.parts) or {"name": f"{' ' * entry.indent}- name: {view.name}\n"}
    keys = _complete_view(parts, declared, config, view, indent) if view.is_history else []
    if "description" not in declared and not view.is_history:
        words = view.name.partition("_")[2].replace("_", " ") or view.name
        parts["description"] = f"{' ' * indent}description: {' '.join(words.split()).capitalize()}.\n"
    columns = parts.pop("columns", "")
    parts["columns"] = _columns(columns, view, keys, indent)
    return "".join(parts.values())


def _complete_view(
    parts: dict[str, str], declared: dict[str, Any], config: dict[str, Any], view: View, indent: int
) -> list[str]:
    """Complete what the entry of a feature view has beside its columns, and return the view's keys."""
    feature_view = (config.get("meta") or {}).get("feature_view") or _proposed(view)
    keys: list[str] = feature_view["keys"]
    if "description" not in declared:
        features = f"Features of {' and '.join(feature_view['entity'].split('_'))}"
        parts["description"] = _dump({"description": f"{features}: {view.name.split('__')[-1]}."}, indent)
    if not (config.get("meta") or {}).get("feature_view"):
        meta = {**(config.get("meta") or {}), "feature_view": feature_view}
        parts["config"] = _dump({"config": {**config, "meta": meta}}, indent)
    tests = declared.get("data_tests") or []
    if not any(str(name).endswith("ranges_do_not_overlap") for test in tests for name in test):
        parts["data_tests"] = _dump({"data_tests": [*tests, _ranges_test(view, keys)]}, indent)
    return keys


def _proposed(view: View) -> dict[str, Any]:
    names = [column.name for column in view.columns]
    keys = list(view.keys) if view.keys and set(view.keys) <= set(names) else likely_keys(names)
    if not keys:
        raise Fault(
            f"The keys of {view.name} cannot be told from its SQL nor its columns: "
            "write config.meta.feature_view with entity and keys into its YAML, and try again."
        )
    return {
        "entity": "_".join(key.removesuffix("_id") for key in keys),
        "keys": keys,
        "online": False,
        "defaults": {column.name: 0 for column in view.columns if column.is_total},
    }


def _ranges_test(view: View, keys: list[str]) -> dict[str, Any]:
    return {
        "assay.ranges_do_not_overlap": {
            "name": f"{re.sub('_+', '_', view.name)}_has_one_row_at_a_time",
            "arguments": {"entity_keys": keys},
        }
    }


def _columns(text: str, view: View, keys: list[str], indent: int) -> str:
    written = {each["name"]: (each, lines) for each, lines in _items(text)}
    margin = " " * (indent + _INDENT)
    lines = [f"{' ' * indent}columns:\n"]
    for column in view.columns:
        old, old_lines = written.get(column.name, ({}, ""))
        new = {
            "name": column.name,
            "data_type": column.data_type,
            "description": old.get("description") or view.describe(column.name),
            **{
                word: value for word, value in old.items() if word not in ("name", "data_type", "description")
            },
        }
        if needs_quotes(column.name):
            # dbt writes the name into SQL without quotes.
            new["quote"] = True
        always = view.is_history and column.name in (*keys, *_KNOWN_WHEN_WRITTEN)
        is_never_null = column.name in view.required or (view.is_history and column.is_total)
        if (always and not old.get("constraints")) or (not old and is_never_null):
            new["constraints"] = [{"type": "not_null"}]
        if not old and (shield := view.shield(column.name)):
            new["config"] = {"meta": {PII: shield}}
        is_as_written = {**old, "data_type": _type(old.get("data_type"))} == {
            **new,
            "data_type": _type(column.data_type),
        }
        lines.append(old_lines if is_as_written else f"{margin}- {_flow(new)}\n")
    return "".join(lines)


def _items(text: str) -> list[tuple[dict[str, Any], str]]:
    """Return the columns in a `columns:` part, each with its lines."""
    if not text:
        return []
    lines = text.splitlines(keepends=True)
    items = _value(yaml.compose(text, Loader=yaml.SafeLoader), "columns").value
    starts = [item.start_mark.line for item in items]
    texts = [
        "".join(lines[start:stop]) for start, stop in zip(starts, [*starts, len(lines)][1:], strict=True)
    ]
    return list(zip(yaml.safe_load(text)["columns"], texts, strict=True))


def _type(data_type: Any) -> str:
    return re.sub(r"\s", "", str(data_type)).lower()


def _value(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _without_tail(lines: list[str], first: int, last: int) -> int:
    """Return where an entry ends, without the blank lines and comments that belong to the next entry."""
    while last > first and re.match(r"\s*(#|$)", lines[last - 1]):
        last -= 1
    return last


class _Dumper(yaml.SafeDumper):
    """The house style: lists indented, text in double quotes where it needs any."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_plain = yaml.safe_load(f"{{a: {text}}}") == {"a": text}
    except yaml.YAMLError:
        is_plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def _dump(value: Any, indent: int) -> str:
    """Return YAML in block style, with the innermost lists and mappings on one line each."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=float("inf"))
    return re.sub(r"^(?=.)", " " * indent, text, flags=re.MULTILINE)


def _flow(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.rstrip("\n")
