"""What a project fetches by itself: sources of dlt, into its landing zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import PrintedList
from assay.core.fault import Fault

if TYPE_CHECKING:
    from assay.dlt.land import LandedSource


class Landing(ProjectFolder):
    """Lands what other systems have."""

    def land_dlt(self, place: str, *, into: str | None = None) -> PrintedList[LandedSource]:
        """Fetch what is new in a source of dlt, and land it, each row once.

        Args:
            place: `module:name` of a source or resource of dlt, or of a function without arguments that
                returns one; the module may lie in the project.
            into: the source, or the table of a source with one resource, that rows land in; without it,
                dlt's name for the source.

        Raises:
            Fault: dlt is not installed, there is no such source, it cannot be read, or another process lands
                it.
        """
        from assay.dlt.land import land_source
        from assay.dlt.progress import shown_rows
        from assay.dlt.source import choose_target, find_source

        with self.places() as places:
            source = find_source(place)
            target = choose_target(place, source, into)
            with shown_rows(self.console, place) as collector:
                landed = land_source(place, source, target, places.landing, collector)
        return self._told([landed])

    def land_declared(self, names: Sequence[str] = ()) -> PrintedList[LandedSource]:
        """Land the sources of dlt that contracts name under `servers`, each for itself.

        Args:
            names: of what they fill, `source` or `source.table`; all without any.

        Returns:
            What landed; a source that failed says why, and stops no other.

        Raises:
            Fault: no contract names one, or none fills what is named.
        """
        from assay.dlt.declared import choose_declared
        from assay.dlt.land import LandedSource

        with self.places():
            declared = choose_declared(names)
        landed: list[LandedSource] = []
        for each in declared:
            try:
                landed += self.land_dlt(each.place, into=str(each.target))
            except Fault as fault:
                landed.append(LandedSource(each.place, str(each.target), error=str(fault)))
        return self._told(landed)

    def _told(self, landed: list[LandedSource]) -> PrintedList[LandedSource]:
        from assay.dlt.display import print_landed_sources
        from assay.landing.declared import declared_tables
        from assay.project.paths import all_model_paths

        with self.places():
            declared = {f"{source}.{table}" for source, table in declared_tables(*all_model_paths())}
        return PrintedList(
            landed, lambda found, console: print_landed_sources(found, declared, console), self.root
        )
