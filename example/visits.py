"""What visitors of the web shop do: look around, search, fill a cart, and sometimes order."""

import re
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from example.drift import CAMPAIGN_CATEGORY, CAMPAIGN_SHARE, Drift
from example.money import pounds
from example.orders import Line, Order
from example.people import Customer, Customers, draw_favourites
from example.products import CATEGORIES, FINISHES, Product, Shelf
from example.seasons import hours_of_day

#: Event name, user id and properties (both as JSON text), milliseconds after midnight.
Action: TypeAlias = tuple[str, str, str, int]

HOUR_MS = 3_600_000
#: Nobody starts anything later, so that a visit and its order stay within the day.
LAST_CALL_MS = 86_400_000 - HOUR_MS // 4
MOST_IN_CART = 6
_CATEGORIES = {category.name: category for category in CATEGORIES}


@dataclass(frozen=True, slots=True)
class Visit:
    """The actions of one visit in order, and the order that the last of them completes, if it does."""

    device: str
    actions: list[Action]
    order: Order | None


class Visits:
    """Makes up visits for the day it was last opened for."""

    def __init__(self, rng: Random, customers: Customers, drift: Drift) -> None:
        self._rng = rng
        self._customers = customers
        self._drift = drift
        self._hours = hours_of_day()
        self._orders = 5_000_000

    def open(self, day: int, shelf: Shelf) -> None:
        """Start a day with the products and prices on the shelf."""
        self._day = day
        self._shelf = shelf
        self._length = self._drift.visit_length(day)
        self._has_campaign = self._drift.has_campaign(day)
        self._facts = {
            product: f'"product_id":"{product.product_id}","category":"{product.category}"'
            f',"price":{pounds(product.price)}'
            for product in shelf.listed
        }

    def draw(self) -> Visit:
        """A visit by a customer or by somebody who is not one (yet)."""
        rng = self._rng
        if rng.random() < 0.3:
            device = f"{rng.getrandbits(64):016x}"
            actions, _, _ = self._browse(device, "null", draw_favourites(rng), 0.5)
            return Visit(device, actions, None)
        customer = self._customers.draw(rng, self._day)
        user = f'"{customer.customer_id}"'
        # Some log in only to check out: until then only the device tells who it is.
        browsing_as = user if rng.random() < 0.8 else "null"
        actions, cart, at_ms = self._browse(
            customer.device, browsing_as, customer.favourites, customer.thrift
        )
        order = self._check_out(actions, customer, cart, at_ms) if cart and rng.random() < 0.55 else None
        return Visit(customer.device, actions, order)

    def _browse(
        self, device: str, user: str, favourites: tuple[str, str], thrift: float
    ) -> tuple[list[Action], dict[Product, int], int]:
        rng = self._rng
        at_ms = int((self._hours.draw(rng) + rng.random()) / 24 * LAST_CALL_MS)
        actions: list[Action] = []
        cart: dict[Product, int] = {}
        loses_products = self._drift.loses_products(self._day, device)
        for _ in range(1 + min(int(rng.expovariate(0.2) * self._length), 40)):
            category = self._interest(favourites)
            if rng.random() < 0.1:
                actions.append(("Products Searched", user, self._query(category), at_ms))
            else:
                product = self._shelf.draw(rng, category)
                facts = self._facts[product]
                viewed = re.sub('(?<="product_id":)"[^"]*"', "null", facts) if loses_products else facts
                actions.append(("Product Viewed", user, f"{{{viewed}}}", at_ms))
                if len(cart) < MOST_IN_CART and rng.random() < _appeal(product, thrift):
                    quantity = 1 + int(rng.expovariate(1.1))
                    cart[product] = cart.get(product, 0) + quantity
                    at_ms += self._pause()
                    actions.append(("Product Added", user, f'{{{facts},"quantity":{quantity}}}', at_ms))
                    if rng.random() < 0.08:
                        at_ms += self._pause()
                        everything = f'{{{facts},"quantity":{cart.pop(product)}}}'
                        actions.append(("Product Removed", user, everything, at_ms))
            at_ms += self._pause()
            if at_ms > LAST_CALL_MS:
                break
        return actions, cart, at_ms

    def _check_out(
        self, actions: list[Action], customer: Customer, cart: dict[Product, int], at_ms: int
    ) -> Order | None:
        self._orders += 1
        lines = tuple(Line(product, quantity, product.price) for product, quantity in cart.items())
        order = Order(str(self._orders), customer, at_ms + self._pause(), lines)
        user = f'"{customer.customer_id}"'
        total = f'{{"order_id":"{order.order_id}","total":{pounds(order.total)},"currency":"GBP"}}'
        actions.append(("Checkout Started", user, total, at_ms))
        if self._rng.random() > 0.72:
            return None
        actions.append(("Order Completed", user, total, order.placed_ms))
        return order

    def _interest(self, favourites: tuple[str, str]) -> str | None:
        """A favourite three times in four, the first one more often; None to look at anything.

        Unless a campaign gets between.
        """
        if self._has_campaign and self._rng.random() < CAMPAIGN_SHARE:
            return CAMPAIGN_CATEGORY
        luck = self._rng.random()
        return favourites[0] if luck < 0.5 else favourites[1] if luck < 0.75 else None

    def _query(self, category: str | None) -> str:
        rng = self._rng
        things = (_CATEGORIES[category] if category else rng.choice(CATEGORIES)).things
        return f'{{"query":"{rng.choice(FINISHES)} {rng.choice(things)}"}}'.lower()

    def _pause(self) -> int:
        """Milliseconds between two actions, mostly short, under a minute."""
        return 3_000 + int(57_000 * self._rng.random() ** 2)


def _appeal(product: Product, thrift: float) -> float:
    """The chance that a look ends in the cart: the thrifty shun dear things and jump at reductions."""
    dearness = min(1.0, product.price / (3 * _CATEGORIES[product.category].price))
    return 0.16 * (1 - 0.7 * thrift * dearness) + 0.5 * thrift * product.cut
