"""The customers: who they are, what they like, when they come and go."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from example.chance import Weighted
from example.names import FIRST_NAMES, LAST_NAMES
from example.period import DAY_MS, Period
from example.products import CATEGORIES

NEVER = 1 << 30
COUNTRIES = {
    "United Kingdom": (70, ("London", "Manchester", "Leeds", "Bristol", "Glasgow", "Cardiff", "York")),
    "Germany": (7, ("Berlin", "Hamburg", "München", "Köln")),
    "France": (6, ("Paris", "Lyon", "Nantes", "Lille")),
    "EIRE": (5, ("Dublin", "Cork", "Galway")),
    "Spain": (4, ("Madrid", "Valencia", "Sevilla")),
    "Netherlands": (3, ("Amsterdam", "Utrecht", "Rotterdam")),
    "Belgium": (2, ("Brussels", "Gent")),
    "Switzerland": (1.5, ("Zürich", "Basel")),
    "Portugal": (1.5, ("Lisbon", "Porto")),
}

_COUNTRY = Weighted(list(COUNTRIES), [weight for weight, _ in COUNTRIES.values()])
_CATEGORY = Weighted(CATEGORIES, [category.popularity for category in CATEGORIES])


@dataclass(slots=True, eq=False)
class Customer:
    """A customer: the attributes of the CRM, and habits no system knows of."""

    customer_id: str
    full_name: str
    email: str
    segment: str
    country: str
    city: str
    marketing_opt_in: bool
    created_ms: int
    joined_day: int
    left_day: int
    deleted_day: int
    activity: float
    favourites: tuple[str, str]
    thrift: float
    device: str


class Customers:
    """All customers of the period, in the order they signed up."""

    def __init__(self, rng: Random, period: Period, number: int) -> None:
        self.everyone = [
            _customer(rng, i, created, period) for i, created in enumerate(_sign_ups(rng, period, number))
        ]
        _say_goodbye(rng, self.everyone, period.days)
        self._joined_days = [customer.joined_day for customer in self.everyone]
        self._cumulative = list(accumulate(customer.activity for customer in self.everyone))

    def joined_before(self, day: int) -> int:
        """How many signed up before a day: the first so many of `everyone`."""
        return bisect_left(self._joined_days, day)

    def draw(self, rng: Random, day: int) -> Customer:
        """An active customer, the busy ones more often. The first customer never leaves, so there is one."""
        last = self.joined_before(day) - 1
        while True:
            i = bisect_left(self._cumulative, rng.random() * self._cumulative[last], 0, last)
            if self.everyone[i].left_day > day:
                return self.everyone[i]


def draw_country(rng: Random) -> str:
    """A country, as common as among the customers."""
    return _COUNTRY.draw(rng)


def draw_favourites(rng: Random) -> tuple[str, str]:
    """Two different categories, the better liked first."""
    first = _CATEGORY.draw(rng).name
    while (second := _CATEGORY.draw(rng).name) == first:
        pass
    return first, second


def another_city(rng: Random, customer: Customer) -> str:
    """Somewhere else in the customer's country."""
    return rng.choice([city for city in COUNTRIES[customer.country][1] if city != customer.city])


def _sign_ups(rng: Random, period: Period, number: int) -> list[int]:
    """When each signed up (epoch ms), ascending: three in five over the three years before the period."""
    start = period.epoch_ms(0)
    before = -(-number * 3 // 5)
    earlier = [start - 1000 - int(rng.random() * 1095 * DAY_MS) for _ in range(before)]
    during = [start + int(rng.random() ** 0.85 * period.days * DAY_MS) for _ in range(number - before)]
    return sorted(earlier) + sorted(during)


def _customer(rng: Random, index: int, created_ms: int, period: Period) -> Customer:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    country = draw_country(rng)
    customer_id = str(10_001 + index)
    return Customer(
        customer_id=customer_id,
        full_name=f"{first} {last}",
        email=f"customer.{customer_id}@example.com",
        segment="wholesale" if rng.random() < 0.08 else "retail",
        country=country,
        city=rng.choice(COUNTRIES[country][1]),
        marketing_opt_in=rng.random() < 0.6,
        created_ms=created_ms,
        joined_day=max(-1, (created_ms - period.epoch_ms(0)) // DAY_MS),
        left_day=NEVER,
        deleted_day=NEVER,
        activity=min(rng.paretovariate(1.3), 40.0),
        favourites=draw_favourites(rng),
        thrift=rng.random(),
        device=f"{rng.getrandbits(64):016x}",
    )


def _say_goodbye(rng: Random, everyone: list[Customer], days: int) -> None:
    """Near a fifth stop coming at some day; one in a hundred of all then has the account deleted."""
    leavers = []
    for customer in everyone[1:]:
        first_day = customer.joined_day + 2
        if rng.random() < 0.18 and first_day < days - 1:
            customer.left_day = rng.randrange(first_day, days - 1)
            leavers.append(customer)
    deletions = min(len(leavers), max(1, len(everyone) // 100))
    for customer in rng.sample(leavers, deletions):
        customer.deleted_day = rng.randrange(customer.left_day + 1, days)
