"""Say what a backfill will read, write and cost, before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.moment import instant, length_of, now
from assay.core.places import Places
from assay.landing.declared import LandingTable, declared_tables
from assay.landing.discover import UnreadableFile, backfill_folders
from assay.landing.read import find_reader
from assay.ledger.nodes import read_nodes
from assay.ledger.runs import read_runs
from assay.project.conventions import is_of_kind
from assay.project.graph import Manifest, Node, descendant_ids, parent_ids, read_manifest, relation_of
from assay.project.paths import all_model_paths
from assay.project.warehouse import connect

_EVENT = "event+"


@dataclass(frozen=True)
class PlannedFile:
    """A file that is to land.

    `landed_as` is the file of the landing zone with the same content, which makes it needless; where that
    `waits`, the next build loads it.
    """

    path: Path
    size: int
    content: str
    landed_as: str | None
    waits: bool = False


@dataclass(frozen=True)
class BackfillPlan:
    """What a backfill of a table is to do.

    Attributes:
        source: `source.table`.
        start: the first moment of the interval (UTC).
        end: the first moment behind it.
        lag: how long after its event each row would have been available; None to count from landing.
        files: what lands, and what has landed already.
        folder: where files land, below the landing zone.
        landed_at: when they land.
        checked: the model of silver that checks the rows; None where there is none.
        rows_before: how many rows silver keeps of the interval; None where nothing is built yet.
        downstream: names of the models that are built again.
        views: of these, the feature views.
        training_sets: of these, the training sets.
        seconds: how long the models took when they were built last; None where they never were.
    """

    source: str
    start: datetime
    end: datetime
    lag: timedelta | None
    files: list[PlannedFile]
    folder: Path
    landed_at: datetime
    checked: Node | None
    rows_before: int | None
    downstream: list[str]
    views: list[str]
    training_sets: list[str]
    seconds: float | None

    @property
    def to_land(self) -> dict[Path, Path]:
        """Where each file goes that has not landed yet, below the landing zone."""
        names: dict[Path, Path] = {}
        for file in self.files:
            if file.landed_as is None:
                target = self.folder / file.path.name
                if target in names.values():
                    target = self.folder / f"{file.content[:8]}-{file.path.name}"
                names[file.path] = target
        return names

    @property
    def waiting(self) -> list[str]:
        """The files that an earlier backfill, which was ended before its build, has landed."""
        return [file.landed_as for file in self.files if file.landed_as and file.waits]


def plan_backfill(
    places: Places, source: str, start: str, end: str, files: Sequence[Path], available: str | None
) -> BackfillPlan:
    """Plan to land files late.

    Args:
        places: of the project.
        source: `source.table`, as the project declares it.
        start: the first day or moment that the files are of (UTC).
        end: the first day or moment behind.
        files: the files.
        available: `event+LAG`: how long after its event each row would have been available; None to have
            rows count from when they land.

    Raises:
        Fault: a name, moment, length or file is of no use.
    """
    table = _declared(source)
    begin, behind = _moment("--from", start), _moment("--to", end)
    if behind <= begin:
        raise Fault(f"--to {end} is not after --from {start}: the interval is empty.", MISUSED)
    lag = _lag(available)
    if not files:
        how = "assay stream run fetches what the broker still has" if table.is_streamed else "name them"
        raise Fault(f"There are no files to land of {source}: {how}, with --files PATH.", MISUSED)
    landed_at = now().replace(microsecond=0)
    if begin > landed_at:
        raise Fault(f"--from {start} lies in the future: there is no history of it that could land.", MISUSED)
    loaded, waiting = _loaded_contents(places, table), _waiting_contents(places, table, lag, files)
    planned = [_planned(path, table, loaded, waiting) for path in _distinct(files)]
    manifest = read_manifest()
    checked = _checked(manifest, table) if manifest else None
    below = _downstream(manifest, table) if manifest else []
    return BackfillPlan(
        source,
        begin,
        behind,
        lag,
        planned,
        Path(table.source) / table.name / backfill_folders(landed_at, lag),
        landed_at,
        checked,
        _rows_in(places, checked, begin, behind),
        [node["name"] for node in below],
        [node["name"] for node in below if is_of_kind(node, "feature_views")],
        [node["name"] for node in below if is_of_kind(node, "training_sets")],
        _seconds(places, below),
    )


def _declared(source: str) -> LandingTable:
    tables = {
        f"{name}.{table}": found for (name, table), found in declared_tables(*all_model_paths()).items()
    }
    if source not in tables:
        raise Fault(f"No landing table {source} is declared: there are {', '.join(sorted(tables))}.", MISUSED)
    return tables[source]


def _moment(option: str, text: str) -> datetime:
    moment = instant(text)
    if moment is None:
        raise Fault(f"{option} {text} is no day or time: write it as 2025-06-30.", MISUSED)
    return moment


def _lag(available: str | None) -> timedelta | None:
    if available is None:
        return None
    try:
        if not available.startswith(_EVENT):
            raise ValueError
        lag = length_of(available.removeprefix(_EVENT))
    except (KeyError, ValueError, OverflowError) as error:
        raise Fault(
            f"--available {available} says nothing: write event+0s, event+2h or event+1d, how long after its "
            "event a row would have been there.",
            MISUSED,
        ) from error
    if lag % timedelta(seconds=1) or not timedelta(0) <= lag < timedelta(days=10_000):
        raise Fault(f"--available {available}: whole seconds, from 0s up to 10,000 days.", MISUSED)
    return lag


def _distinct(files: Sequence[Path]) -> list[Path]:
    return list({path.resolve(): path for path in files}.values())


def _planned(path: Path, table: LandingTable, loaded: dict[str, str], waiting: dict[str, str]) -> PlannedFile:
    try:
        content, size = _content(path), path.stat().st_size
    except OSError as error:
        raise Fault(
            f"{path} cannot be read ({error.strerror}): name files that are there.", MISUSED
        ) from error
    if path.name.startswith((".", "_")):
        raise Fault(f"{path.name} begins with {path.name[0]}, and such files never land: rename it.", MISUSED)
    try:
        find_reader(path, table)
    except UnreadableFile as error:
        raise Fault(f"{path}: {error}", MISUSED) from error
    waits = content not in loaded and content in waiting
    return PlannedFile(path, size, content, loaded.get(content) or waiting.get(content), waits)


def _content(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _loaded_contents(places: Places, table: LandingTable) -> dict[str, str]:
    """Return the names of the files of a table that are loaded, by their content."""
    sql = (
        "select content_sha256, min(source_file) from landing.files "
        "where status = 'loaded' and source_name = ? and table_name = ? group by all"
    )
    return dict(_ask(places, sql, [table.source, table.name], "landing", "files"))


def _waiting_contents(
    places: Places, table: LandingTable, lag: timedelta | None, files: Sequence[Path]
) -> dict[str, str]:
    """Return what backfills with the same lag have landed that may be one of these files, by its content."""
    sizes = {path.stat().st_size for path in files if path.is_file()}
    folder = backfill_folders(now(), lag).partition("/")[2]
    found: dict[str, str] = {}
    for file in sorted((places.landing / table.source / table.name).glob(f"*/{folder}/[!.]*")):
        if file.is_file() and file.stat().st_size in sizes:
            found.setdefault(_content(file), file.relative_to(places.landing).as_posix())
    return found


def _checked(manifest: Manifest, table: LandingTable) -> Node | None:
    """Return the model of silver that checks the rows of a landing table."""
    for node in manifest.nodes.values():
        if is_of_kind(node, "checked_rows"):
            above = {id_ for parent in manifest.parents(node) for id_ in parent_ids(parent)}
            if above.intersection(_sources(manifest, table)):
                return node
    return None


def _sources(manifest: Manifest, table: LandingTable) -> list[str]:
    """Return the ids under which the manifest has a landing table."""
    return [
        id_
        for id_, node in manifest.sources.items()
        if (node["source_name"], node["name"]) == (table.source, table.name)
    ]


def _downstream(manifest: Manifest, table: LandingTable) -> list[Node]:
    """Return the models that rest on a landing table, by name."""
    found = descendant_ids(_sources(manifest, table), manifest.nodes)
    nodes = [manifest.nodes[id_] for id_ in found if id_ in manifest.nodes]
    models = [node for node in nodes if node["resource_type"] == "model"]
    return sorted(models, key=lambda node: str(node["name"]))


def _rows_in(places: Places, checked: Node | None, begin: datetime, behind: datetime) -> int | None:
    if checked is None:
        return None
    sql = (
        f"select count(*) from {relation_of(checked)} "
        "where rule_ids is null and event_at >= ? and event_at < ?"
    )
    found = _ask(places, sql, [begin, behind], checked["schema"], checked["alias"])
    return int(found[0][0]) if found else None


def _ask(
    places: Places, sql: str, parameters: Sequence[object], schema: str, table: str
) -> list[tuple[Any, ...]]:
    """Ask the warehouse; nothing is found where it has no such table.

    Raises:
        Fault: the warehouse cannot be opened, such as during a build.
    """
    if not places.warehouse.exists():
        return []
    try:
        with connect(places.warehouse) as connection:
            there = connection.execute(
                "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
                [schema, table],
            ).fetchall()
            return connection.execute(sql, parameters).fetchall() if there else []
    except duckdb.Error as error:
        raise known_fault(error) or error from error


def _seconds(places: Places, nodes: Sequence[Node]) -> float | None:
    """Return how long nodes took when they were built last."""
    built = str(places.warehouse)
    runs = (each for each in read_runs(places.ledger) if each.warehouse == built)
    run = next((each for each in runs if each.status == "succeeded"), None)
    if run is None:
        return None
    took = {each.unique_id: each.seconds for each in read_nodes(places.ledger, run.run_id)}
    return sum(took.get(node["unique_id"], 0.0) for node in nodes)
