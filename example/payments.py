"""Card payments: CSV as of the Sparkov data set, a file a month, with bursts of fraud."""

from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import TypeAlias

from example.cards import CATEGORIES, Card, make_cards, make_merchants
from example.chance import Weighted, share_out
from example.dirt import Dirt, anything_fits
from example.drift import MERCHANTS_EVERY, Drift
from example.landing import Landing
from example.period import DAY_MS, Period, clock
from example.seasons import CARD_WEEK, day_weights

#: Day, second of the day, and whether it is fraud.
Use: TypeAlias = tuple[int, int, bool]
#: Day, card, and number of transactions.
Burst: TypeAlias = tuple[int, Card, int]

TABLE = "payments/card_transactions"
HEADER = (
    *("trans_date_trans_time", "cc_num", "merchant", "category", "amt", "first", "last", "gender", "street"),
    *("city", "state", "zip", "lat", "long", "city_pop", "job", "dob", "trans_num", "unix_time"),
    *("merch_lat", "merch_long", "is_fraud"),
)
AMOUNT, UNIX_TIME = HEADER.index("amt"), HEADER.index("unix_time")
#: By kind of dirt: the column it is in, and what it looks like.
BAD_VALUES = {
    "invalid_amount": (AMOUNT, ("n/a", "twelve")),
    "invalid_coordinates": (HEADER.index("merch_lat"), ("123.4", "-91.5")),
    "invalid_is_fraud": (HEADER.index("is_fraud"), ("maybe",)),
    "missing_card": (HEADER.index("cc_num"), ("",)),
}
SHARE_OF_FRAUD = 0.01
LEAST_BURST, LARGEST_BURST = 3, 6
FRAUD_HOURS = (0, 1, 2, 3, 22)
LONGEST_RETRY = 9


class Payments:
    """Lands each month's transactions, sorted by card and then by time."""

    def __init__(
        self, rng: Random, landing: Landing, period: Period, drift: Drift, customers: int, rows: int
    ) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._cards = make_cards(rng, max(5, customers // 10))
        self._merchants = make_merchants(rng)
        everybody = [name for group in self._merchants.values() for name in group]
        self._foreign = set(everybody[::MERCHANTS_EVERY])
        self._drift = drift
        self._day_weights = day_weights(period, CARD_WEEK)
        self._bursts = self._plan_bursts(rows)
        honest = rows - sum(size for _, _, size in self._bursts)
        self._quotas = share_out(honest, self._day_weights)
        self._next_month = 0
        self._paid = 0
        self._last_file = False
        self._resent: list[list[str]] = []
        self.dirt = Dirt(
            rng, rows, ("duplicate_transaction", "exact_duplicate", "malformed_row", *BAD_VALUES)
        )

    def end_day(self, day: int) -> None:
        """Land the month's file if a month, or the period, ends with this day."""
        self._last_file = day + 1 == self._period.days
        if self._period.date(day + 1).day != 1 and not self._last_file:
            return
        month = range(self._next_month, day + 1)
        self._next_month = day + 1
        number = sum(self._quotas[month.start : month.stop])
        bursts = [burst for burst in self._bursts if burst[0] in month]
        resent, self._resent = self._resent, []
        if number or bursts or resent:
            path = self._landing.path(TABLE, self._period.at(day + 1, 3), "card_transactions.csv.gz")
            self._landing.write_csv(TABLE, path, HEADER, chain(self._rows(month, number, bursts), resent))

    def _plan_bursts(self, rows: int) -> list[Burst]:
        """The bursts of fraud to come."""
        rng = self._rng
        days = Weighted(range(self._period.days), self._day_weights)
        bursts = []
        left = round(rows * SHARE_OF_FRAUD)
        while left >= LEAST_BURST:
            size = min(left, rng.randint(LEAST_BURST, LARGEST_BURST))
            bursts.append((days.draw(rng), rng.choice(self._cards), size))
            left -= size
        return bursts

    def _rows(self, month: range, number: int, bursts: list[Burst]) -> Iterator[list[str]]:
        rng = self._rng
        days = Weighted(month, self._day_weights[month.start : month.stop])
        shares = share_out(number, [card.activity for card in self._cards])
        frauds: dict[Card, list[Use]] = {}
        for day, card, size in bursts:
            frauds.setdefault(card, []).extend(self._burst(day, size))
        for card, share in zip(self._cards, shares, strict=True):
            honest = [
                (days.draw(rng), card.hours.draw(rng) * 3600 + rng.randrange(3600), False)
                for _ in range(share)
            ]
            for use in sorted([*honest, *frauds.get(card, [])]):
                yield from self._with_dirt(self._row(card, use), use)

    def _burst(self, day: int, size: int) -> Iterator[Use]:
        """Several uses within minutes, at night."""
        second = self._rng.choice(FRAUD_HOURS) * 3600 + self._rng.randrange(3600)
        for _ in range(size):
            yield day, second, True
            second += self._rng.randrange(20, 240)

    def _row(self, card: Card, use: Use) -> list[str]:
        rng = self._rng
        day, second, is_fraud = use
        if is_fraud:
            category, usual, reach = rng.choice(card.unusual), 480.0, 9.0
        else:
            category, reach = card.categories.draw(rng), 0.8
            usual = CATEGORIES[category][1] * card.spending
        merchant = rng.choice(self._merchants[category])
        rate = self._drift.exchange_rate(day) if merchant in self._foreign else 1.0
        return [
            f"{self._period.date(day)} {clock()[second]}",
            card.cc_num,
            merchant,
            category,
            f"{rate * max(1.0, usual * rng.lognormvariate(0, 0.6)):.2f}",
            *card.holder,
            f"{rng.getrandbits(128):032x}",
            str(self._period.epoch_ms(day) // 1000 + second),
            f"{card.home[0] + rng.uniform(-reach, reach):.6f}",
            f"{card.home[1] + rng.uniform(-reach, reach):.6f}",
            "1" if is_fraud else "0",
        ]

    def _with_dirt(self, row: list[str], use: Use) -> Iterator[list[str]]:
        """The row, or what becomes of it. Fraud stays clean: labels are scarce."""
        day, second, is_fraud = use
        self._paid += 1
        if self._paid < self.dirt.due or is_fraud or second + LONGEST_RETRY >= DAY_MS // 1000:
            yield row
            return
        kind = self.dirt.pick(self._paid, anything_fits)
        if kind == "exact_duplicate":
            yield row
            yield from self._resend(row)
        elif kind == "duplicate_transaction":
            yield row
            yield from self._resend(self._retried(row, day, second))
        elif kind == "malformed_row":
            yield self._rng.choice((row[:3], [*row, "", ""]))
        elif kind is not None:
            column, values = BAD_VALUES[kind]
            yield [*row[:column], self._rng.choice(values), *row[column + 1 :]]
        else:
            yield row

    def _retried(self, row: list[str], day: int, second: int) -> list[str]:
        """The transaction once more, seconds later and with another amount."""
        second += self._rng.randint(2, LONGEST_RETRY)
        retried = list(row)
        retried[0] = f"{self._period.date(day)} {clock()[second]}"
        retried[AMOUNT] = f"{float(row[AMOUNT]) + self._rng.randint(1, 20):.2f}"
        retried[UNIX_TIME] = str(self._period.epoch_ms(day) // 1000 + second)
        return retried

    def _resend(self, row: list[str]) -> Iterator[list[str]]:
        """The row now, or at the end of the next file."""
        if self._last_file or self._rng.random() < 0.5:
            yield row
        else:
            self._resent.append(row)
