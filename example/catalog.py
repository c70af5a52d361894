"""The catalogue: products introduced, renamed, moved, recosted, withdrawn and deleted, as a change log."""

from collections.abc import Callable, Sequence
from random import Random

from example.chance import arrivals
from example.change_log import MINUTE_MS, ChangeLog, Row
from example.landing import Landing
from example.money import pounds
from example.period import DAY_MS, Period, iso_seconds
from example.products import CATEGORIES, Product, draw_name, office_hours

SHARE_EDITED_A_DAY = 0.002
OPENS_MS, CLOSES_MS = 9 * DAY_MS // 24, 17 * DAY_MS // 24


class Catalog:
    """Keeps the products' attributes up to date, and logs each change."""

    def __init__(self, rng: Random, landing: Landing, period: Period, products: Sequence[Product]) -> None:
        self._rng = rng
        self._period = period
        self._products = products
        self._edits = 0
        self._log = ChangeLog(rng, landing, period, "catalog", "products", "product_id", len(products))
        self._log.snapshot([_row(product) for product in products if product.introduced_day < 0])
        self.folder = self._log.folder
        self.dirt = self._log.dirt

    def day(self, day: int) -> None:
        """A working day. What is to be listed (or not) from tomorrow on is settled today."""
        midnight = self._period.epoch_ms(day)
        self._edit(day, midnight)
        for product in self._products:
            if product.introduced_day == day + 1:
                self._log.record(product.created_ms, None, _row(product))
            if product.withdrawn_day == day + 1 or product.return_day == day + 1:
                self._change(midnight + CLOSES_MS + office_hours(self._rng) // 10, product, _toggle)
            if product.deleted_day == day:
                self._log.record(midnight + 22 * DAY_MS // 24, _row(product), None)
        self._log.end_day(day)

    def _edit(self, day: int, midnight: int) -> None:
        """Buyers edit products now and then, and correct every other edit minutes later."""
        mean = max(SHARE_EDITED_A_DAY * len(self._products), 16 / self._period.days)
        idle_from = midnight
        for at_ms in arrivals(self._rng, mean, midnight + OPENS_MS, midnight + CLOSES_MS):
            product = self._rng.choice(self._products)
            if product.introduced_day > day or product.deleted_day <= day or at_ms < idle_from:
                continue
            edit = self._rng.choices((self._recost, self._rename, self._move), (70, 22, 8))[0]
            self._change(at_ms, product, edit)
            self._edits += 1
            if self._edits % 2 == 0:
                idle_from = at_ms + self._rng.randrange(1, 10) * MINUTE_MS
                self._change(idle_from, product, self._recost)

    def _change(self, at_ms: int, product: Product, edit: Callable[[Product], None]) -> None:
        before = _row(product)
        edit(product)
        self._log.record(at_ms, before, _row(product))

    def _recost(self, product: Product) -> None:
        product.unit_cost = round(product.unit_cost * self._rng.uniform(0.9, 1.15)) + 1

    def _rename(self, product: Product) -> None:
        category = next(category for category in CATEGORIES if category.name == product.category)
        product.product_name = draw_name(self._rng, category)

    def _move(self, product: Product) -> None:
        others = [category.name for category in CATEGORIES if category.name != product.category]
        product.category = self._rng.choice(others)


def _toggle(product: Product) -> None:
    product.is_active = not product.is_active


def _row(product: Product) -> Row:
    return {
        "product_id": product.product_id,
        "product_name": product.product_name,
        "category": product.category,
        "brand": product.brand,
        "unit_cost": pounds(product.unit_cost),
        "is_active": product.is_active,
        "created_at": iso_seconds(product.created_ms),
    }
