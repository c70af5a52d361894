"""What the shop sells: categories, products, and how the range changes."""

from dataclasses import dataclass
from random import Random

from example.chance import Weighted
from example.period import DAY_MS, Period

NEVER = 1 << 30


@dataclass(frozen=True)
class Category:
    """A category: how often it is bought, its usual price in pence, how often it comes back, its things."""

    name: str
    popularity: float
    price: int
    return_rate: float
    things: tuple[str, ...]


CATEGORIES = (
    Category("Kitchen", 16, 1450, 0.05, ("Teapot", "Mug", "Cake Stand", "Jug", "Storage Tin", "Apron")),
    Category("Garden", 10, 1900, 0.06, ("Planter", "Bird Table", "Lantern", "Watering Can", "Trug", "Bench")),
    Category("Lighting", 8, 2900, 0.11, ("Night Light", "Table Lamp", "Candle Holder", "Fairy Lights")),
    Category("Stationery", 13, 420, 0.02, ("Notebook", "Gift Tag", "Wrapping Paper", "Pencil Case", "Card")),
    Category("Toys", 11, 1150, 0.07, ("Spinning Top", "Skittles", "Jigsaw", "Soldier", "Dolls House")),
    Category("Bath", 8, 950, 0.04, ("Soap Dish", "Hand Towel", "Bath Mat", "Sponge Bag", "Mirror")),
    Category("Textiles", 9, 2300, 0.14, ("Cushion", "Throw", "Table Runner", "Doormat", "Quilt")),
    Category("Jewellery", 8, 1700, 0.16, ("Necklace", "Bracelet", "Brooch", "Earrings", "Trinket Box")),
    Category("Christmas", 9, 780, 0.03, ("Bauble", "Wreath", "Stocking", "Advent Calendar", "Garland")),
    Category("Party", 8, 560, 0.02, ("Bunting", "Paper Cups", "Balloons", "Cake Cases", "Party Bag")),
)
STYLES = ("Rustic", "Vintage", "Modern", "Regency", "Retro", "Folk", "Classic", "Seaside", "Botanical")
FINISHES = ("Red", "Ivory", "Blue", "Enamel", "Ceramic", "Wooden", "Zinc", "Glass", "Linen", "Copper")
BRANDS = ("Larkfield", "Hen & Hazel", "Northlight", "Pebble Row", "Ottoline", "Fig Yard", "Tall Ships")


@dataclass(slots=True, eq=False)
class Product:
    """A product. Money is in pence; days say from when it is listed, withdrawn, back, deleted."""

    product_id: str
    product_name: str
    category: str
    brand: str
    unit_cost: int
    usual_price: int
    popularity: float
    created_ms: int
    introduced_day: int
    is_active: bool = True
    withdrawn_day: int = NEVER
    return_day: int = NEVER
    deleted_day: int = NEVER
    cut: float = 0.0

    def is_listed(self, day: int) -> bool:
        """Whether the product is on the price list of a day."""
        return self.introduced_day <= day and not self.withdrawn_day <= day < self.return_day

    @property
    def price(self) -> int:
        """Today's price in pence."""
        return max(1, round(self.usual_price * (1 - self.cut)))


class Shelf:
    """The products listed on one day, drawn by popularity from all or from a category."""

    def __init__(self, products: list[Product], day: int) -> None:
        self.listed = [product for product in products if product.is_listed(day)]
        self._all = Weighted(self.listed, [product.popularity for product in self.listed])
        grouped: dict[str, list[Product]] = {}
        for product in self.listed:
            grouped.setdefault(product.category, []).append(product)
        self._by_category = {
            name: Weighted(group, [product.popularity for product in group])
            for name, group in grouped.items()
        }

    def draw(self, rng: Random, category: str | None = None) -> Product:
        """A product, of a category if that has any."""
        return self._by_category.get(category or "", self._all).draw(rng)


def make_products(rng: Random, period: Period, customers: int) -> list[Product]:
    """The whole range, about 200 products for 2000 customers, with each one's life planned."""
    number = min(2000, max(60, round(200 * (customers / 2000) ** 0.3)))
    popularities = [(rank + 2) ** -0.9 for rank in range(number)]
    rng.shuffle(popularities)
    products: list[Product] = []
    for i, popularity in enumerate(popularities):
        category = CATEGORIES[i % len(CATEGORIES)]
        price = max(45, round(category.price * rng.lognormvariate(0, 0.5)))
        is_new = i % 8 == 7 and period.days > 3
        introduced = rng.randrange(1, period.days) if is_new else -1
        created_day = introduced - 1 if is_new else -rng.randrange(30, 1500)
        products.append(
            Product(
                product_id=str(21_000 + 7 * i + rng.randrange(7)),
                product_name=draw_name(rng, category),
                category=category.name,
                brand=rng.choice(BRANDS),
                unit_cost=max(10, round(price * rng.uniform(0.3, 0.6))),
                usual_price=price,
                popularity=popularity,
                created_ms=period.epoch_ms(created_day) + office_hours(rng),
                introduced_day=introduced,
            )
        )
    _plan_withdrawals(rng, products, period.days)
    return products


def draw_name(rng: Random, category: Category) -> str:
    """A name such as "Rustic Enamel Teapot", or "Bunting, Set of 3"."""
    thing = rng.choice(category.things)
    finish = rng.choice(FINISHES)
    return (
        f"{finish} {thing}, Set of {rng.randint(2, 12)}"
        if rng.random() < 0.2
        else (f"{rng.choice(STYLES)} {finish} {thing}")
    )


def office_hours(rng: Random) -> int:
    """A time of day when buyers work, in milliseconds after midnight."""
    return int(rng.uniform(8.5, 17.5) * DAY_MS / 24)


def _plan_withdrawals(rng: Random, products: list[Product], days: int) -> None:
    """One product in twelve is withdrawn; a third of those are deleted later, a third come back."""
    if days < 5:
        return
    from_the_start = [product for product in products if product.introduced_day < 0]
    for i, product in enumerate(rng.sample(from_the_start, len(products) // 12)):
        product.withdrawn_day = rng.randrange(2, 2 + days * 2 // 3)
        later = rng.randrange(product.withdrawn_day + 1, days + 1)
        if i % 3 == 0:
            product.deleted_day = min(later, days - 1)
        elif i % 3 == 1:
            product.return_day = later
