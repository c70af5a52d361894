"""The roles of a project: who may read what of gold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from assay.api.printed import PrintedList

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.build.roles import RoleFile
    from assay.contracts.grants import Role


class Roles:
    """Roles, as contracts declare them, and the files that their readers open.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def list(self) -> PrintedList[Role]:
        """Return the roles: which tables each may read, which columns are hidden or changed, and which rows.

        Raises:
            Fault: a contract with roles has mistakes, or the catalog of a lake in Postgres cannot be reached.
        """
        from assay.contracts.roles import read_roles
        from assay.contracts.roles_display import print_roles
        from assay.project.shared_lake import is_shared

        with self._project.places() as places:
            roles, in_lake = read_roles(), None
            if is_shared(places.warehouse):
                from assay.lake.readable import tell_readable

                in_lake = tell_readable(places.warehouse, roles)
            return PrintedList(roles, partial(print_roles, in_lake=in_lake), self._project.root)

    def apply(self, *, wait: float = 0) -> PrintedList[RoleFile]:
        """Write the files of roles of which the contract, the key or what is published has changed.

        Args:
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: a contract with roles has mistakes, nothing is published, a build is under way, or a file
                cannot be written.
        """
        from assay.build.roles import apply_roles
        from assay.build.roles_display import print_role_files

        with self._project.places() as places, self._project.display() as display:
            done = apply_roles(places, wait=wait, tell=display.say)
        return PrintedList(done, print_role_files, self._project.root)
