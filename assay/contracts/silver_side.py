"""Check that silver's SQL names the rules that a contract leaves to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from assay.contracts.contract import Contract
from assay.contracts.document import Finding
from assay.contracts.landing_rules import CHECKED_BY, SILVER, list_landing_rules
from assay.project.project import Project


def find_unchecked_rules(contracts: Iterable[Contract], project: Project) -> Iterator[Finding]:
    """Yield the rules that silver should check, but that no SQL downstream of the landing table names."""
    tables = project.landing_tables
    for contract in contracts:
        for table in contract.tables if contract.is_of_source else []:
            node = tables.get((contract.id, table.name))
            code = project.code_behind(node.unique_id) if node else ""
            for rule in list_landing_rules(table):
                if not rule.test and f"'{rule.rule_id}'" not in code:
                    yield Finding(
                        contract.where(table.place),
                        f"{table.relation} leaves the rule {rule.rule_id} to silver, where no SQL names it.",
                        f"Write the rule into silver, or take {CHECKED_BY}: {SILVER} out.",
                    )
