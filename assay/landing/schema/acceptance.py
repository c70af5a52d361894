"""Changes that the declaration has come to take: whoever wrote it there, by a command or by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby

import duckdb

from assay.landing.declared import LandingTable
from assay.landing.schema.sightings import accept_sightings, open_sightings
from assay.landing.schema.treat import read_again


def take_accepted(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[tuple[str, str], LandingTable],
    accepted_at: datetime,
) -> None:
    """Note what has been accepted since the last run, and read the rows concerned as they are declared now.

    Args:
        connection: to the warehouse, with no transaction under way.
        tables: what is declared.
        accepted_at: the time of the run (UTC).
    """
    for place, group in groupby(open_sightings(connection), key=lambda each: each.place):
        table = tables.get(place)
        accepted = [sighting for sighting in group if sighting.change.is_accepted(table)]
        if not accepted:
            continue
        connection.begin()
        try:
            accept_sightings(connection, accepted, accepted_at)
            if table:
                read_again(connection, table, accepted)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
