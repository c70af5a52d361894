"""Read which segments the warehouse has loaded."""

from __future__ import annotations

from assay.core.places import Places
from assay.landing.past import has_landing
from assay.project.warehouse import connect


def read_loaded_files(places: Places) -> set[str]:
    """Return the files that the warehouse has loaded, by their paths within the landing zone.

    Raises:
        duckdb.Error: a build is under way, or the warehouse cannot be opened.
    """
    if not places.warehouse.exists() or not has_landing(places.warehouse):
        return set()
    with connect(places.warehouse) as connection:
        found = connection.execute("select source_file from landing.files where status = 'loaded'").fetchall()
    return {name for (name,) in found}
