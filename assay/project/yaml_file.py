"""Edit YAML that people maintain: what is not edited keeps each character."""

from __future__ import annotations

import io
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import PlainScalarString
from ruamel.yaml.util import load_yaml_guess_indent

_NO_WRAPPING = 1 << 20
_TEXT = "tag:yaml.org,2002:str"
# dbt reads YAML 1.1, where `on` and `no` are booleans and 12:30 is a number; what is written here is 1.2.
_YAML_1_1: Any = yaml.resolver.Resolver()
# A key alone on its line, and the indentation of the key below it.
_NESTED = re.compile(r"^( *)[^\s#-][^\n]*:[ ]*\n\1( +)[^\s#-]", re.MULTILINE)


class YamlFile:
    """A YAML file that keeps its comments, quotes and anchors, and its indentation if that is consistent.

    Raises:
        ruamel.yaml.YAMLError: the file is not valid YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._yaml = YAML()
        self._yaml.width = _NO_WRAPPING
        self._yaml.preserve_quotes = True
        self._yaml.brace_single_entry_mapping_in_flow_sequence = True
        self._yaml.representer.add_representer(type(None), _null)
        self._yaml.representer.add_representer(str, _text)
        self._yaml.constructor.add_constructor(_TEXT, _text_as_written)
        self._before = path.read_text(encoding="utf-8") if path.exists() else ""
        self.content: Any = self._yaml.load(self._before) or CommentedMap()

    @cached_property
    def _indentation(self) -> dict[str, int]:
        return _indentation(self._before)

    @property
    def text(self) -> str:
        """The edited content as text."""
        # Found where it is needed: it takes as long as reading the file does.
        self._yaml.indent(**self._indentation)
        stream = io.StringIO()
        self._yaml.dump(self.content, stream)
        return stream.getvalue()

    @property
    def has_changed(self) -> bool:
        """Whether the edited content differs from the file."""
        return self.text != self._before

    def write(self) -> bool:
        """Write the file if its content has changed; return whether it was written."""
        if not self.has_changed:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")
        return True


def _indentation(text: str) -> dict[str, int]:
    """Return the indentation of a file; the house style for whatever the file does not show."""
    _, sequence, offset = load_yaml_guess_indent(text)
    nested = _NESTED.search(text)
    lists = {"sequence": 4, "offset": 2} if offset is None else {"sequence": sequence, "offset": offset}
    return {"mapping": len(nested[2]) if nested else 2, **lists}


def one_line(value: Any) -> Any:
    """Make ruamel write a mapping or list, with all that it holds, on one line."""
    if isinstance(value, dict):
        mapping = CommentedMap((key, one_line(each)) for key, each in value.items())
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(one_line(each) for each in value)
        sequence.fa.set_flow_style()
        return sequence
    return value


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text(representer: Any, value: str) -> Any:
    return representer.represent_scalar(_TEXT, value, "'" if _is_text_in_1_2_alone(value) else None)


def _text_as_written(constructor: Any, node: Any) -> Any:
    """Return a text that stays without quotes where a person wrote it so."""
    found = constructor.construct_yaml_str(node)
    return PlainScalarString(found) if type(found) is str and _is_text_in_1_2_alone(found) else found


def _is_text_in_1_2_alone(value: str) -> bool:
    return bool(_YAML_1_1.resolve(yaml.ScalarNode, value, (True, False)) != _TEXT)
