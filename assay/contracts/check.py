"""Check contracts against each other, dbt's YAML and the data, and update the YAML from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import FOLDER, Contract, read_contracts
from assay.contracts.data_side import find_data_differences
from assay.contracts.document import SUFFIX, Finding
from assay.contracts.silver_side import find_unchecked_rules
from assay.core.fault import MISUSED, Fault
from assay.core.pickled import keep_pickled, read_pickled
from assay.core.places import find_places, require_project
from assay.project.code_files import read_code
from assay.project.packages import make_linked_packages_ready
from assay.project.paths import contract_folders
from assay.project.project import Project

_KEPT = "assay_contracts.pickle"


@dataclass
class Checked:
    """The findings of a check, and whether there was a warehouse to compare; `written` are a sync's files.

    `is_sound` is false if a contract has mistakes of its own, and so was compared with nothing.
    """

    contracts: list[Contract]
    findings: list[Finding]
    has_data: bool = False
    written: list[Path] = field(default_factory=list)
    rules_changed: bool = False
    is_sound: bool = True


def check_project() -> Checked:
    """Check the contracts of the project in the current folder, also against what is built.

    Raises:
        Fault: dbt cannot parse the project.
    """
    checked = check_code()
    warehouse = find_places(None).warehouse
    if checked.is_sound and warehouse.exists():
        differences = find_data_differences(checked.contracts, warehouse)
        return replace(checked, findings=[*checked.findings, *differences], has_data=True)
    return checked


def check_code() -> Checked:
    """Check the contracts of the project in the current folder against each other and dbt's YAML.

    Raises:
        Fault: dbt cannot parse the project.
    """
    require_project()
    make_linked_packages_ready()
    code = read_code()
    key = (code.settings, code.nodes)
    kept = read_pickled(_KEPT, key)
    contracts, findings = kept or _read(may_be_none=True)
    if not kept:
        if findings:
            # A contract with mistakes of its own would differ from everything, so it is not compared.
            return Checked(contracts, findings, is_sound=False)
        findings = _compare_with_project(contracts)
        # All of it follows from the project's files. What the warehouse holds does not.
        keep_pickled(_KEPT, key, (contracts, findings))
    return Checked(contracts, findings)


def _compare_with_project(contracts: list[Contract]) -> list[Finding]:
    from assay.contracts.dbt_side import DbtSide

    project = Project()
    side = DbtSide(contracts, project)
    return [*side.findings, *side.uncovered(), *find_unchecked_rules(contracts, project)]


def sync_project() -> Checked:
    """Write what the contracts of the project require into dbt's YAML.

    Returns:
        The written files; or the findings that stop the sync, in which case nothing is written.

    Raises:
        Fault: there are none, or dbt cannot parse the project.
    """
    contracts, findings = _read()
    if findings:
        return Checked(contracts, findings)
    from assay.contracts.dbt_side import DbtSide

    side = DbtSide(contracts, Project(unfinished=True))
    if impossible := [finding for finding in side.findings if not finding.remedy.endswith("sync")]:
        return Checked(contracts, impossible)
    written = side.write()
    return Checked(contracts, [], written=written, rules_changed=side.rules_change)


def _read(*, may_be_none: bool = False) -> tuple[list[Contract], list[Finding]]:
    contracts, findings = read_contracts(*contract_folders(FOLDER))
    if not (contracts or findings or may_be_none):
        raise Fault(
            f"There is no contract in {FOLDER}/: they are files named <source or product>{SUFFIX}. "
            "To begin one: assay contracts adopt <model> --product <product> --owner <team>",
            MISUSED,
        )
    return contracts, [*findings, *find_inconsistencies(contracts)]
