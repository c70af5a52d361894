"""Read from dbt's manifest a training set's key, columns and features, and hash the code that makes it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from assay.core.fault import MISUSED, Fault
from assay.project.conventions import STAMP, TRAINING_SET, is_of_kind, layer_of
from assay.project.graph import Manifest, relation_of
from assay.project.joins import JOINED, joined_features

# Keys of a node's config that do not affect rows.
_OF_NO_EFFECT = ("docs", "tags", "grants", "persist_docs", "group", "access")
_OWN_PACKAGE = "assay"


@dataclass(frozen=True)
class Feature:
    """A feature of a training set: `name` in its view, `column` in the set."""

    view: str
    name: str
    column: str


@dataclass(frozen=True)
class DeclaredSet:
    """What a training set declares; see the properties of `SetInManifest` of the same names."""

    name: str
    relation: str
    primary_key: list[str]
    descriptions: dict[str, str]
    features: list[Feature]
    silver_seen: list[str]
    joined: list[str]
    code: dict[str, str]

    @classmethod
    def of(cls, declared: SetInManifest) -> Self:
        """Return what a training set of a manifest declares."""
        return cls(**{name: getattr(declared, name) for name in cls.__dataclass_fields__})

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return what was kept of one, as `asdict` writes it."""
        return cls(**values | {"features": [Feature(**each) for each in values["features"]]})


class SetInManifest:
    """A training set and everything upstream of it, from dbt's manifest of the current project.

    Args:
        manifest: dbt's.
        name: the model's.
        kind: the kind that the model must be of.

    Raises:
        Fault: the manifest has no such model, or it declares no primary key.
    """

    # Models whose rows the version depends on although the training set does not read them.
    beside: tuple[str, ...] = ()

    def __init__(self, manifest: dict[str, Any] | Manifest, name: str, kind: str = "training_sets") -> None:
        self._manifest = manifest if isinstance(manifest, Manifest) else Manifest(manifest)
        self.name = name
        sets = {node["name"]: node for node in self._manifest.nodes.values() if is_of_kind(node, kind)}
        if name not in sets:
            raise Fault(describe_unknown(kind, name, list(sets)), MISUSED)
        self._node = sets[name]
        # dbt writes these names into SQL as they are, so some are in quotes.
        self.primary_key = [name.strip('"') for name in self._node["primary_key"]]
        if not self.primary_key:
            raise Fault(
                f"{name} declares no primary key, by which versions are ordered and compared: "
                f"add it to {self._node['original_file_path']}'s YAML, under constraints, and build again."
            )

    @property
    def relation(self) -> str:
        """The table's name in SQL."""
        return relation_of(self._node)

    @property
    def descriptions(self) -> dict[str, str]:
        """The description of each column in the YAML."""
        return {name: column["description"] for name, column in self._node["columns"].items()}

    @property
    def features(self) -> list[Feature]:
        """The features that the training set joins and has as columns.

        What it joins only to derive others from it, and leaves out, is none of them.
        """
        joins = [
            Feature(joined.view or "", name, joined.prefix + name)
            for joined in joined_features(self._node)
            for name in (*joined.columns, *joined.derived)
        ]
        is_enforced = self._node["config"]["contract"]["enforced"]
        return [each for each in joins if not is_enforced or each.column in self._node["columns"]]

    @property
    def silver_seen(self) -> list[str]:
        """The tables and views of silver that gold's models read, by their names in SQL."""
        seen = {
            parent["unique_id"]: parent
            for node in self._upstream
            if layer_of(node) != "silver"
            for parent in self._manifest.parents(node)
            if layer_of(parent) == "silver"
        }
        return [relation_of(parent) for _, parent in sorted(seen.items())]

    @property
    def joined(self) -> list[str]:
        """The labels and feature views that the training set reads directly, by their names in SQL."""
        parents = sorted(self._manifest.parents(self._node), key=lambda node: str(node["unique_id"]))
        return [relation_of(node) for node in parents]

    @cached_property
    def code(self) -> dict[str, str]:
        """SHA-256 of each part of the code: models, seeds and snapshots upstream, their macros, and the vars.

        The code is hashed as written, because compiled code holds the warehouse's file and moment.
        """
        parts = {node["name"]: _hash_of_node(node) for node in self._upstream}
        for macro in self._manifest.macros_of(self._upstream).values():
            # dbt's own macros are left out: the version records dbt's version.
            if not macro["package_name"].startswith("dbt"):
                parts[f"macro {macro['name']}"] = _sha256(macro["macro_sql"])
        variables = yaml.safe_load(Path("dbt_project.yml").read_text()).get("vars") or {}
        parts["vars in dbt_project.yml"] = _sha256(json.dumps(variables, sort_keys=True, default=str))
        return dict(sorted(parts.items()))

    @cached_property
    def _upstream(self) -> list[dict[str, Any]]:
        return list(self._manifest.ancestors([self.name, *self.beside]).values())


def describe_unknown(kind: str, name: str, known: list[str]) -> str:
    """Return a message that there is no such training set or corpus, and which there are."""
    return _UNKNOWN[kind](name, known)


def describe_unknown_set(name: str, known: list[str]) -> str:
    """Return a message that there is no such training set, and which there are."""
    if not known:
        begin = f"models whose names begin with {TRAINING_SET} are"
        return f"There is no training set {name}, nor any other: {begin}."
    return f"There is no training set {name}. There are {', '.join(sorted(known))}."


def describe_unknown_corpus(name: str, known: list[str]) -> str:
    """Return a message that there is no such corpus, and which there are."""
    begin = "a model is one whose YAML has config.meta.corpus"
    return f"There is no corpus {name}: {begin}. There are {', '.join(sorted(known)) or 'none'}."


_UNKNOWN = {"training_sets": describe_unknown_set, "corpora": describe_unknown_corpus}


def hash_of_code(parts: dict[str, str]) -> str:
    """Return one hash for all parts of the code."""
    return _sha256("\n".join(f"{name}\t{sha256}" for name, sha256 in sorted(parts.items())))


def _hash_of_node(node: dict[str, Any]) -> str:
    config = {key: value for key, value in node["config"].items() if key not in _OF_NO_EFFECT}
    # Assay's stamp on a node follows from the rest of the node.
    meta = config.get("meta") or {}
    config["meta"] = {key: value for key, value in meta.items() if key not in (STAMP, JOINED)}
    columns = {
        name: [column.get("data_type"), column.get("constraints")] for name, column in node["columns"].items()
    }
    # A seed's code is its file, of which the manifest has only the checksum.
    code = node["raw_code"] or node["checksum"]["checksum"]
    imported = _imported(code) if node.get("language") == "python" else {}
    return _sha256(json.dumps([code, config, columns, imported], sort_keys=True, default=str))


def _imported(code: str) -> dict[str, str]:
    """Return the hashes of the modules of this package that a Python model imports."""
    names = set()
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            names.add(statement.module)
        elif isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
    hashes = {}
    for name in names:
        spec = importlib.util.find_spec(name) if name.split(".")[0] == _OWN_PACKAGE else None
        if spec and spec.origin:
            file = Path(spec.origin)
            files = sorted(file.parent.rglob("*.py")) if spec.submodule_search_locations else [file]
            hashes[name] = _sha256("".join(each.read_text() for each in files))
    return hashes


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
