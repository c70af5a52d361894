"""Find what sources miss: days without files or with too few rows, files not loaded, offsets of streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.places import Places
from assay.core.words import counted
from assay.gaps.files import FEWEST_DAYS, find_missing_days
from assay.landing.discover import is_backfilled
from assay.landing.segments import holes_between, merge_ranges, segment_of
from assay.ledger.backfills import Backfill, read_backfills
from assay.project.conventions import is_of_kind
from assay.project.graph import Manifest, descendant_ids, read_manifest
from assay.project.warehouse import attach, relation_named

_VOLUME = "mon_volume"
_NO_FILE = "no file landed"


@dataclass(frozen=True)
class Gap:
    """An interval that a source misses, and what rests on the source.

    `source` is the landing table as `source.table`, `first` and `last` are days (UTC), both included.
    `what` says what is missing.
    """

    source: str
    first: date
    last: date
    what: str
    features: list[str] = field(default_factory=list)
    training_sets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Gaps:
    """The gaps, by source and time, and how many sources were looked at.

    `unjudged` are sources of too few files to have a rhythm, with on how many days there were some. `newest`
    is the day (UTC) on which the newest file landed, from which on nothing can be missing yet.
    """

    found: list[Gap]
    sources: int
    unjudged: dict[str, int] = field(default_factory=dict)
    newest: date | None = None


def find_gaps(
    places: Places, *, source: str | None = None, since: date | None = None, until: date | None = None
) -> Gaps:
    """Return what the sources of a project miss, as the last build knows.

    Args:
        places: of the project.
        source: the only landing table to look at, as `source.table`.
        since: leave out what ended before this day.
        until: leave out what began after this day.

    Raises:
        Fault: nothing is built, a build has the warehouse, another program keeps the ledger open, there is
            no such source, or the days are in the wrong order.
    """
    if since and until and since > until:
        raise Fault(f"--to {until} is before --from {since}: there is no day in between.", MISUSED)
    manifest = read_manifest()
    if manifest is None or not places.warehouse.is_file():
        raise Fault(f"Nothing is built yet in {places.warehouse.parent}. To build: assay build")
    sources = {
        f"{each['source_name']}.{each['name']}": unique_id
        for unique_id, each in manifest.sources.items()
        if "landing" in (each["config"].get("meta") or {})
    }
    if source is not None and source not in sources:
        raise Fault(unknown(f"{source} is no landing table", source, sorted(sources)), MISUSED)
    with duckdb.connect() as connection:
        try:
            attach(connection, places.warehouse, "warehouse")
            connection.execute("use warehouse")
            files = _read_files(connection)
        except duckdb.CatalogException as error:
            raise Fault(f"{places.warehouse} has loaded no files yet. To build: assay build") from error
        except duckdb.Error as error:
            raise known_fault(error) or error from error
        found = [*_of_files(files), *_of_offsets(connection), *_of_volume(connection, manifest)]
    loaded = {file.name for file in files if file.status == "loaded"}
    # A backfill that was ended before its build has brought nothing yet.
    backfills = [each for each in read_backfills(places.ledger) if loaded.intersection(each.files)]
    resting = {name: _rest_on(manifest, unique_id) for name, unique_id in sources.items()}
    wanted = [
        replace(gap, what=_what_of(gap, backfills), features=features, training_sets=training_sets)
        for gap in sorted(found, key=lambda gap: (gap.source, gap.first, gap.last, gap.what))
        if gap.source in sources
        and source in (None, gap.source)
        and (since is None or gap.last >= since)
        and (until is None or gap.first <= until)
        for features, training_sets in [resting[gap.source]]
    ]
    looked_at = [source] if source else sorted(sources)
    return Gaps(wanted, len(looked_at), _unjudged(looked_at, files), _newest_day(files))


@dataclass(frozen=True)
class _File:
    source: str
    landed_at: datetime
    name: str
    status: str
    error: str | None

    @property
    def has_rhythm(self) -> bool:
        """Whether it is part of its source's rhythm, which segments of streams and backfills are not."""
        return self.status == "loaded" and segment_of(self.name) is None and not is_backfilled(self.name)


def _read_files(connection: duckdb.DuckDBPyConnection) -> list[_File]:
    rows = connection.execute(
        """
        select source_name || '.' || table_name as source, landed_at, source_file, status, error
        from landing.files
        qualify row_number() over (partition by source_file order by file_version desc) = 1
        order by source, landed_at, source_file
        """
    ).fetchall()
    return [_File(*row) for row in rows]


def _of_files(files: Sequence[_File]) -> Iterator[Gap]:
    # The last day that is over by the warehouse's own clock: the demo's data ends in the past.
    until = (_newest_day(files) or date.max) - timedelta(days=1)
    for source, several in groupby(files, lambda file: file.source):
        own = list(several)
        for file in own:
            if file.status == "failed":
                day = file.landed_at.date()
                yield Gap(source, day, day, f"{file.name} is not loaded: {file.error}")
        days = Counter(file.landed_at.date() for file in own if file.has_rhythm)
        for first, last in find_missing_days(days, until):
            yield Gap(source, first, last, _NO_FILE)


def _newest_day(files: Sequence[_File]) -> date | None:
    # A backfill says nothing of how far the sources have come.
    return max((file.landed_at.date() for file in files if not is_backfilled(file.name)), default=None)


def _unjudged(sources: Sequence[str], files: Sequence[_File]) -> dict[str, int]:
    """Return the sources whose files came on too few days to tell which are missing, with these."""
    streamed = {file.source for file in files if segment_of(file.name)}
    days = Counter(
        source for source, _ in {(file.source, file.landed_at.date()) for file in files if file.has_rhythm}
    )
    return {each: days[each] for each in sources if each not in streamed and days[each] < FEWEST_DAYS}


def _what_of(gap: Gap, backfills: list[Backfill]) -> str:
    """Return what is missing; of days without files also what was backfilled of them.

    Such days stay gaps: nobody knows whether the backfill has all rows of the files that did not land.
    """
    if gap.what != _NO_FILE:
        return gap.what
    # Files land during the days of their rows, or on the day behind.
    filled = [
        f"{each.from_at:%Y-%m-%d} to {each.to_at:%Y-%m-%d}"
        for each in reversed(backfills)
        if each.source == gap.source and each.from_at.date() <= gap.last and each.to_at.date() >= gap.first
    ]
    return "; backfilled: ".join([gap.what, *filter(None, [", ".join(dict.fromkeys(filled))])])


def _of_offsets(connection: duckdb.DuckDBPyConnection) -> Iterator[Gap]:
    rows = connection.execute(
        "select source_name || '.' || table_name, source_file, landed_at from landing.files "
        "where status in ('loaded', 'covered') order by landed_at"
    ).fetchall()
    partitions: dict[tuple[str, str, int], list[tuple[int, int, datetime]]] = {}
    for source, name, landed_at in rows:
        if segment := segment_of(name):
            place = (source, segment.topic, segment.partition)
            partitions.setdefault(place, []).append((segment.first, segment.last, landed_at))
    for (source, topic, partition), segments in partitions.items():
        ranges = merge_ranges((first, last) for first, last, _ in segments)
        for first, last in holes_between(ranges):
            before = max(landed_at for _, end, landed_at in segments if end < first)
            after = min(landed_at for begin, _, landed_at in segments if begin > last)
            what = f"{counted(last - first + 1, 'offset')} of {topic}/{partition}: {first} to {last}"
            yield Gap(source, min(before, after).date(), max(before, after).date(), what)


def _of_volume(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> Iterator[Gap]:
    relation = relation_named(connection, _VOLUME)
    if relation is None:
        return
    rows = connection.execute(
        f"select table_name, verdict, event_on, row_count, expected_rows from {relation} order by all"
    ).fetchall()
    for table, days in groupby(rows, lambda row: row[0]):
        sources = [f"{each['source_name']}.{each['name']}" for each in manifest.sources_of(table).values()]
        by_time = sorted(days, key=lambda row: row[2])
        for is_short, several in groupby(by_time, lambda row: row[1] in ("missing", "low")):
            run = list(several)
            if is_short:
                there, expected = sum(row[3] for row in run), sum(row[4] for row in run)
                what = f"{there:,} rows in {table}, where about {expected:,.0f} are usual"
                yield from (Gap(source, run[0][2], run[-1][2], what) for source in sources)


def _rest_on(manifest: Manifest, source: str) -> tuple[list[str], list[str]]:
    """Return the feature views and training sets that read a source, directly or through others."""
    ids = descendant_ids([source], manifest.nodes)
    below = [manifest.nodes[each] for each in ids if each in manifest.nodes]
    views, sets = (
        sorted(str(node["name"]) for node in below if is_of_kind(node, kind))
        for kind in ("feature_views", "training_sets")
    )
    return views, sets
