"""The contracts of a project's sources and products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found, PrintedList
from assay.core.fault import known_errors_as_faults

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.contracts.check import Checked
    from assay.contracts.diff import Change


class Contracts:
    """Contracts in the Open Data Contract Standard.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def check(self) -> Found[Checked]:
        """Check that contracts, dbt's YAML and the data agree; `found.findings` says where they do not.

        Raises:
            Fault: there is no contract, or dbt cannot parse the project.
        """
        from assay.contracts.check import check_project
        from assay.contracts.display import print_check

        with self._project.places():
            return Found(check_project(), print_check, self._project.root)

    def sync(self) -> Found[Checked]:
        """Write what contracts ask for into dbt's YAML; a second run changes nothing.

        Returns:
            `found.written` are the files; where `found.findings` has any, nothing is written.

        Raises:
            Fault: there is no contract, or dbt cannot parse the project.
        """
        from assay.contracts.check import sync_project
        from assay.contracts.display import print_sync

        with self._project.places():
            return Found(sync_project(), print_sync, self._project.root)

    def adopt(self, model: str, *, product: str, owner: str | None = None) -> Path:
        """Begin a model's contract with what its YAML says, and return the contract's file.

        Args:
            model: a model of schema gold.
            product: the product that it is part of.
            owner: who answers for the product, if it is new.

        Raises:
            Fault: there is no such model in gold, it is in the contract already, a column is of no known
                type, or a new product has no owner.
        """
        from assay.contracts.adopt import adopt
        from assay.project.project import Project

        with self._project.places():
            return adopt(Project(), model, product, owner)


def compare_contracts(old: str | Path, new: str | Path) -> PrintedList[Change]:
    """Tell what a change of a contract breaks for its readers; `is_breaking` of each change says so.

    Args:
        old: a contract's file, or `REVISION:PATH` of the git repository of the current folder.
        new: the same contract later.

    Raises:
        Fault: there is no such file, or it does not conform to the standard.
    """
    from assay.contracts.diff import compare, load
    from assay.contracts.display import print_diff

    with known_errors_as_faults():
        return PrintedList(compare(load(str(old)), load(str(new))), print_diff, Path.cwd())
