"""Write the first version of a model's contract from its YAML, for its owner to complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.contract import find_contract_file, join_words
from assay.contracts.dbt_side import name_relation
from assay.contracts.dbt_tests import make_rule
from assay.contracts.gold_side import find_declared_tests
from assay.contracts.servers import make_published_server
from assay.contracts.types import find_logical_type
from assay.core.fault import MISUSED, Fault, unknown
from assay.project.conventions import is_published
from assay.project.personal import PII
from assay.project.project import Project
from assay.project.warehouse import connect
from assay.project.yaml_file import YamlFile, one_line

API_VERSION = "v3.1.0"


def adopt(project: Project, model: str, product: str, owner: str | None) -> Path:
    """Add a model of gold to the contract of a product; a missing contract is made.

    Args:
        project: the parsed project.
        model: the model's name.
        product: the product's id.
        owner: the owner of a new product.

    Returns:
        The contract's file.

    Raises:
        Fault: there is no such model in gold, it is in the contract already, a column is of no known type, or
            a new product has no owner.
    """
    gold = {each.name: each for each in project.models if is_published(each)}
    node = gold.get(model)
    if node is None:
        raise Fault(unknown(f"There is no model {model} in gold", model, gold), MISUSED)
    if not re.fullmatch(r"\w[\w-]*", product):
        raise Fault(f"{product!r} cannot name a product: write letters, digits and underscores.", MISUSED)
    built = _types(project.warehouse, node.schema, node.alias)
    file = adopted(node, _entry(node), product, owner, built)
    file.write()
    return file.path


def adopted(
    node: Any, entry: dict[str, Any], product: str, owner: str | None, built: dict[str, str]
) -> YamlFile:
    """Return the contract of a product with a model added to it; nothing is written yet.

    Args:
        node: the model as dbt parsed it.
        entry: the model's entry in its YAML.
        product: the product's id.
        owner: the owner of a new product.
        built: the columns and types of the built table, for what the YAML does not say.

    Raises:
        Fault: the model is in the contract already, a column is of no known type, or a new product has no
            owner.
    """
    file = YamlFile(find_contract_file(product))
    if not file.content:
        if not owner:
            raise Fault(f"{file.path} is new: say who answers for it (--owner).", MISUSED)
        file.content = _new(product, owner, node.schema)
    file.content.setdefault("servers", CommentedSeq([one_line(make_published_server(node.schema))]))
    tables = file.content.setdefault("schema", CommentedSeq())
    if any(str(table.get("physicalName")).rpartition(".")[2] == node.alias for table in tables):
        raise Fault(f"{name_relation(node)} is in {file.path} already.", MISUSED)
    tables.append(_table(node, entry, built))
    return file


def _new(product: str, owner: str, schema: str) -> CommentedMap:
    return CommentedMap(
        {
            "apiVersion": API_VERSION,
            "kind": "DataContract",
            "id": product,
            "name": product.replace("_", " ").capitalize(),
            "version": "1.0.0",
            "status": "active",
            "team": CommentedMap({"name": owner}),
            "servers": CommentedSeq([one_line(make_published_server(schema))]),
        }
    )


def _types(warehouse: Path, schema: str, table: str) -> dict[str, str]:
    """Return the columns and types of a table of gold in the warehouse; none if it is not built."""
    if not warehouse.is_file():
        return {}
    with connect(warehouse) as connection:
        rows = connection.execute(
            "select column_name, lower(data_type) from duckdb_columns() "
            "where database_name = current_database() and schema_name = $1 and table_name = $2 "
            "order by column_index",
            [schema, table],
        ).fetchall()
    return dict(rows)


def _table(node: Any, entry: dict[str, Any], built: dict[str, str]) -> CommentedMap:
    tests = find_declared_tests(entry)
    keys = next(
        (list(each["columns"]) for each in entry.get("constraints") or [] if each["type"] == "primary_key"),
        [],
    )
    table = CommentedMap({"name": node.alias, "physicalName": node.alias, "physicalType": "table"})
    table["description"] = join_words(node.description)
    table["properties"] = CommentedSeq()
    for name in node.columns or built:
        column = node.columns.get(name)
        data_type = (column and column.data_type) or built.get(name)
        if not data_type:
            raise Fault(f"The type of {node.name}.{name} is unknown: build, or write its data_type.")
        written: dict[str, Any] = {
            "name": name,
            "logicalType": find_logical_type(data_type) or "string",
            "physicalType": data_type,
        }
        # A primary key admits no NULL.
        if name in keys or (column and any(each.type == "not_null" for each in column.constraints)):
            written["required"] = True
        if name in keys:
            written |= {"primaryKey": True, "primaryKeyPosition": keys.index(name) + 1}
        if column and column.description:
            written["description"] = join_words(column.description)
        if column and (shield := column.config.meta.get(PII)):
            written["customProperties"] = [{"property": PII, "value": shield}]
        rules = [make_rule(test) for test in tests if test.column == name]
        table["properties"].append(_block(written, rules) if rules else one_line(written))
    if rules := [_rule(make_rule(test)) for test in tests if test.column is None]:
        table["quality"] = CommentedSeq(rules)
    return table


def _block(column: dict[str, Any], rules: list[dict[str, Any]]) -> CommentedMap:
    block = CommentedMap((key, one_line(value)) for key, value in column.items())
    block["quality"] = CommentedSeq(_rule(rule) for rule in rules)
    return block


def _rule(rule: dict[str, Any]) -> CommentedMap:
    return CommentedMap((key, one_line(value)) for key, value in rule.items())


def _entry(node: Any) -> dict[str, Any]:
    if not node.patch_path:
        return {}
    content = YamlFile(Path(node.patch_path.partition("://")[2])).content
    return next((dict(entry) for entry in content.get("models") or [] if entry["name"] == node.name), {})
