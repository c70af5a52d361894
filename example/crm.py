"""The CRM: sign-ups, moves, consents, promotions and deletions of customers, as a change log."""

from collections.abc import Iterable
from random import Random

from example.chance import arrivals
from example.change_log import MINUTE_MS, ChangeLog, Row
from example.landing import Landing
from example.orders import Order
from example.people import Customer, Customers, another_city
from example.period import DAY_MS, Period, iso_seconds

SHARE_EDITED_A_DAY = 0.0015
#: What a customer must have spent, in pence, to become a VIP.
VIP_SPENDING = 60_000


class Crm:
    """Keeps the customers' attributes up to date, and logs each change."""

    def __init__(self, rng: Random, landing: Landing, period: Period, customers: Customers) -> None:
        self._rng = rng
        self._period = period
        self._customers = customers
        self._edits = 0
        self._spent: dict[Customer, int] = {}
        self._promoted: list[Customer] = []
        self._leaving: dict[int, list[Customer]] = {}
        self._joining: dict[int, list[Customer]] = {}
        for customer in customers.everyone:
            self._joining.setdefault(customer.joined_day, []).append(customer)
            self._leaving.setdefault(customer.deleted_day, []).append(customer)
        self._log = ChangeLog(
            rng, landing, period, "crm", "customers", "customer_id", len(customers.everyone)
        )
        self._log.snapshot([_row(customer) for customer in self._joining.get(-1, [])])
        self.folder = self._log.folder
        self.dirt = self._log.dirt

    def day(self, day: int, orders: Iterable[Order]) -> None:
        """A day's changes: those promoted for yesterday's orders, then edits, sign-ups and deletions."""
        midnight = self._period.epoch_ms(day)
        self._promote(midnight + 130 * MINUTE_MS)
        self._watch_spending(orders)
        self._edit(day, midnight)
        for customer in self._joining.get(day, []):
            self._log.record(customer.created_ms, None, _row(customer))
        for customer in self._leaving.get(day, []):
            self._log.record(midnight + self._rng.randrange(20, 24) * DAY_MS // 24, _row(customer), None)
        self._log.end_day(day)

    def _watch_spending(self, orders: Iterable[Order]) -> None:
        for order in orders:
            spent = self._spent.get(order.customer, 0)
            self._spent[order.customer] = spent + order.total
            if spent < VIP_SPENDING <= spent + order.total and order.customer.segment == "retail":
                self._promoted.append(order.customer)

    def _promote(self, at_ms: int) -> None:
        """A nightly job promotes those who have spent enough by the evening before."""
        for i, customer in enumerate(self._promoted):
            before = _row(customer)
            customer.segment = "vip"
            self._log.record(at_ms + i, before, _row(customer))
        self._promoted = []

    def _edit(self, day: int, midnight: int) -> None:
        """Customers move or change their consent; every other one has a second thought minutes later."""
        present = self._customers.joined_before(day)
        # A base too small for its share still sees a few edits, or there would be no history to look at.
        mean = max(SHARE_EDITED_A_DAY * present, 16 / self._period.days)
        idle_from = midnight
        for at_ms in arrivals(self._rng, mean, midnight + 3 * DAY_MS // 24, midnight + 19 * DAY_MS // 24):
            customer = self._customers.everyone[self._rng.randrange(present)]
            if customer.deleted_day <= day or at_ms < idle_from:
                continue
            before = _row(customer)
            if self._rng.random() < 0.5:
                customer.city = another_city(self._rng, customer)
            else:
                customer.marketing_opt_in = not customer.marketing_opt_in
            self._log.record(at_ms, before, _row(customer))
            self._edits += 1
            if self._edits % 2 == 0:
                before = _row(customer)
                customer.marketing_opt_in = not customer.marketing_opt_in
                idle_from = at_ms + self._rng.randrange(1, 10) * MINUTE_MS
                self._log.record(idle_from, before, _row(customer))


def _row(customer: Customer) -> Row:
    return {
        "customer_id": customer.customer_id,
        "email": customer.email,
        "full_name": customer.full_name,
        "segment": customer.segment,
        "country": customer.country,
        "city": customer.city,
        "marketing_opt_in": customer.marketing_opt_in,
        "created_at": iso_seconds(customer.created_ms),
    }
