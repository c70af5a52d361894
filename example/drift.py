"""What changes in the course of the demo, as things do in practice: finding it is tested on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from example.period import Period

#: Pesos to the dollar.
EXCHANGE_RATE = 18.5
#: One merchant in so many has its cards charged through the new acquirer.
MERCHANTS_EVERY = 4
#: How much of what people look at is what the campaign shows them, and what that is.
CAMPAIGN_SHARE, CAMPAIGN_CATEGORY = 0.5, "Lighting"
#: How much longer visits have become by the end.
LONGEST_VISITS = 3.0


@dataclass(frozen=True)
class Planted:
    """A change of a field, from the beginning of a twelfth of the period to the end of another.

    `features` are those that it shows in first; others follow.
    """

    name: str
    table: str
    field: str
    why: str
    first: int
    last: int
    features: tuple[str, ...]

    @property
    def column(self) -> str:
        """The field of the table that changes."""
        return f"{self.table}.{self.field}"

    def days(self, period: Period) -> range:
        """The days on which it is in force."""
        return range(period.days * (self.first - 1) // 12, period.days * self.last // 12)


LONGER_VISITS = Planted(
    name="longer_visits",
    table="web/events",
    field="timestamp",
    why="Visits become longer from month to month, up to three times as long.",
    first=7,
    last=12,
    features=("ftr_customer__sessions.view_count_24h",),
)
FOREIGN_AMOUNTS = Planted(
    name="foreign_amounts",
    table="payments/card_transactions",
    field="amt",
    why="A new acquirer sends the amounts of a quarter of the merchants in pesos, until somebody notices.",
    first=8,
    last=9,
    features=("ftr_card__velocity.amount_max_30d", "ftr_card_merchant__pairs.amount_max_90d"),
)
CAMPAIGN = Planted(
    name="campaign",
    table="web/events",
    field="properties.category",
    why=f"A campaign: half of all looks go to {CAMPAIGN_CATEGORY.lower()}.",
    first=9,
    last=12,
    features=("ftr_product__demand.price_min_28d", "ftr_product__demand.price_max_28d"),
)
LOST_PRODUCTS = Planted(
    name="lost_products",
    table="web/events",
    field="properties.product_id",
    why="The app does not say which products are viewed: product_id is NULL.",
    first=10,
    last=10,
    features=("ftr_customer__sessions.product_distinct_count_24h",),
)
PLANTED = (LONGER_VISITS, FOREIGN_AMOUNTS, CAMPAIGN, LOST_PRODUCTS)


class Drift:
    """Tells what is in force on a day; nothing, where nothing is planted."""

    def __init__(self, period: Period, planted: Sequence[Planted] = PLANTED) -> None:
        self._period = period
        self._days = {each: each.days(period) for each in planted}

    def told(self) -> list[dict[str, str]]:
        """Return what is planted, with its first and last day, for the manifest."""
        return [
            {
                "name": each.name,
                "column": each.column,
                "why": each.why,
                "from": f"{self._period.date(days.start)}",
                "to": f"{self._period.date(days.stop - 1)}",
            }
            for each, days in self._days.items()
            if days
        ]

    def visit_length(self, day: int) -> float:
        """Return how many times as long as at first visits are."""
        days = self._days.get(LONGER_VISITS, range(0))
        if day not in days:
            return 1.0
        return 1.0 + (LONGEST_VISITS - 1.0) * (day - days.start + 1) / len(days)

    def exchange_rate(self, day: int) -> float:
        """Return what the amounts of the new acquirer are multiplied by."""
        return EXCHANGE_RATE if self._is_on(FOREIGN_AMOUNTS, day) else 1.0

    def has_campaign(self, day: int) -> bool:
        """Tell whether the campaign runs."""
        return self._is_on(CAMPAIGN, day)

    def loses_products(self, day: int, device: str) -> bool:
        """Tell whether a device does not say which products are viewed: the app's, three in four."""
        return self._is_on(LOST_PRODUCTS, day) and int(device[-1], 16) % 4 != 0

    def _is_on(self, planted: Planted, day: int) -> bool:
        return day in self._days.get(planted, range(0))
