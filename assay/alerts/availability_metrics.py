"""Write which products are late, for Prometheus (node_exporter's textfile collector)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from assay.alerts.availability import Availability
from assay.core.places import Places
from assay.ledger.rollbacks import read_rollback

FILE = "products.prom"
_LABELS = ("product", "promise")


def write_availability(places: Places, found: Sequence[Availability], moment: datetime) -> None:
    """Write the metrics' file in one step.

    Args:
        places: of the project; the file lies beside the ledger.
        found: how promises are kept.
        moment: when that was found (UTC).

    Raises:
        OSError: the file cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, said: str, labels: Sequence[str] = _LABELS) -> Gauge:
        return Gauge(f"assay_{name}", said, labels, registry=registry)

    missed = gauge("product_missed", "Whether a product is late now.")
    late = gauge("product_late_seconds", "How late it is now; 0 if it is not.")
    misses = gauge("product_misses_30d", "How often it was late in the last 30 days.")
    longest = gauge("product_longest_late_seconds_30d", "How late it was at most in the last 30 days.")
    published = gauge("product_published_timestamp_seconds", "When it was last published.", ["product"])
    rolled_back = gauge("published_rolled_back", "Whether gold is rolled back.", [])
    rolled_back.set(read_rollback(places.warehouse) is not None)
    gauge("products_checked_timestamp_seconds", "When this was written.", []).set(_seconds(moment))
    for each in found:
        labels = (each.promise.product, each.promise.said)
        missed.labels(*labels).set(each.missed_since is not None)
        late.labels(*labels).set(each.late(moment) / timedelta(seconds=1))
        misses.labels(*labels).set(len(each.misses))
        longest.labels(*labels).set(each.longest(moment) / timedelta(seconds=1))
        if each.published_at:
            published.labels(each.promise.product).set(_seconds(each.published_at))
    file = places.ledger.with_name(FILE)
    write_to_textfile(str(file), registry)
    # Readable by all: the file holds only figures, and the collector usually runs as another user.
    file.chmod(0o644)


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
