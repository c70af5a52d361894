"""What a server counts, in Prometheus' terms; all workers of a server together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric

from assay.core.moment import now
from assay.online.answer import ViewAnswer
from assay.online.stores.store import Catalog

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

REQUESTS = Counter("assay_requests", "Requests answered.", ["path", "status"])
DURATION = Histogram("assay_request_seconds", "Time to answer a request.", ["path"], buckets=_SECONDS)
VALUES = Counter("assay_feature_values", "Feature values served, by how they came about.", ["view", "status"])
UNAVAILABLE = Counter("assay_store_unavailable", "Times that the online store could not be read.")
SEARCH_UNAVAILABLE = Counter("assay_search_unavailable", "Times that documents could not be searched.")


def count_request(path: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and how long that took."""
    counter, histogram = _requests(path, status)
    counter.inc()
    histogram.observe(seconds)


def count_values(answers: Sequence[ViewAnswer]) -> None:
    """Count what was served."""
    for answer in answers:
        counted: dict[str, int] = {}
        for feature in answer.features:
            for status in set(feature.statuses):
                counted[status] = counted.get(status, 0) + feature.statuses.count(status)
        for status, number in counted.items():
            _values(answer.view.name, status).inc(number)


@cache
def _requests(path: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(path, status), DURATION.labels(path)


@cache
def _values(view: str, status: str) -> Counter:
    return VALUES.labels(view, status)


def exposition(catalog: Catalog, *, of_all_workers: bool) -> bytes:
    """Return all figures as text, with the age of what the store knows."""
    registry = REGISTRY
    if of_all_workers:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    ages = CollectorRegistry()
    ages.register(_Ages(catalog))
    return generate_latest(registry) + generate_latest(ages)


class _Ages:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Metric]:
        ages = GaugeMetricFamily(
            "assay_store_age_seconds", "Time since something last arrived for a view.", labels=["view"]
        )
        for view in self._catalog.values():
            if view.build.known_until:
                ages.add_metric([view.name], (now() - view.build.known_until).total_seconds())
        yield ages
