"""Write the contract of a product that a new model of gold belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assay.contracts.adopt import adopted
from assay.contracts.contract import FOLDER, Contract, read_contracts
from assay.contracts.dbt_side import bring_groups
from assay.contracts.document import parse
from assay.core.fault import MISUSED, Fault
from assay.project.conventions import is_published
from assay.project.paths import contract_folders
from assay.project.project import Project
from assay.project.yaml_file import YamlFile

_DOC = re.compile(r"\{\{\s*doc\(\s*(?:'[^']*'\s*,\s*)?'([^']+)'\s*\)\s*\}\}")


def contract_files(project: Project, entry: dict[str, Any], product: str, owner: str) -> dict[Path, str]:
    """Return the contract of a product with a model that is not written yet, and the groups that it makes.

    Args:
        project: of the current folder.
        entry: what the model's YAML will say; it has the product as its group.
        product: the product's id.
        owner: of a new product.

    Raises:
        Fault: there are mistakes in the project's contracts, or the product's has the model already.
    """
    file = adopted(_node_of(project, entry), entry, product, owner, {})
    return with_groups({file.path: file.text})


def with_groups(written: Mapping[Path, str]) -> dict[Path, str]:
    """Return contracts that are to be written, and the groups that they make.

    Args:
        written: the texts of contracts by their files.

    Raises:
        Fault: there are mistakes in the project's contracts.
    """
    folders = contract_folders(FOLDER)
    contracts, wrong = read_contracts(*folders)
    if wrong:
        raise Fault("\n".join(map(str, wrong)), MISUSED)
    contracts = [each for each in contracts if Path(each.document.name) not in written]
    for path, text in written.items():
        document, mistakes = parse(str(path), text)
        assert document, mistakes
        contracts.append(Contract(document))
    places = {str(folder): number for number, folder in enumerate(folders)}
    contracts.sort(key=lambda each: (places[str(Path(each.document.name).parent)], each.document.name))
    groups: dict[Path, YamlFile] = {}
    changed = list(bring_groups(contracts, folders, lambda path: groups.setdefault(path, YamlFile(path))))
    return {**written, **{each.path: each.text for each in changed}}


def _node_of(project: Project, entry: dict[str, Any]) -> Any:
    """Return a model as dbt will parse it, as far as contracts look at it."""
    nodes = [node for node in project.models if is_published(node)]
    own = [node for node in nodes if node.package_name == project.name]

    def words(holder: dict[str, Any]) -> str:
        return _DOC.sub(lambda found: project.doc_blocks.get(found[1], ""), holder.get("description") or "")

    return SimpleNamespace(
        name=entry["name"],
        alias=entry["name"],
        schema=(own or nodes)[0].schema,
        description=words(entry),
        columns={
            column["name"]: SimpleNamespace(
                data_type=column.get("data_type"),
                description=words(column),
                config=SimpleNamespace(meta=(column.get("config") or {}).get("meta") or {}),
                constraints=[SimpleNamespace(**each) for each in column.get("constraints") or []],
            )
            for column in entry["columns"]
        },
    )
