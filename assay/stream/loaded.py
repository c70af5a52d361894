"""Read which segments the warehouse has loaded."""

from __future__ import annotations

import duckdb

from assay.core.places import Places
from assay.landing.past import has_landing


def read_loaded_files(places: Places) -> set[str]:
    """Return the files that the warehouse has loaded, by their paths within the landing zone.

    Raises:
        duckdb.Error: a build is under way, or the warehouse cannot be opened.
    """
    if not places.warehouse.exists() or not has_landing(places.warehouse):
        return set()
    with duckdb.connect(str(places.warehouse), read_only=True) as connection:
        found = connection.execute("select source_file from landing.files where status = 'loaded'").fetchall()
    return {name for (name,) in found}
