"""The ERP's order lines: CSV as of the UCI Online Retail set, a file a trading day."""

from collections.abc import Iterable, Iterator
from random import Random

from example.dirt import Dirt, anything_fits
from example.invoices import Invoice, Invoicing
from example.landing import Landing
from example.money import pounds
from example.orders import Order
from example.people import Customers
from example.period import SATURDAY, Period, clock
from example.products import Shelf

TABLE = "erp/order_lines"
HEADER = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
#: The column that appears halfway through the period.
NEW_COLUMN = "SalesChannel"
DAYS_LATE = 3
#: By kind of dirt: the column it is in, and what it looks like.
BAD_VALUES = {
    "invalid_invoice_date": (4, ("2025-02-30 10:00:00", "2025-13-01 08:26:00")),
    "invalid_quantity": (3, ("12x", "1.5", "99999999999999999999")),
    "invalid_unit_price": (5, ("n/a", "9" * 30)),
    "invoice_date_out_of_range": (4, ("0001-01-01 00:00:00",)),
    "missing_invoice_no": (0, ("",)),
    "missing_stock_code": (1, ("",)),
}
#: Lines there are about for each web event.
_LINES_PER_EVENT = 0.05


class Erp:
    """Lands each trading day's order lines. Saturday's wait for the next trading day."""

    def __init__(
        self, rng: Random, landing: Landing, period: Period, customers: Customers, events: int
    ) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._invoicing = Invoicing(rng, customers)
        self._pending: list[Invoice] = []
        self._listed = 0
        # From when on the next file is late, and the next one after it is sent again.
        self._late_from = period.days * 2 // 5 if period.days >= 7 else None
        self._resend_from: int | None = period.days // 2
        self.dirt = Dirt(
            rng,
            int(events * _LINES_PER_EVENT),
            ("exact_duplicate", "malformed_row", *BAD_VALUES),
            kept=("cancellation", "missing_customer"),
            counted=("cancellation", "missing_customer"),
        )

    def day(self, day: int, orders: Iterable[Order], shelf: Shelf) -> None:
        """Invoice a day's orders; land the lines if the day is a trading day."""
        self._pending += self._invoicing.issue(day, orders, shelf)
        trades = self._period.date(day).weekday() != SATURDAY
        if trades:
            self._land(day)
        elif day == self._period.days - 1:
            self._land(day + 1)

    def _land(self, day: int) -> None:
        if not self._pending:
            return
        has_new_column = 2 * day >= self._period.days
        rows = (row for invoice in self._pending for row in self._rows(invoice, has_new_column))
        landed_at = self._period.at(day + 1, 2)
        if self._late_from is not None and day >= self._late_from:
            # Beside the file that lands that day in its turn.
            landed_at = self._period.at(day + 1 + DAYS_LATE, 2, 20)
        path = self._landing.path(TABLE, landed_at, "order_lines.csv.gz")
        header = (*HEADER, NEW_COLUMN) if has_new_column else HEADER
        self._landing.write_csv(TABLE, path, header, rows)
        self._pending = []
        self._mishandle(day, path)

    def _mishandle(self, day: int, path: str) -> None:
        """Of all files one is late, and one is sent again in vain."""
        if self._late_from is not None and day >= self._late_from:
            self._landing.files["late"].append(path)
            self._late_from = None
        elif self._resend_from is not None and day >= self._resend_from:
            resent_at = self._period.at(day + 1, 9)
            self._landing.copy_truncated(
                self._landing.path(TABLE, resent_at, "order_lines_resend.csv.gz"), path
            )
            self._resend_from = None

    def _rows(self, invoice: Invoice, has_new_column: bool) -> Iterator[list[str]]:
        invoiced_at = f"{self._period.date(invoice.day)} {clock()[invoice.second]}"
        for i, line in enumerate(invoice.lines):
            row = [
                invoice.number,
                line.product.product_id,
                line.product.product_name,
                str(line.quantity),
                invoiced_at,
                pounds(line.price),
                invoice.customer_id,
                invoice.country,
            ]
            if has_new_column:
                row.append(invoice.channel)
            if invoice.is_cancellation:
                self.dirt.count("cancellation")
            if not invoice.customer_id:
                self.dirt.count("missing_customer")
            self._listed += 1
            # An invoice keeps its first line, and a row is never dirty in two ways.
            if (
                i > 0
                and invoice.customer_id
                and not invoice.is_cancellation
                and self._listed >= self.dirt.due
            ):
                kind = self.dirt.pick(self._listed, anything_fits)
                if kind == "exact_duplicate":
                    yield row
                elif kind is not None:
                    row = self._spoil(kind, row)
            yield row

    def _spoil(self, kind: str, row: list[str]) -> list[str]:
        """The row with exactly one thing wrong."""
        if kind == "malformed_row":
            return self._rng.choice((row[:3], row + [""] * (12 - len(row))))
        column, values = BAD_VALUES[kind]
        return [*row[:column], self._rng.choice(values), *row[column + 1 :]]
