"""Read a contract's file and check it against the standard's JSON schema, with the lines of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarfloat import ScalarFloat

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SUFFIX = ".odcs.yaml"
_UNKNOWN = ("additionalProperties", "unevaluatedProperties")
# The standard's own schema forgets it; a table of the source comes from one topic of several.
_ALSO_KNOWN = {"kafka": ("topic",)}
_Place = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Finding:
    """A difference from a contract or a mistake in one: where, what, and what to do about it."""

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + f" {self.remedy}" * bool(self.remedy)


class Document:
    """The whole YAML of a contract, with comments and line numbers."""

    def __init__(self, name: str, content: Any) -> None:
        self.name = name
        self.content = content

    def where(self, place: Iterable[str | int] = ()) -> str:
        """Return `file:line` of the deepest part of `place` that exists in the file."""
        node: Any = self.content
        line = 0
        for key in place:
            try:
                marks = node.lc.data[key]
                line = marks[0]
                node = node[key]
            except (KeyError, IndexError, AttributeError, TypeError):
                break
        return f"{self.name}:{line + 1}"


def parse(name: str, text: str) -> tuple[Document | None, list[Finding]]:
    """Parse a contract and check it against the standard.

    Args:
        name: the file's name for messages.
        text: the file's content.

    Returns:
        The document, None if it is no YAML mapping; and what is wrong with it.
    """
    try:
        content = _yaml().load(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problem = (isinstance(error, MarkedYAMLError) and error.problem) or str(error)
        where = f"{name}:{mark.line + 1}" if mark else name
        return None, [Finding(where, f"is no YAML: {problem.splitlines()[0]}.")]
    if not isinstance(content, dict):
        return None, [
            Finding(name, "is no data contract: a mapping with apiVersion, kind and id is expected.")
        ]
    document = Document(name, content)
    return document, sorted(set(_broken_schema(document)))


class _Constructor(RoundTripConstructor):
    """Keeps the text of each float, since a float cannot hold values such as 99999999999999.99.

    A date that no calendar has, such as 2025-13-01, is text: who reads it tells where it stands.
    """

    def construct_yaml_float(self, node: Any) -> Any:
        number = super().construct_yaml_float(node)
        if isinstance(number, ScalarFloat):
            vars(number)["text"] = node.value
        return number

    def construct_yaml_timestamp(self, node: Any, values: Any = None) -> Any:
        try:
            return super().construct_yaml_timestamp(node, values)
        except ValueError:
            return node.value


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_timestamp)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Constructor = _Constructor
    return yaml


def read(path: Path) -> tuple[Document | None, list[Finding]]:
    """Read and parse a contract's file."""
    try:
        return parse(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return None, [Finding(str(path), f"cannot be read: {error}.")]


@cache
def _validator() -> Validator:
    # It takes long to import, and what was checked once is kept.
    from jsonschema.validators import validator_for

    # The schema that the standard's maintainers publish as a package.
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8"))
    return validator_for(schema)(schema)


def _broken_schema(document: Document) -> Iterator[Finding]:
    errors = list(_validator().iter_errors(json.loads(json.dumps(document.content, default=str))))
    known = [error for error in errors if error.validator not in _UNKNOWN]
    for error in errors:
        place = list(error.absolute_path)
        # A mistake in an inner part makes the validator report correct fields as unknown: drop these errors.
        if error in known or not any(list(each.absolute_path)[: len(place)] == place for each in known):
            yield from _findings(document, error)


def _findings(document: Document, error: Any) -> Iterator[Finding]:
    place: _Place = tuple(error.absolute_path)
    at = ".".join(str(key) for key in place) or "the contract"
    if error.validator in _UNKNOWN:
        fields = [*error.schema.get("properties", {}), *_ALSO_KNOWN.get(error.instance.get("type"), ())]
        for key in (key for key in error.instance if f"'{key}'" in error.message and key not in fields):
            yield Finding(
                document.where((*place, key)),
                f"the standard knows no field {key!r} here.",
                "Correct its name, or put it under customProperties.",
            )
    elif error.validator == "oneOf" and any(each.get("required") for each in error.validator_value):
        choices = ", ".join(key for each in error.validator_value for key in each.get("required", []))
        yield Finding(document.where(place), f"{at} needs exactly one of {choices}.")
    elif "properties" in place[-2:-1] and "logicalType" not in error.instance:
        # Without logicalType, the validator would report the options of every type.
        yield Finding(document.where(place), f"{at} lacks its logicalType.")
    else:
        yield Finding(document.where(place), f"{at}: {error.message}")
