"""Exposures to the one experiment of the demo, as the feature server would log them; a file a day."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from example.landing import Landing
from example.orders import Order
from example.people import Customer, Customers
from example.period import DAY_MS, Period, iso_milliseconds

TABLE = "serving/exposures"
NAME = "free_delivery"
CONTROL, FREE = "control", "free"
FIRST_DAY = 5
#: Of customers with free delivery who order at all, so many are shown it shortly before an order.
EFFECT = 0.15
_HOUR_MS = 3_600_000


class Experiment:
    """Shows each customer once whether delivery is free for them.

    The effect comes of when customers are shown it, so that their orders are those of a demo without the
    experiment.
    """

    def __init__(self, rng: Random, landing: Landing, period: Period, customers: Customers) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._customers = customers
        self._placed: dict[str, list[int]] = defaultdict(list)

    def day(self, day: int, orders: Iterable[Order]) -> None:
        """Take note of a day's orders."""
        for order in orders:
            placed_ms = self._period.epoch_ms(day) + order.placed_ms
            self._placed[order.customer.customer_id].append(placed_ms)

    def land(self) -> None:
        """Land the exposures of all days."""
        by_day: dict[int, list[tuple[int, Customer]]] = defaultdict(list)
        start = self._period.epoch_ms(0)
        for customer in self._customers.everyone:
            if (at_ms := self._shown_ms(customer)) is not None:
                by_day[(at_ms - start) // DAY_MS].append((at_ms, customer))
        for day, shown in sorted(by_day.items()):
            lines = [self._line(at_ms, customer) for at_ms, customer in sorted(shown, key=_when)]
            path = self._landing.path(TABLE, self._period.at(day + 1, 0, 5), "exposures.jsonl")
            self._landing.write_lines(TABLE, path, lines)

    def _shown_ms(self, customer: Customer) -> int | None:
        """When a customer is shown it; None where they leave before."""
        opens = self._period.epoch_ms(max(FIRST_DAY, customer.joined_day + 1))
        closes = self._period.epoch_ms(min(self._period.days, customer.left_day))
        if opens >= closes:
            return None
        at_ms = opens + int(self._rng.random() * (closes - opens))
        is_moved = self._rng.random() < EFFECT
        before_ms = int((1 + 71 * self._rng.random()) * _HOUR_MS)
        orders = [placed for placed in self._placed[customer.customer_id] if placed - before_ms >= opens]
        if is_moved and orders and arm_of(customer.customer_id) == FREE:
            return self._rng.choice(orders) - before_ms
        return at_ms

    def _line(self, at_ms: int, customer: Customer) -> str:
        return json.dumps(
            {
                "exposure_id": f"{NAME}-{customer.customer_id}",
                "experiment": NAME,
                "salt": NAME,
                "entity": "customer",
                "entity_id": customer.customer_id,
                "arm": arm_of(customer.customer_id),
                "weights": {CONTROL: 1, FREE: 1},
                "exposed_at": iso_milliseconds(at_ms),
                "request_id": None,
                "received_at": iso_milliseconds(at_ms + 4),
            }
        )


def arm_of(customer_id: str) -> str:
    """The arm that the server would draw: half of all hashes each."""
    return CONTROL if hashlib.sha256(f"{NAME}:{customer_id}".encode()).hexdigest()[0] < "8" else FREE


def _when(shown: tuple[int, Customer]) -> tuple[int, str]:
    return shown[0], shown[1].customer_id
