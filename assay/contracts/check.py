"""Check contracts against each other, dbt's YAML and the data; bring the YAML to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assay.contracts.consistency import inconsistencies
from assay.contracts.contract import FOLDER, Contract, read_contracts
from assay.contracts.data_side import data_findings
from assay.contracts.dbt_side import DbtSide
from assay.contracts.document import SUFFIX, Finding
from assay.contracts.silver_side import rules_nobody_checks
from assay.core.fault import MISUSED, Fault
from assay.core.places import find_places
from assay.project.paths import contract_folders
from assay.project.project import Project


@dataclass
class Checked:
    """What a check found; `has_data` where there was a warehouse to look at, `written` what a sync wrote."""

    contracts: list[Contract]
    findings: list[Finding]
    has_data: bool = False
    written: list[Path] = field(default_factory=list)
    rules_changed: bool = False


def check_project() -> Checked:
    """Check the contracts of the project in the current folder.

    Raises:
        Fault: there are none, or dbt cannot parse the project.
    """
    contracts, findings = _read()
    if findings:
        # What cannot be read right would only be found different everywhere.
        return Checked(contracts, findings)
    project = Project()
    side = DbtSide(contracts, project)
    findings = [*side.findings, *side.uncovered(), *rules_nobody_checks(contracts, project)]
    warehouse = find_places(None).warehouse
    if has_data := warehouse.exists():
        findings += data_findings(contracts, warehouse)
    return Checked(contracts, findings, has_data)


def sync_project() -> Checked:
    """Write what the contracts of the project ask of dbt's side.

    Returns:
        What was written; and as findings what keeps contracts from being followed, in which case nothing is.

    Raises:
        Fault: there are none, or dbt cannot parse the project.
    """
    contracts, findings = _read()
    if findings:
        return Checked(contracts, findings)
    side = DbtSide(contracts, Project(unfinished=True))
    if impossible := [finding for finding in side.findings if not finding.remedy.endswith("sync")]:
        return Checked(contracts, impossible)
    written = side.write()
    return Checked(contracts, [], written=written, rules_changed=side.rules_change)


def _read() -> tuple[list[Contract], list[Finding]]:
    contracts, findings = read_contracts(*contract_folders(FOLDER))
    if not contracts and not findings:
        raise Fault(
            f"There is no contract in {FOLDER}/: they are files named <source or product>{SUFFIX}. "
            "To begin one: assay contracts adopt <model> --product <product> --owner <team>",
            MISUSED,
        )
    return contracts, [*findings, *inconsistencies(contracts)]
