"""Check what nodes and variables declare to Assay, so that a misspelt word is refused where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator

from assay.core.sql import folded
from assay.project.conventions import LAYERS

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}

_SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
# Null switches a limit off.
_LIMIT: dict[str, Any] = {"anyOf": [_SHARE, {"type": "null"}]}
_COUNT: dict[str, Any] = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


_NAMED = {"name": _TEXT, "type": _TEXT, "description": {"type": "string"}}
# Keys of `config.meta` that are not Assay's are anybody's. An age is read, and refused, where it is used.
_SHAPES: dict[str, Draft202012Validator] = {
    name: Draft202012Validator(shape)
    for name, shape in {
        "corpus": _object(
            document=_TEXT,
            # Files have their names.
            splits={
                "type": "object",
                "minProperties": 2,
                "propertyNames": {"type": "string", "pattern": r"^\w+$"},
                "additionalProperties": _SHARE,
            },
            near_duplicates={"anyOf": [{"type": "number", "minimum": 0.5, "maximum": 1}, {"type": "null"}]},
            quality=_object(
                min_characters=_COUNT,
                max_characters=_COUNT,
                max_symbols=_LIMIT,
                max_repeated_lines=_LIMIT,
                max_repeated_phrases=_LIMIT,
                languages={"anyOf": [{**_TEXTS, "minItems": 1}, {"type": "null"}]},
                min_language_probability=_SHARE,
            ),
            evaluation=_TEXTS,
            tokenizer=_TEXT,
        ),
        "feature_view": _object(
            ("entity", "keys"),
            entity=_TEXT,
            keys={**_TEXTS, "minItems": 1},
            owner=_TEXT,
            online={"type": "boolean"},
            online_pii={"type": "boolean"},
            max_age={},
            defaults={"type": "object"},
            derived={"type": "array", "items": _object(("name", "expression"), expression=_TEXT, **_NAMED)},
            inputs={"type": "array", "items": _object(("name",), **_NAMED)},
        ),
        "label": _object(horizon=_TEXT, window={}, population={}, scramble={"type": "array"}),
        "quality": _object(time=_TEXT, ignore=_TEXTS),
        "monitored": {"type": "boolean"},
        "distribute_by": _TEXTS,
        "reads": _TEXTS,
        "refresh": {"enum": ["always"]},
        "score_with": {**_TEXT, "pattern": r"^[^:]+\.py:\w+$"},
    }.items()
}
# Set while YAML is completed: it may name columns before it lists them.
columns_may_lack: ContextVar[bool] = ContextVar("columns_may_lack", default=False)
# Where the meta names columns of the node.
_COLUMNS_NAMED = {"feature_view": ("keys", "defaults"), "quality": ("time", "ignore")}


def faults_of_meta(node: Any) -> list[str]:
    """Say what is wrong with the keys of a node's `config.meta` that are Assay's.

    Args:
        node: a model, seed or snapshot, as dbt has parsed it.
    """
    meta = node.config.meta
    columns = set() if columns_may_lack.get() else {folded(name) for name in node.columns}
    found = [*_faults_of_shape(meta)] or [*_columns_it_lacks(meta, columns)]
    return [f"{node.original_file_path}: {node.name}: config.meta.{each}" for each in found]


def _faults_of_shape(meta: Mapping[str, Any]) -> Iterator[str]:
    for key, shape in _SHAPES.items():
        # dbt has no way to take back a key but to set it to null.
        if (value := meta.get(key)) is None:
            continue
        for error in sorted(shape.iter_errors(value), key=lambda each: each.json_path):
            said = error.message
            if error.validator == "additionalProperties":
                said += f"; there are {', '.join(error.schema['properties'])}"
            yield f"{'.'.join(map(str, (key, *error.absolute_path)))}: {said}"


def _columns_it_lacks(meta: Mapping[str, Any], columns: set[str]) -> Iterator[str]:
    """Name columns of which the YAML has none; it may not list any yet."""
    for key, words in _COLUMNS_NAMED.items() if columns else ():
        for word in words:
            named = (meta.get(key) or {}).get(word) or ()
            for name in [named] if isinstance(named, str) else named:
                if folded(name) not in columns:
                    yield f"{key}.{word}: its YAML has no column {name}"


def schemas_of_layers(declared: Any) -> dict[str, str]:
    """Return the schema of each layer, from the variable `layers`.

    Raises:
        ValueError: it names something else than layers, or one schema for two.
    """
    given = {} if declared is None else declared
    schemas = {layer: given.get(layer, layer) for layer in LAYERS} if isinstance(given, Mapping) else {}
    is_text = all(isinstance(each, str) and each for each in schemas.values())
    if not schemas or not is_text or set(given) - set(LAYERS) or len(set(schemas.values())) < len(LAYERS):
        raise ValueError(
            f"the variable layers is {declared!r}: name the schema of each layer that has another, "
            f"as {{gold: mart}}, no schema twice; the layers are {', '.join(LAYERS)}"
        )
    return schemas
