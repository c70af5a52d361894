"""Publish in this project's folder what a build of another folder has left in the lake that both have."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from assay.build.publications import how_many, keep, prune, published_run
from assay.build.publish import Provenance, Publication, publish
from assay.build.search import publish_search
from assay.console.progress import Display
from assay.core.fault import Fault, known_fault
from assay.core.lock import Holder, locked
from assay.core.places import Places
from assay.lake.catalog import read_snapshots, require_lake
from assay.project.lake_builds import BuildInLake, find_build
from assay.project.products import Products


@dataclass(frozen=True)
class FromLake:
    """The build that is published in the folder now; `publication` is None if it was before."""

    run_id: str
    snapshot: int
    publication: Publication | None


def describe_products(products: Products) -> dict[str, Any]:
    """Return what a lake notes of the products of a build that passed, for JSON."""
    return asdict(products) | {"schemas": sorted(products.schemas), "broken": []}


def publish_from_lake(places: Places, display: Display, *, wait: float = 0) -> FromLake:
    """Publish what the newest build that passed has left in the lake; a second time changes nothing.

    Nobody who builds into the lake waits for it, because a snapshot stays as it is.

    Args:
        places: of the project.
        display: shows the progress.
        wait: how long to wait for a build in this folder to end, in seconds.

    Raises:
        Fault: the warehouse is no lake, no build that passed has left anything there, or it cannot be read.
    """
    catalog = require_lake(places)

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting for a build in this folder: {holder or 'it has just begun'}")

    with locked(catalog, command="assay lake publish", wait=wait, on_wait=waiting):
        build = find_build(catalog)
        if build is None:
            raise Fault(
                f"No build that passed has left anything in the lake {catalog}: once one of a whole project "
                "has (assay build), it can be published here."
            )
        if published_run(places.published) == build.run_id:
            return FromLake(build.run_id, build.snapshot, None)
        display.say(f"Publishing snapshot {build.snapshot} of the lake in {places.published}")
        try:
            return FromLake(build.run_id, build.snapshot, _publish(places, build, display))
        except (duckdb.Error, OSError) as error:
            raise known_fault(error) or error from error


def _publish(places: Places, build: BuildInLake, display: Display) -> Publication | None:
    made_at = {each.number: each.made_at for each in read_snapshots(places)}
    products = Products(**build.products | {"schemas": frozenset(build.products["schemas"])})
    keep(places.published)
    publication = publish(
        places.warehouse,
        places.published,
        products,
        Provenance(build.run_id, made_at[build.snapshot]),
        snapshot=build.snapshot,
    )
    keep(places.published)
    prune(places.published, how_many())
    publish_search(places, tell=display.say)
    return publication
