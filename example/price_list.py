"""Prices that move, and the price list that is dumped each day."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from random import Random

from example.dirt import Dirt
from example.landing import Landing
from example.money import pounds
from example.period import Period
from example.products import Product
from example.seasons import is_sale

TABLE = "catalog/price_list"
HEADER = ("product_id", "unit_price", "currency", "exported_at")
SHARE_REPRICED_A_DAY = 0.01
SHARE_ON_SALE = 0.6


class PriceList:
    """Sets the prices of each day, and lands the list of them."""

    def __init__(self, rng: Random, landing: Landing, period: Period, products: Sequence[Product]) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._products = products
        self._sale = False
        self._dumped = 0
        self.dirt = Dirt(
            rng,
            len(products) * period.days,
            ("exact_duplicate", "invalid_unit_price", "malformed_row", "missing_product_id"),
        )
        enough_days = period.days >= 5
        self._missing_day = period.days * 3 // 10 if enough_days else None
        self._late_day = period.days * 6 // 10 if enough_days else None

    def set_prices(self, day: int) -> None:
        """Move some prices, and start or end a sale. Holds from midnight."""
        for product in self._products:
            if self._rng.random() < SHARE_REPRICED_A_DAY:
                product.usual_price = max(45, round(product.usual_price * self._rng.uniform(0.88, 1.14)))
        sale = is_sale(self._period.date(day))
        if sale != self._sale:
            for product in self._products:
                on_sale = sale and self._rng.random() < SHARE_ON_SALE
                product.cut = self._rng.choice((0.1, 0.2, 0.25, 0.4)) if on_sale else 0.0
            self._sale = sale

    def dump(self, day: int, listed: Sequence[Product]) -> None:
        """Land the list of a day: one dump never arrives, one only after the next day's."""
        landed_at = self._period.at(day, 0, 10)
        if day == self._late_day:
            landed_at = self._period.at(day + 1, 0, 20)
        path = self._landing.path(TABLE, landed_at, "price_list.csv")
        if day == self._missing_day:
            self._landing.files["missing"].append(path)
            return
        if day == self._late_day:
            self._landing.files["late"].append(path)
        self._landing.write_csv(TABLE, path, HEADER, self._rows(self._period.at(day, 0, 5), listed))

    def _rows(self, exported_at: datetime, listed: Sequence[Product]) -> Iterator[list[str]]:
        spoilt: set[str] = set()
        for product in listed:
            row = [product.product_id, pounds(product.price), "GBP", f"{exported_at}"]
            yield row
            self._dumped += 1
            if self._dumped >= self.dirt.due:
                # Bad rows of one kind might equal each other if a dump had two.
                kind = self.dirt.pick(self._dumped, lambda kind: kind not in spoilt)
                if kind is not None:
                    spoilt.add(kind)
                    yield self._bad_row(kind, row)

    def _bad_row(self, kind: str, row: list[str]) -> list[str]:
        """A bad row beside the good one, so that no price is lost from the dump."""
        product_id, price, currency, exported_at = row
        if kind == "invalid_unit_price":
            # Under an id of its own, or it would also be the product's second price of the day.
            return [f"9{product_id}", self._rng.choice(("n/a", "9" * 30)), currency, exported_at]
        if kind == "missing_product_id":
            return ["", price, currency, exported_at]
        if kind == "malformed_row":
            return self._rng.choice(([product_id, exported_at], [*row, "", "", ""]))
        return row
