"""Compare dbt's YAML with all contracts of a project, and update it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, cast

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts import gold_side, source_side
from assay.contracts.contract import FOLDER, Column, Contract, Table, join_words
from assay.contracts.dbt_tests import PROMISES
from assay.contracts.document import Finding
from assay.contracts.landing_rules import list_landing_rules
from assay.contracts.rules import Unenforceable
from assay.contracts.servers import lacks_server, make_published_server, name_server
from assay.project.conventions import is_published
from assay.project.paths import contract_folders
from assay.project.personal import PII
from assay.project.project import Project
from assay.project.shields import Shields
from assay.project.yaml_file import YamlFile, one_line

LANDING = "landing"
# Relative to the model folder that a contract belongs to.
_GROUPS = Path("gold/_gold__groups.yml")
_SOURCES = Path("bronze/_bronze__sources.yml")
_OF_GROUPS = "Products and their owners, as their contracts have them."
# The model of all rules; its YAML holds the rules that apply to every source.
_RULES = "slv_rules"
_SYNC = "To write it: assay contracts sync"


class DbtSide:
    """The YAML of a project, changed as its contracts require; nothing is written until `write`.

    Args:
        contracts: all contracts of the project.
        project: the parsed project.

    `rules_change` tells whether changed rules may keep or reject other rows than before.
    """

    def __init__(self, contracts: list[Contract], project: Project) -> None:
        self._contracts = contracts
        self._project = project
        self._models = {name_relation(node): node for node in project.models if is_published(node)}
        self._sources = project.landing_tables
        self._models_of = contract_folders(FOLDER)
        self._files: dict[Path, YamlFile] = {}
        landed = {
            node.unique_id: table.shields
            for contract in contracts
            for table in contract.tables
            if contract.is_of_source and (node := self._sources.get((contract.id, table.name)))
        }
        self._shields = Shields(project.nodes, landed)
        self.rules_change = False
        self.findings = list(self._bring_about())

    def write(self) -> list[Path]:
        """Write the changed files, and return them."""
        return sorted(file.path for file in self._files.values() if file.write())

    def texts(self) -> dict[Path, str]:
        """Return the new texts of the changed files."""
        return {file.path: file.text for file in self._files.values() if file.has_changed}

    def uncovered(self) -> Iterator[Finding]:
        """Yield tables of gold and landing tables without a contract; those of packages are left out."""
        covered = {table.relation for contract in self._contracts for table in contract.tables}
        for relation, node in sorted(self._models.items()):
            if relation not in covered and node.package_name == self._project.name:
                yield Finding(
                    node.original_file_path,
                    f"{relation} is published without a contract.",
                    f"To write one from its YAML: assay contracts adopt {node.name} --product <product>",
                )
        for (source, name), node in sorted(self._sources.items()):
            if f"{LANDING}.{node.identifier}" not in covered and node.package_name == self._project.name:
                yield Finding(
                    node.original_file_path,
                    f"{source}.{name} lands without a contract.",
                    f"Write contracts/{source}.odcs.yaml.",
                )

    def _bring_about(self) -> Iterator[Finding]:
        for contract in self._contracts:
            yield from self._server(contract)
            for table in contract.tables:
                try:
                    yield from self._table(contract, table)
                except Unenforceable as error:
                    yield Finding(contract.where(table.place), f"{table.relation}: {error}")
        yield from self._groups()
        yield from self._rules()

    def _server(self, contract: Contract) -> Iterator[Finding]:
        if lacks_server(contract):
            schema = contract.tables[0].relation.partition(".")[0]
            server = ", ".join(f"{key}: {value}" for key, value in make_published_server(schema).items())
            yield Finding(
                contract.where(("schema",)),
                f"{contract.id} has no servers, so other tools do not find its tables: add "
                f"servers: [{{{server}}}], and take {schema}. out of each physicalName.",
                _SYNC,
            )
            name_server(self._file(Path(contract.document.name)).content, schema)

    def _table(self, contract: Contract, table: Table) -> Iterator[Finding]:
        where = contract.where(table.place)
        if contract.is_of_source:
            node = self._sources.get((contract.id, table.name))
            file, entry = self.source_entry(contract, table, node)
            changes: Iterator[str] = chain(
                source_side.bring_about(contract, table, node, entry), self._promises(contract, table, node)
            )
        else:
            node = self._models.get(table.relation)
            if node is None:
                yield Finding(
                    where,
                    f"{table.relation} is no model of gold.",
                    "Correct physicalName, or take the table out of the contract.",
                )
                return
            file, entry = self._model_entry(node)
            unmarked = list(self._unmarked(table, node))
            for column, name, shield in unmarked:
                yield Finding(
                    contract.where(column.place),
                    f"{table.relation}.{column.name} passes on personal data of {name} ({PII}: {shield}), "
                    "and the contract does not say so; a key that is asked for is not hashed then.",
                    f"Write customProperties: [{{property: {PII}, value: {shield}}}] at it (or, if it is "
                    "other data, give it another name), then: assay contracts sync",
                )
            kept = {column.name for column, *_ in unmarked}
            changes = gold_side.bring_about(contract, table, node, entry, kept)
        for change in changes:
            self.rules_change |= change == source_side.CONTRACT_RULES
            yield Finding(where, f"{table.relation} differs in {file.path}: {change}.", _SYNC)

    def _unmarked(self, table: Table, node: Any) -> Iterator[tuple[Column, str, str]]:
        """Yield columns that pass on personal data and are not marked so, and whose it is, as names tell."""
        keys = (node.config.meta.get("feature_view") or {}).get("keys") or ()
        for column in table.columns:
            read = self._shields.inherited(column.name, node)
            personal = [(name, shield) for name, shield in read.items() if shield]
            was_marked = column.name in node.columns and node.columns[column.name].config.meta.get(PII)
            # Of what several tables have, such as a name, one alone may be personal.
            is_told = len(personal) == len(read) or was_marked or column.name in keys
            if personal and is_told and not column.pii:
                yield (column, *personal[0])

    def _promises(self, contract: Contract, table: Table, node: Any) -> Iterator[str]:
        """Add the test of a source's promises to the models that check its rows."""
        wanted = source_side.make_promise_test(contract, table)
        for model in self._project.checked_models(node.unique_id) if node else []:
            _, entry = self._model_entry(model)
            known = [test for test in gold_side.find_declared_tests(entry) if test.macro == PROMISES]
            yield from gold_side.bring_tests([wanted] if wanted else [], known, entry)

    def _file(self, path: Path) -> YamlFile:
        if path not in self._files:
            self._files[path] = YamlFile(path)
        return self._files[path]

    def _model_entry(self, node: Any) -> tuple[YamlFile, CommentedMap]:
        folder = Path(node.original_file_path).parent
        patch = node.patch_path.partition("://")[2] if node.patch_path else None
        file = self._file(Path(patch) if patch else folder / f"_{folder.name}__models.yml")
        return file, _named(file.content, "models", node.name)

    def source_entry(self, contract: Contract, table: Table, node: Any) -> tuple[YamlFile, CommentedMap]:
        """Return the YAML entry of a landing table, new if there is none, and its file."""
        file = self._file(Path(node.original_file_path) if node else self._folder(contract) / _SOURCES)
        source = _named(file.content, "sources", contract.id)
        if node is None and (purpose := join_words((contract.raw.get("description") or {}).get("purpose"))):
            gold_side.put(source, "description", source.get("description") or purpose)
        source.setdefault("schema", LANDING)
        entry = _named(source, "tables", table.name)
        entry.setdefault("identifier", f"{contract.id}__{table.name}")
        return file, entry

    def _groups(self) -> Iterator[Finding]:
        for file in bring_groups(self._contracts, self._models_of, self._file):
            yield Finding(str(file.path), "differs from the contracts' products and owners.", _SYNC)

    def _folder(self, contract: Contract) -> Path:
        """Return the model folder that a contract belongs to."""
        return self._models_of[Path(contract.document.name).parent]

    def _rules(self) -> Iterator[Finding]:
        """Yield rules that have another meaning in another source's contract, or in the platform's rules."""
        known = {
            str(rule["rule_id"]): (
                (str(rule["reason"]), str(rule["remedy"])),
                node.patch_path.partition("://")[2],
            )
            for node in self._project.models
            if node.name == _RULES
            for rule in node.config.meta.get("library_rules", [])
        }
        for contract in self._contracts:
            for table in contract.tables if contract.is_of_source else []:
                try:
                    rules = list(list_landing_rules(table))
                except Unenforceable:
                    continue
                for rule in rules:
                    meant = (rule.reason, rule.remedy)
                    first, place = known.setdefault(rule.rule_id, (meant, contract.document.name))
                    if meant != first:
                        yield Finding(
                            contract.where(table.place),
                            f"the rule {rule.rule_id} of {table.relation} means something else in {place}.",
                            "Give one reason and remedy to both, or two names.",
                        )


def bring_groups(
    contracts: list[Contract], models_of: Mapping[Path, Path], file_at: Callable[[Path], YamlFile]
) -> Iterator[YamlFile]:
    """Write each product as a dbt group with its owner into a file that holds nothing else.

    Args:
        contracts: all contracts of the project.
        models_of: the folders of contracts, each with that of its models.
        file_at: opens a file of YAML.

    Yields:
        The files that differed; they are changed, and not written.
    """
    groups: dict[Path, list[dict[str, Any]]] = {}
    for contract in contracts:
        if contract.tables and not contract.is_of_source:
            group = {"name": contract.id, "owner": {"name": contract.owner or contract.id}}
            groups.setdefault(models_of[Path(contract.document.name).parent], []).append(group)
    for folder, wanted in groups.items():
        file = file_at(folder / _GROUPS)
        if gold_side.make_plain(file.content.get("groups") or []) != wanted:
            file.content = CommentedMap({"groups": CommentedSeq(one_line(each) for each in wanted)})
            file.content.yaml_set_start_comment(_OF_GROUPS)
            yield file


def name_relation(node: Any) -> str:
    """Return a model's table in the form of contracts: `schema.table`."""
    return f"{node.schema}.{node.alias}"


def _named(holder: Any, key: str, name: str) -> CommentedMap:
    """Return the entry with a name in a list of entries; a missing one is added at the end."""
    entries = holder.setdefault(key, CommentedSeq())
    found = next((entry for entry in entries if entry.get("name") == name), None)
    if found is None:
        entries.append(found := CommentedMap({"name": name}))
    return cast(CommentedMap, found)
