"""Read a version of the project's code, and tell which nodes two versions make from other code."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from assay.build.outside import LOADER
from assay.build.plan import node_digests
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.places import TARGET, find_target
from assay.core.yaml_text import read_yaml
from assay.project.code_files import own_modules, read_code
from assay.project.conventions import TABLES
from assay.project.dbt_run import ask_dbt
from assay.project.failures import plain_message
from assay.project.graph import Manifest as PlainManifest
from assay.project.graph import Node, descendant_ids, parent_ids, reachable
from assay.project.head_start import keep_parsed, read_parsed
from assay.project.kept import keep, read_kept
from assay.project.packages import make_packages_ready

# What of a node's declaration its rows follow from; descriptions and tags change none.
_DECLARED = (
    *("raw_code", "language", "constraints", "relation_name", "version", "identifier", "schema"),
    *("strategy", "check_cols", "unique_key"),
)
_OF_NO_EFFECT = ("docs", "tags", "grants", "persist_docs", "group", "access", "description")
_OF_COLUMN = ("name", "data_type", "constraints", "config", "meta", "quote")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class CodeVersion:
    """A version of the project's code, as dbt parses it.

    Attributes:
        name: what a person called it.
        root: the folder of its `dbt_project.yml`.
        sha: its commit; None of the working tree.
        manifest: dbt's own.
        settings: a hash of what any node may depend on, as builds have it.
        digests: a hash of each node and source, as builds have it.
        prints: a hash of all code that a node's rows follow from, without that of the nodes it reads.
    """

    name: str
    root: Path
    sha: str | None
    manifest: Any
    settings: str
    digests: Mapping[str, str]
    prints: Mapping[str, str]

    @property
    def tables(self) -> dict[str, Any]:
        """Its models, seeds and snapshots by id, without those that are only part of others' SQL."""
        return {
            unique_id: node
            for unique_id, node in self.manifest.nodes.items()
            if node.resource_type in TABLES and node.config.materialized != "ephemeral"
        }

    @property
    def plain(self) -> PlainManifest:
        """Its manifest in the form that dbt writes to a file."""
        return PlainManifest(self.manifest.to_dict())

    def below(self, begin: Iterable[str]) -> set[str]:
        """Return these nodes and sources, and what is made of them."""
        # All of bronze reads the list of files, which is the same on both sides.
        nodes = {each: node for each, node in self.manifest.nodes.items() if node.name != LOADER}
        return set(descendant_ids(begin, nodes))


def target_of(root: Path) -> Path:
    """Return the folder into which dbt writes of a version; an absolute one is that of the project alone."""
    target = find_target()
    return Path("target") if target.is_absolute() and not root.samefile(Path.cwd()) else target


@contextmanager
def working_at(root: Path) -> Iterator[None]:
    """Be in the folder of a version while the block runs; modules that it imports there are forgotten."""
    path, known = list(sys.path), set(sys.modules)
    target = target_of(root)
    own = {} if target == find_target() else {TARGET: str(target)}
    with mock.patch.dict(os.environ, own), chdir(root):
        try:
            yield
        finally:
            sys.path[:] = path
            _forget_modules(set(sys.modules) - known, root.resolve())


def _forget_modules(names: Iterable[str], root: Path) -> None:
    """Forget the modules that lie below a version's folder, where Python's environment may lie, too."""
    installed = (sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib"))
    others = [each.resolve() for each in (Path(__file__).parents[1], *map(Path, installed))]
    for name in names:
        path = getattr(sys.modules[name], "__file__", None)
        file = Path(path).resolve() if path else None
        if file and file.is_relative_to(root) and not any(map(file.is_relative_to, others)):
            del sys.modules[name]


def read_version(name: str, root: Path, sha: str | None, warehouse: Path) -> CodeVersion:
    """Parse a version of the project.

    Args:
        name: what a person called it.
        root: the folder of its `dbt_project.yml`.
        sha: its commit; None of the working tree.
        warehouse: the file that its profile is to name, as the project's is called.

    Raises:
        Fault: dbt cannot parse it.
    """
    with working_at(root):
        make_packages_ready()
        code = read_code()
        key = (str(root), code.settings, code.nodes)
        manifest = read_parsed(key)
        if manifest is None:
            parsed = ask_dbt(["parse"], warehouse)
            if not parsed.success:
                raise known_fault(parsed.exception or "") or Fault(
                    f"{name} cannot be compared, because dbt cannot parse it: "
                    f"{plain_message(str(parsed.exception), with_place=True)}",
                    MISUSED,
                )
            manifest = parsed.result
            for node in manifest.nodes.values():
                # Of a seed that dbt did not parse anew, that of the version whose parse it went on with.
                if node.resource_type == "seed" and node.package_name == manifest.metadata.project_name:
                    node.root_path = str(root)
            keep_parsed(key, manifest)
        if sha is None and read_kept(code) is None:
            # Who asks about the project in this folder need not parse it again.
            keep(code, manifest, warehouse)
        return CodeVersion(
            name, root, sha, manifest, code.settings, node_digests(manifest), _fingerprints(manifest)
        )


def changed_ids(one: CodeVersion, other: CodeVersion) -> set[str]:
    """Return the nodes and sources of one version that the other lacks, or makes from other code."""
    return {unique_id for unique_id, found in one.prints.items() if other.prints.get(unique_id) != found}


def _fingerprints(manifest: Any) -> dict[str, str]:
    variables = _variables()
    modules = sha256(b"".join(file.read_bytes() for file in own_modules())).hexdigest()
    macros = manifest.macros
    found = {}
    for unique_id, node in {**manifest.nodes, **manifest.sources}.items():
        if node.resource_type not in (*TABLES, "source") or node.name == LOADER:
            continue
        texts = [getattr(node, "raw_code", "") or ""]
        if node.resource_type != "source":
            texts += [macros[each].macro_sql for each in called_macros(node, macros)]
        words = set(_WORD.findall(" ".join(texts)))
        parts = [
            _declared(node.to_dict(omit_none=True), manifest),
            texts[1:],
            {name: value for name, value in variables.items() if name in words},
            modules if getattr(node, "language", "sql") == "python" else None,
        ]
        found[unique_id] = sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return found


def called_macros(node: Any, macros: Mapping[str, Any]) -> list[str]:
    """Return the ids of the macros that make a node, without dbt's own, sorted."""
    kind = f"materialization_{node.config.materialized}_"
    begin = [*node.depends_on.macros, *(each for each in macros if each.split(".")[-1].startswith(kind))]
    found = reachable(begin, lambda id_: macros[id_].depends_on.macros if id_ in macros else [])
    return sorted(
        each for each in found if each in macros and not each.startswith(("macro.dbt.", "macro.dbt_duckdb."))
    )


def _declared(node: Node, manifest: Any) -> dict[str, Any]:
    declared = {name: node[name] for name in _DECLARED if name in node}
    declared["config"] = {
        name: value for name, value in (node.get("config") or {}).items() if name not in _OF_NO_EFFECT
    }
    declared["columns"] = [
        {name: column[name] for name in _OF_COLUMN if name in column}
        for column in (node.get("columns") or {}).values()
    ]
    declared["parents"] = sorted(parent_ids(node))
    if node["resource_type"] == "seed":
        declared["content"] = sha256(
            Path(node["root_path"], node["original_file_path"]).read_bytes()
        ).hexdigest()
    return declared


def _variables() -> dict[str, Any]:
    """Return the variables of the project in the current folder; those of packages under their own names."""
    declared = (read_yaml(Path("dbt_project.yml").read_text(encoding="utf-8")) or {}).get("vars") or {}
    nested = [each for each in declared.values() if isinstance(each, dict)]
    return {name: value for each in nested for name, value in each.items()} | declared
