"""An order, as the shop hands it to the rest of the company."""

from dataclasses import dataclass

from example.people import Customer
from example.products import Product


@dataclass(frozen=True, slots=True)
class Line:
    """A product of an order, at the price of the moment in pence."""

    product: Product
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class Order:
    """A completed order of the web shop, each product on one line."""

    order_id: str
    customer: Customer
    placed_ms: int
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """The sum of the lines, in pence."""
        return sum(line.quantity * line.price for line in self.lines)
