"""Payment cards and merchants as the Sparkov simulator has them: who holds a card, and how it is used."""

from dataclasses import dataclass
from random import Random

from example.chance import Weighted
from example.names import FIRST_NAMES, LAST_NAMES
from example.seasons import hours_of_day

#: By category: how common it is, and the usual amount.
CATEGORIES = {
    "misc_net": (5, 45.0),
    "grocery_pos": (10, 90.0),
    "entertainment": (7, 38.0),
    "gas_transport": (10, 58.0),
    "misc_pos": (6, 30.0),
    "grocery_net": (4, 48.0),
    "shopping_net": (7, 42.0),
    "shopping_pos": (9, 40.0),
    "food_dining": (7, 36.0),
    "personal_care": (7, 30.0),
    "health_fitness": (6, 35.0),
    "travel": (3, 60.0),
    "kids_pets": (8, 42.0),
    "home": (9, 46.0),
}
MERCHANTS = 154
#: City, state, zip, latitude, longitude, population.
CITIES = (
    ("Columbia", "SC", "29209", 33.9659, -80.9355, 333_497),
    ("Altona", "NY", "12910", 44.8865, -73.6173, 1_324),
    ("Moravian Falls", "NC", "28654", 36.0788, -81.1781, 3_495),
    ("Malad City", "ID", "83252", 42.1808, -112.2620, 4_154),
    ("Doe Hill", "VA", "24433", 38.4207, -79.4629, 99),
    ("Dublin", "PA", "18917", 40.3750, -75.2045, 2_158),
    ("Holcomb", "KS", "67851", 37.9931, -100.9893, 2_691),
    ("Loxahatchee", "FL", "33470", 26.7383, -80.2760, 28_004),
    ("Rock Tavern", "NY", "12575", 41.4575, -74.1659, 2_258),
    ("Jay", "OK", "74346", 36.4203, -94.7993, 9_713),
    ("Houston", "TX", "77011", 29.7429, -95.3088, 2_906_700),
    ("Mesa", "ID", "83643", 44.6255, -116.4493, 129),
    ("Redford", "MI", "48239", 42.3737, -83.2906, 47_046),
    ("Utica", "KS", "67584", 38.6500, -100.1651, 266),
    ("Fresno", "CA", "93706", 36.6936, -119.8190, 542_100),
    ("Thomas", "WV", "26292", 39.1505, -79.5030, 564),
)
STREETS = ("Perry Cove", "Lake Road", "Mill Lane", "Oak Ridge", "Hill Street", "Station Parade", "Elm Court")
JOBS = ("Nurse", "Surveyor, land", "Teacher", "Electrician", "Engineer, civil", "Librarian", "Chef", "Buyer")


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """A card: its number, its holder's columns as they stand in each row, and the holder's habits."""

    cc_num: str
    holder: tuple[str, ...]
    home: tuple[float, float]
    activity: float
    spending: float
    categories: Weighted[str]
    unusual: tuple[str, ...]
    hours: Weighted[int]


def make_cards(rng: Random, number: int) -> list[Card]:
    """Cards with holders and habits."""
    return [_card(rng, i) for i in range(number)]


def make_merchants(rng: Random) -> dict[str, list[str]]:
    """Merchants by category. All are called fraud_..., guilty or not: so they are in the original."""
    merchants: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for i in range(MERCHANTS):
        one, two, three = rng.sample(LAST_NAMES, 3)
        name = rng.choice(
            (f"{one}, {two} and {three}", f"{one}-{two}", f"{one} {two} Group", f"{one}, {two} LLC")
        )
        merchants[list(CATEGORIES)[i % len(CATEGORIES)]].append(f"fraud_{name}")
    return merchants


def _card(rng: Random, index: int) -> Card:
    city, state, zip_code, city_lat, city_long, population = rng.choice(CITIES)
    home = (city_lat + rng.uniform(-0.2, 0.2), city_long + rng.uniform(-0.2, 0.2))
    liking = {name: common * rng.lognormvariate(0, 0.9) for name, (common, _) in CATEGORIES.items()}
    holder = (
        rng.choice(FIRST_NAMES),
        rng.choice(LAST_NAMES),
        rng.choice("FM"),
        f"{rng.randint(1, 999)} {rng.choice(STREETS)}",
        city,
        state,
        zip_code,
        f"{home[0]:.4f}",
        f"{home[1]:.4f}",
        str(population),
        rng.choice(JOBS),
        f"{rng.randint(1940, 2004)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
    )
    return Card(
        cc_num=f"4{rng.randrange(10**8):08d}{index:07d}",
        holder=holder,
        home=home,
        activity=min(rng.paretovariate(1.6), 15.0),
        spending=rng.lognormvariate(0, 0.35),
        categories=Weighted(list(liking), list(liking.values())),
        unusual=tuple(sorted(liking, key=lambda name: liking[name])[:3]),
        hours=hours_of_day(rng.choice((-3, 0, 2))),
    )
