"""Record in the run ledger when each product was published, which promises there are, and missed ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from assay.ledger.file import LedgerTable
from assay.ledger.runs import RUNS, Run

PUBLICATIONS = LedgerTable(
    "product_publications",
    """
    run_id varchar not null,
    product varchar not null,
    published_at timestamp not null,
    primary key (run_id, product)
""",
)
LANDINGS = LedgerTable(
    "product_landings",
    """
    run_id varchar not null,
    product varchar not null,
    landed_at timestamp not null,
    started_at timestamp not null,
    primary key (run_id, product)
""",
)
PROMISES = LedgerTable(
    "promises",
    """
    product varchar not null,
    promise varchar not null,
    seen_at timestamp not null,
    primary key (product, promise)
""",
)
OUTAGES = LedgerTable(
    "missed_promises",
    """
    product varchar not null,
    promise varchar not null,
    since timestamp not null,
    over_at timestamp,
    primary key (product, promise, since)
""",
)


@dataclass(frozen=True)
class Outage:
    """A time for which a promise was missed, of which people have been told; times are UTC.

    It began when the product was due, and is over since another publication; `over_at` is None until then.
    """

    product: str
    promise: str
    since: datetime
    over_at: datetime | None = None


def record_publications(ledger: Path, run: Run, products: Iterable[str]) -> None:
    """Record which products a run has published anew.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
        duckdb.Error: the ledger cannot be written for any other reason.
    """
    about = {"run_id": run.run_id, "published_at": run.published_at}
    PUBLICATIONS.write(ledger, [{"product": product, **about} for product in products])


def read_publications(ledger: Path, *, since: datetime) -> dict[str, list[datetime]]:
    """Return when each product was published: all since a moment (UTC), and the last before it; oldest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = PUBLICATIONS.read(
        ledger,
        """
            select product, published_at from product_publications where published_at >= $1
            union all
            select product, max(published_at) from product_publications where published_at < $1 group by all
            order by all
            """,
        [since],
    )
    found: dict[str, list[datetime]] = {}
    for product, published_at in rows:
        found.setdefault(product, []).append(published_at)
    return found


def record_landings(ledger: Path, run: Run, landed: Mapping[str, datetime]) -> None:
    """Record when the first of the files landed (UTC) that a run has loaded for each product.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    about = {"run_id": run.run_id, "started_at": run.started_at}
    LANDINGS.write(ledger, [{"product": name, "landed_at": at, **about} for name, at in landed.items()])


def read_landings(ledger: Path, *, since: datetime) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return for each product when files landed, and when the run began that loaded them; oldest first.

    Args:
        ledger: the run ledger.
        since: the moment from which on runs count (UTC).

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = LANDINGS.read(
        ledger,
        "select product, landed_at, started_at from product_landings where started_at >= ? "
        "order by started_at, product",
        [since],
    )
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for product, landed_at, started_at in rows:
        found.setdefault(product, []).append((landed_at, started_at))
    return found


def read_published_at(ledger: Path, run_id: str) -> datetime | None:
    """Return when a run published (UTC); None if it did not.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = RUNS.read(ledger, "select published_at from runs where run_id = ?", [run_id])
    return next((published_at for (published_at,) in rows), None)


def read_promises_seen(ledger: Path) -> dict[tuple[str, str], datetime]:
    """Return since when (UTC) each promise is known, by product and promise.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = PROMISES.read(ledger, "select product, promise, seen_at from promises")
    return {(product, promise): seen_at for product, promise, seen_at in rows}


def read_outages(ledger: Path) -> list[Outage]:
    """Return the outages of which people have been told, oldest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    sql = "select product, promise, since, over_at from missed_promises order by since"
    return [Outage(*row) for row in OUTAGES.read(ledger, sql)]


def record_outages(ledger: Path, outages: Iterable[Outage]) -> None:
    """Record outages that began or ended.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    OUTAGES.write(ledger, [asdict(each) for each in outages])
