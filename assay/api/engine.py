"""The part of a project that tells where its nodes are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import PrintedList

if TYPE_CHECKING:
    from assay.spark.plan import PlannedNode


class Engine(ProjectFolder):
    """Where the nodes of a project are computed: on this machine, or key by key on many."""

    def plan(self, select: str | None = None) -> PrintedList[PlannedNode]:
        """Tell where each model, snapshot and seed is computed, why, and how much it reads, by name.

        Args:
            select: a part of the project, in dbt's selection syntax; all of it without.

        Raises:
            Fault: nothing is built, dbt cannot compile the project, or `select` matches nothing.
        """
        from assay.spark.display import print_plan
        from assay.spark.plan import make_plan

        with self.places() as places:
            return PrintedList(make_plan(places, select), print_plan, self.root)
