"""Note in the catalog of a lake which snapshots builds that passed have left, and what these declared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.sql import text
from assay.project.lake import open_catalog, read_newest_snapshot
from assay.project.shared_lake import has_table, is_shared

# What is declared changes seldom, and so is kept once for all builds.
_TABLES = (
    "create table if not exists assay_declared (sha256 text primary key, content text not null)",
    "create table if not exists assay_builds (snapshot_id bigint primary key, run_id text not null, "
    "code_version text, dbt_version text not null, sha256 text not null, waiting text not null)",
)
_COLUMNS = "snapshot_id, run_id, code_version, dbt_version, waiting"


@dataclass(frozen=True)
class BuildInLake:
    """A build that passed and was published, and the snapshot that it left.

    `declared` has for each kind (`training_sets`, `corpora`) by name what rows and columns are.
    `code_version` is the git commit, None without git. `waiting` has the sets that waited for their time
    (`refresh_every`), and the earlier snapshot in which each was built. `products` are those that it
    published.
    """

    snapshot: int
    run_id: str
    code_version: str | None
    dbt_version: str
    waiting: dict[str, int]
    declared: dict[str, Any]
    products: dict[str, Any]


def note_build(
    catalog: Path,
    run_id: str,
    code_version: str | None,
    dbt_version: str,
    declared: dict[str, Any],
    waiting: dict[str, int],
    products: dict[str, Any],
) -> None:
    """Note that the newest snapshot of a lake is what a build has left, which passed and was published.

    Args:
        catalog: of the lake, which the caller has locked.
        run_id: of the build.
        code_version: the git commit that was built.
        dbt_version: that built it.
        declared: what each training set and corpus declares, by its kind and its name.
        waiting: the earlier snapshots in which training sets were built that waited, by their names.
        products: those that the build has published.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    content = json.dumps({"declared": declared, "products": products}, sort_keys=True)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    version = "null" if code_version is None else text(code_version)
    with open_catalog(catalog, read_only=False) as database:
        for table in _TABLES:
            database.execute(table)
        database.execute(
            f"insert into assay_declared values ({text(sha256)}, {text(content)}) on conflict do nothing"
        )
        _put(
            database,
            f"{text(run_id)}, {version}, {text(dbt_version)}, {text(sha256)}, {text(json.dumps(waiting))}",
        )


def carry_build(catalog: Path, snapshot: int | None) -> None:
    """Note that the newest snapshot holds the same values as another, which a build has left.

    Args:
        catalog: of the lake, which the caller has locked.
        snapshot: the number of the other; one that no build has left is let be.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    if snapshot is None or snapshot == read_newest_snapshot(catalog):
        return
    if build := find_build(catalog, snapshot):
        note_build(
            catalog,
            build.run_id,
            build.code_version,
            build.dbt_version,
            build.declared,
            build.waiting,
            build.products,
        )


def find_needed(catalog: Path, snapshots: Iterable[int]) -> set[int]:
    """Return the snapshots in which the training sets of others were built, of those that builds have left.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    with open_catalog(catalog) as database:
        if not _has_builds(database, catalog):
            return set()
        found = dict(database.execute("select snapshot_id, waiting from assay_builds").fetchall())
    return {number for each in snapshots for number in json.loads(found.get(each, "{}")).values()}


def find_build(catalog: Path, snapshot: int | None = None) -> BuildInLake | None:
    """Return the build that left a snapshot, or the newest of all; None if there is none.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    if not (is_shared(catalog) or catalog.is_file()):
        return None
    chosen = "order by snapshot_id desc limit 1" if snapshot is None else f"where snapshot_id = {snapshot}"
    with open_catalog(catalog) as database:
        if not _has_builds(database, catalog):
            return None
        found = database.execute(
            f"select {_COLUMNS}, content from assay_builds inner join assay_declared using (sha256) {chosen}"
        ).fetchone()
    if found is None:
        return None
    number, run_id, code_version, dbt_version, waiting, content = found
    kept = json.loads(content)
    # Lakes that were built before have notes of training sets alone.
    declared = kept["declared"] if "declared" in kept else {"training_sets": kept["sets"]}
    return BuildInLake(
        number, run_id, code_version, dbt_version, json.loads(waiting), declared, kept["products"]
    )


def find_builds(catalog: Path) -> dict[int, str]:
    """Return the runs of the builds that passed, by the snapshots that they left.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    with open_catalog(catalog) as database:
        if not _has_builds(database, catalog):
            return {}
        return dict(database.execute("select snapshot_id, run_id from assay_builds").fetchall())


def find_neighbours(catalog: Path, snapshot: int) -> list[int]:
    """Return the nearest snapshots before and after another that builds have left; there may be none.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    with open_catalog(catalog) as database:
        if not _has_builds(database, catalog):
            return []
        found = database.execute(
            f"select max(snapshot_id) from assay_builds where snapshot_id < {snapshot} "
            f"union all select min(snapshot_id) from assay_builds where snapshot_id > {snapshot}"
        ).fetchall()
    return sorted(number for (number,) in found if number is not None)


def forget_builds(catalog: Path) -> None:
    """Remove what is noted of snapshots that are gone.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    with open_catalog(catalog, read_only=False) as database:
        if _has_builds(database, catalog):
            database.execute(
                "delete from assay_builds "
                "where snapshot_id not in (select snapshot_id from ducklake_snapshot)"
            )
            database.execute(
                "delete from assay_declared where sha256 not in (select sha256 from assay_builds)"
            )


def _put(database: Any, values: str) -> None:
    columns = ("run_id", "code_version", "dbt_version", "sha256", "waiting")
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns)
    # SQLite takes `on conflict` behind a query for a join, unless the query has a condition.
    database.execute(
        f"insert into assay_builds select max(snapshot_id), {values} from ducklake_snapshot where true "
        f"on conflict (snapshot_id) do update set {updates}"
    )


def _has_builds(database: Any, catalog: Path) -> bool:
    if is_shared(catalog):
        return has_table(database, "assay_builds")
    return bool(database.execute("select 1 from sqlite_master where name = 'assay_builds'").fetchall())
