"""The web shop's tracking: Segment calls as JSON lines, a file a day."""

from dataclasses import replace
from random import Random

from example.calls import ADDED, SPOILT, Call, encode, spoil, unreadable
from example.chance import share_out
from example.dirt import Dirt
from example.drift import Drift
from example.landing import Landing
from example.orders import Order
from example.people import Customers
from example.period import DAY_MS, Period, clock, iso_milliseconds
from example.products import Shelf
from example.seasons import WEB_WEEK, day_weights
from example.visits import HOUR_MS, Action, Visits

TABLE = "web/events"


class WebShop:
    """Tracks the visits of each day, exactly `events` calls over the period before any are repeated."""

    def __init__(
        self, rng: Random, landing: Landing, period: Period, customers: Customers, drift: Drift, events: int
    ) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._visits = Visits(rng, customers, drift)
        self._quotas = share_out(events, day_weights(period, WEB_WEEK))
        self._clock = clock()
        self._tracked = 0
        #: Lines by the day they are received, each with its milliseconds after midnight.
        self._received: dict[int, list[tuple[int, str]]] = {}
        self.dirt = Dirt(rng, events, (*ADDED, *SPOILT), kept=("clock_ahead", "late_event"))

    def day(self, day: int, shelf: Shelf) -> list[Order]:
        """Land the calls of a day; its completed orders."""
        self._day = day
        self._date = f"{self._period.date(day)}T"
        self._today = self._received.setdefault(day, [])
        self._visits.open(day, shelf)
        orders = []
        left = self._quotas[day]
        while left:
            visit = self._visits.draw()
            actions = visit.actions[:left]
            left -= len(actions)
            for action in actions:
                self._track(visit.device, action)
            if visit.order is not None and len(actions) == len(visit.actions):
                orders.append(visit.order)
        self._land(self._received.pop(day))
        return orders

    def _track(self, device: str, action: Action) -> None:
        event, user, properties, sent_ms = action
        rng = self._rng
        received_ms = sent_ms + 200 + int(4_800 * rng.random() ** 3)
        parts = (
            f'"{rng.getrandbits(128):032x}"',
            user,
            f'"{device}"',
            event,
            properties,
            self._stamp(sent_ms),
            self._stamp(received_ms),
        )
        self._tracked += 1
        if self._tracked >= self.dirt.due:
            kind = self.dirt.pick(self._tracked, lambda kind: self._fits(kind, received_ms, properties))
            if kind is not None:
                self._receive_dirty(kind, Call(*parts), received_ms)
                return
        self._today.append((received_ms, encode(*parts)))

    def _fits(self, kind: str, received_ms: int, properties: str) -> bool:
        if kind == "late_event":
            return self._time_left(received_ms) > 2 * HOUR_MS
        if kind == "invalid_price":
            return '"price"' in properties
        if kind == "invalid_quantity":
            return '"quantity"' in properties
        return True

    def _receive_dirty(self, kind: str, call: Call, received_ms: int) -> None:
        rng = self._rng
        if kind == "late_event":
            late_ms = rng.randrange(2 * HOUR_MS, min(72 * HOUR_MS, self._time_left(received_ms)))
            self._receive(
                received_ms + late_ms, replace(call, received_at=self._stamp(received_ms + late_ms))
            )
        elif kind == "clock_ahead":
            claimed_ms = received_ms + rng.randrange(HOUR_MS, 12 * HOUR_MS)
            self._receive(received_ms, replace(call, timestamp=self._stamp(claimed_ms)))
        elif kind in SPOILT:
            self._receive(received_ms, spoil(rng, kind, call))
        else:
            self._receive(received_ms, call)
            self._receive_addition(kind, call, received_ms)

    def _receive_addition(self, kind: str, call: Call, received_ms: int) -> None:
        if kind == "exact_duplicate":
            # Some are repeated within the file, some in the next day's.
            repeated_tomorrow = self._rng.random() < 0.5 and self._time_left(received_ms) > DAY_MS
            self._receive(received_ms + DAY_MS * repeated_tomorrow, call)
        elif kind == "duplicate_message":
            retried_ms = min(received_ms + self._rng.randrange(1_000, HOUR_MS), DAY_MS - 1)
            self._receive(retried_ms, replace(call, received_at=self._stamp(retried_ms)))
        else:
            self._today.append((received_ms, unreadable(self._rng, kind, call)))

    def _receive(self, received_ms: int, call: Call) -> None:
        """Put a call into the file of the day it is received."""
        days, at_ms = divmod(received_ms, DAY_MS)
        self._received.setdefault(self._day + days, []).append((at_ms, call.line()))

    def _time_left(self, received_ms: int) -> int:
        return (self._period.days - self._day) * DAY_MS - received_ms

    def _stamp(self, ms: int) -> str:
        """Milliseconds after today's midnight as ISO 8601."""
        if ms < DAY_MS:
            return f"{self._date}{self._clock[ms // 1000]}.{ms % 1000:03d}Z"
        return iso_milliseconds(self._period.epoch_ms(self._day) + ms)

    def _land(self, lines: list[tuple[int, str]]) -> None:
        """Write what was received today, in the order of arrival."""
        if not lines:
            return
        lines.sort()
        name = "events.jsonl.gz" if self._day % 7 == 6 else "events.jsonl"
        path = self._landing.path(TABLE, self._period.at(self._day + 1, 1), name)
        self._landing.write_lines(TABLE, path, (line for _, line in lines))
        if self._day == self._period.days // 2:
            empty_at = self._period.at(self._day + 1, 1, 30)
            self._landing.empty(self._landing.path(TABLE, empty_at, "events.jsonl"))
