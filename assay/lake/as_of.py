"""Read the value of the option `--as-of`: a moment, or a snapshot of a lake by its number or a name."""

from __future__ import annotations

from datetime import datetime

from assay.core.fault import MISUSED, Fault
from assay.core.moment import instant, read_moment
from assay.core.places import Places
from assay.core.words import listed
from assay.lake.catalog import read_tags, require_lake
from assay.project.lake import is_lake, open_catalog

_NAMES_TOLD = 10


def find_as_of(places: Places, asked: datetime | str | int) -> tuple[datetime | None, int | None]:
    """Return the moment that is asked for (UTC), or the number of the snapshot.

    Args:
        places: of the project.
        asked: a moment, UTC where it has no offset; or the number of a snapshot of the lake, or its name.

    Raises:
        Fault: it is neither, a moment to come, a snapshot that is expired, or the warehouse is no lake.
    """
    if isinstance(asked, datetime) or (isinstance(asked, str) and instant(asked)):
        return read_moment(asked), None
    if not is_lake(places.warehouse):
        raise Fault(
            f"--as-of {asked} is not a time: write it as 2025-06-30 or 2025-06-30T12:00:00+02:00 (UTC where "
            f"no offset is given). The warehouse {places.warehouse} is one file, which has no snapshots: "
            "only a lake has them, and names for them (ASSAY_TARGET=lake).",
            MISUSED,
        )
    catalog = require_lake(places)
    tags = read_tags(catalog)
    if str(asked) in tags:
        return None, tags[str(asked)]
    if not str(asked).strip().isdecimal():
        names = listed(sorted(tags), _NAMES_TOLD) if tags else "none"
        raise Fault(
            f"--as-of {asked} is neither a time, such as 2025-06-30, nor the number or name of a snapshot of "
            f"the lake. Names there are: {names}. To list all snapshots: assay lake snapshots",
            MISUSED,
        )
    number = int(asked)
    with open_catalog(catalog) as database:
        kept = database.execute("select snapshot_id from ducklake_snapshot").fetchall()
    numbers = {each for (each,) in kept}
    if number > max(numbers):
        raise Fault(
            f"There is no snapshot {number} of the lake yet; the newest is {max(numbers)}. "
            "To list them: assay lake snapshots",
            MISUSED,
        )
    if number not in numbers:
        raise Fault(
            f"Snapshot {number} of the lake is expired: its rows can be read no more. Those that are kept: "
            "assay lake snapshots. One that has a name does not expire: assay lake tag NAME",
            MISUSED,
        )
    return None, number
