"""Bring what an older Assay wrote to the structure that the installed one has."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from assay.core.fault import known_fault
from assay.core.lock import locked
from assay.core.places import Places
from assay.core.structure import bring_up_to_date
from assay.landing.load import SCHEMA
from assay.ledger.contracts import CONTRACTS
from assay.ledger.file import opened
from assay.ledger.nodes import NODES
from assay.ledger.runs import RUNS
from assay.ledger.versions import (
    VERSIONS,
    find_installed_version,
    find_newest_version,
    note_version,
    refuse_older_version,
)
from assay.online.stores.open import open_store, store_url
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import StoreUnavailable
from assay.project.packages import make_linked_packages_ready
from assay.project.warehouse import connect
from assay.retraining.record import RETRAINING

_LEDGER = (RUNS, NODES, CONTRACTS, RETRAINING, VERSIONS)


def upgrade(places: Places, *, wait: float = 600) -> Iterator[str]:
    """Change what is to be changed, and yield each change in words; a second time there is none.

    dbt's packages are linked to the installed Assay; the run ledger and the tables of what has landed get the
    columns that they lack; an online store that cannot be read any more is named. Tables that dbt builds are
    brought up to date by the next build.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.

    Raises:
        Fault: a newer Assay has built here, or another program keeps a file open.
    """
    refuse_older_version(places.ledger)
    before = find_newest_version(places.ledger)
    make_linked_packages_ready()
    with locked(places.main_warehouse, command="assay upgrade", wait=wait, on_wait=lambda _: None):
        try:
            if places.ledger.exists():
                with opened(places.ledger, read_only=False) as connection:
                    script = "".join(table.script for table in _LEDGER)
                    yield from _told(places.ledger.name, bring_up_to_date(connection, script))
            if places.main_warehouse.exists():
                with connect(places.main_warehouse, read_only=False) as connection:
                    yield from _told(places.main_warehouse.name, bring_up_to_date(connection, SCHEMA))
        except duckdb.Error as error:
            raise known_fault(error) or error from error
    url = store_url(None, places)
    try:
        open_store(url).catalog()
    except StoreUnavailable as error:
        yield f"{shown_url(url)}: {error}"
    if places.ledger.exists() and before != find_installed_version():
        note_version(places.ledger)
        yield f"{places.ledger.name}: from now on, Assay {find_installed_version()} builds here"


def _told(file: str, added: list[str]) -> Iterator[str]:
    yield from (f"{file}: added the column {column.removeprefix('main.')}" for column in added)
