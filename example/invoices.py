"""The invoices behind the order lines: the web's, those taken by phone or wholesale, and cancellations."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from example.orders import Line, Order
from example.people import Customers, draw_country
from example.products import CATEGORIES, Shelf

OFFLINE_ORDERS_PER_WEB_ORDER = 1 / 3
#: One offline order in so many, beginning with the first, names no customer.
ANONYMOUS_EVERY = 4
PHONE_HOURS = range(8, 18)
_RETURN_RATES = {category.name: category.return_rate for category in CATEGORIES}


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice; a cancellation's number starts with C and its quantities are negative."""

    number: str
    day: int
    second: int
    customer_id: str
    country: str
    channel: str
    lines: tuple[Line, ...]

    @property
    def is_cancellation(self) -> bool:
        """Whether it takes goods back."""
        return self.number.startswith("C")


class Invoicing:
    """Issues the invoices of each day. Numbers differ between web orders and the others."""

    def __init__(self, rng: Random, customers: Customers) -> None:
        self._rng = rng
        self._customers = customers
        self._numbers = 1_000_000
        self._offline_orders = 0
        self._has_returns = False
        self._returns: dict[int, list[Invoice]] = {}

    def issue(self, day: int, orders: Iterable[Order], shelf: Shelf) -> list[Invoice]:
        """A day's invoices and cancellations, in the order of their times."""
        sold = [_web_invoice(day, order) for order in orders]
        offline = int(len(sold) * OFFLINE_ORDERS_PER_WEB_ORDER + self._rng.random())
        sold += [self._offline_invoice(day, shelf) for _ in range(offline if sold else 0)]
        for invoice in sold:
            self._plan_return(invoice)
        issued = [*self._returns.pop(day, []), *sold]
        return sorted(issued, key=lambda invoice: (invoice.second, invoice.number))

    def _offline_invoice(self, day: int, shelf: Shelf) -> Invoice:
        rng = self._rng
        is_anonymous = self._offline_orders % ANONYMOUS_EVERY == 0
        self._offline_orders += 1
        if is_anonymous:
            customer_id, country = "", draw_country(rng)
        else:
            customer = self._customers.draw(rng, day)
            customer_id, country = customer.customer_id, customer.country
        products = dict.fromkeys(shelf.draw(rng) for _ in range(rng.randint(3, 10)))
        scale = rng.choice((6, 12, 24))
        lines = tuple(Line(product, scale * rng.randint(1, 6), product.price) for product in products)
        second = self._office_second()
        channel = rng.choice(("phone", "wholesale"))
        return Invoice(self._next_number(), day, second, customer_id, country, channel, lines)

    def _plan_return(self, invoice: Invoice) -> None:
        """Some products come back, how often depends on their category; all of an order on one day.

        Of the first invoice something of each line does, so that even a small company knows cancellations.
        """
        rng = self._rng
        is_first, self._has_returns = not self._has_returns, True
        back = tuple(
            replace(line, quantity=-rng.randint(1, line.quantity))
            for line in invoice.lines
            if is_first or rng.random() < _RETURN_RATES[line.product.category]
        )
        if back:
            day = invoice.day + rng.randint(2, 21)
            number = f"C{self._next_number()}"
            returned = replace(invoice, number=number, day=day, second=self._office_second(), lines=back)
            self._returns.setdefault(day, []).append(returned)

    def _office_second(self) -> int:
        return self._rng.choice(PHONE_HOURS) * 3600 + self._rng.randrange(3600)

    def _next_number(self) -> str:
        self._numbers += 1
        return str(self._numbers)


def _web_invoice(day: int, order: Order) -> Invoice:
    customer = order.customer
    return Invoice(
        order.order_id,
        day,
        order.placed_ms // 1000,
        customer.customer_id,
        customer.country,
        "web",
        order.lines,
    )
