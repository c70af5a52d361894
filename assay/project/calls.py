"""Read the arguments of macro calls from the text of a model, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

_ENVIRONMENT = Environment(extensions=["jinja2.ext.do"])
_ARGUMENTS = {
    "windowed_history": (
        "relation",
        "entity_keys",
        "event_at",
        "available_at",
        "measures",
        "windows",
        "where",
    ),
    "change_history": ("relation", "entity_keys"),
    "snapshot_history": ("relation", "entity_keys"),
    "history_of_states": ("states", "entity_keys"),
    "effective_changes": ("checked", "key", "attributes"),
    "temporal_split": ("at", "boundaries", "embargo"),
}


@dataclass(frozen=True)
class Ref:
    """The model that `ref` names."""

    name: str


@dataclass(frozen=True)
class Unread:
    """An expression whose value only dbt knows."""


def calls_of(macro: str, code: str) -> list[dict[str, Any]]:
    """Return the arguments of each call of a macro, by name.

    Args:
        macro: name of the macro without its package: `temporal_split`, `effective_changes`, or one of a
            history.
        code: the model's text with its Jinja.
    """
    try:
        tree = _ENVIRONMENT.parse(code)
    except TemplateSyntaxError:
        return []
    names = {
        assignment.target.name: assignment.node
        for assignment in tree.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name)
    }
    return [
        {
            **dict(zip(_ARGUMENTS[macro], (_value(each, names) for each in call.args), strict=False)),
            **{each.key: _value(each.value, names) for each in call.kwargs},
        }
        for call in tree.find_all(nodes.Call)
        if _name(call.node) == macro
    ]


def entity_keys_in(code: str) -> list[str] | None:
    """Return the keys that a model's calls of history macros name; None where these do not agree."""
    found = [
        keys
        for macro, arguments in _ARGUMENTS.items()
        if "entity_keys" in arguments
        for call in calls_of(macro, code)
        if isinstance(keys := call.get("entity_keys"), list) and all(isinstance(each, str) for each in keys)
    ]
    return found[0] if found and all(keys == found[0] for keys in found) else None


def _name(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.name if isinstance(node, nodes.Name) else None


def _value(node: nodes.Node, names: dict[str, nodes.Node]) -> Any:
    match node:
        case nodes.List() | nodes.Tuple():
            return [_value(item, names) for item in node.items]
        case nodes.Dict():
            return {_value(pair.key, names): _value(pair.value, names) for pair in node.items}
        case nodes.Call() if _name(node.node) == "ref":
            return Ref(_value(node.args[-1], names))
        case nodes.Name() if node.name in names:
            return _value(names[node.name], names)
        case nodes.Expr():
            try:
                return node.as_const()
            except nodes.Impossible:
                return Unread()
    return Unread()
