"""Note the changes of schema that the declaration accepts now, whether a command or a person wrote it."""

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
    """Note the changes accepted since the last run, and reread the affected rows by the new declaration.

    Args:
        connection: a connection to the warehouse, without an open transaction.
        tables: the declared tables.
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
