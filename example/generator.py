"""Runs the simulated company day by day, and says what was planted."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from example import erp, payments, price_list, web
from example.catalog import Catalog
from example.chance import stream
from example.crm import Crm
from example.dirt import Dirt
from example.documents import TABLE as DOCUMENTS
from example.documents import Documents
from example.drift import PLANTED, Drift
from example.experiment import Experiment
from example.landing import Landing
from example.people import Customers
from example.period import Period
from example.products import Shelf, make_products

MANIFEST = "_demo.json"
EVENTS_PER_TRANSACTION = 5


def generate(
    out: Path,
    *,
    customers: int = 2000,
    days: int = 365,
    events: int = 100_000,
    seed: int = 42,
    start: date = date(2025, 1, 1),
    drift: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Land the files of an invented retailer under `out`, the same bytes for the same arguments.

    `customers` is how many have signed up by the end, `events` the number of web tracking calls before any
    are repeated, `drift` whether what `example.drift` plants comes about. `progress` is told how many days
    were done since it was last told. Returns the manifest, also written to `out/_demo.json`: parameters, rows
    and dirt of each table, what drifts when, which documents are copies or deleted, and the files with a
    flaw.

    Raises ValueError for numbers that make no sense, FileExistsError if `out` is not an empty folder.
    """
    _check(customers, days, events)
    landing = Landing(out)
    period = Period(start, days)
    people = Customers(stream(seed, "people"), period, customers)
    products = make_products(stream(seed, "products"), period, customers)
    planted = Drift(period, PLANTED if drift else ())

    prices = price_list.PriceList(stream(seed, "prices"), landing, period, products)
    shop = web.WebShop(stream(seed, "web"), landing, period, people, planted, events)
    books = erp.Erp(stream(seed, "erp"), landing, period, people, events)
    crm = Crm(stream(seed, "crm"), landing, period, people)
    catalog = Catalog(stream(seed, "catalog"), landing, period, products)
    cards = payments.Payments(
        stream(seed, "payments"), landing, period, planted, customers, events // EVENTS_PER_TRANSACTION
    )
    texts = Documents(stream(seed, "documents"), landing, period, products, people)
    experiment = Experiment(stream(seed, "experiment"), landing, period, people)
    for day in range(days):
        prices.set_prices(day)
        shelf = Shelf(products, day)
        prices.dump(day, shelf.listed)
        orders = shop.day(day, shelf)
        books.day(day, orders, shelf)
        crm.day(day, orders)
        catalog.day(day)
        cards.end_day(day)
        texts.day(day)
        experiment.day(day, orders)
        if progress is not None:
            progress(1)
    experiment.land()

    parameters = {"customers": customers, "days": days, "events": events, "seed": seed, "start": f"{start}"}
    dirt = {
        catalog.folder: catalog.dirt,
        crm.folder: crm.dirt,
        DOCUMENTS: texts.dirt,
        erp.TABLE: books.dirt,
        payments.TABLE: cards.dirt,
        price_list.TABLE: prices.dirt,
        web.TABLE: shop.dirt,
    }
    manifest = _manifest(parameters, landing, dirt, planted.told())
    manifest["documents"] = {"copies": texts.copies, "deleted": texts.deleted}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _check(customers: int, days: int, events: int) -> None:
    for name, value, least in (("customers", customers, 1), ("days", days, 1), ("events", events, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def _manifest(
    parameters: Mapping[str, Any], landing: Landing, dirt: Mapping[str, Dirt], drift: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "parameters": dict(parameters),
        "rows": {table: landing.rows.get(table, 0) for table in dirt},
        "planted": {table: spread.rejected for table, spread in dirt.items()},
        "kept_dirt": {table: spread.kept for table, spread in dirt.items() if spread.kept},
        "drift": drift,
        "files": landing.files,
    }
