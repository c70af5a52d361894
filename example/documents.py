"""What the company writes: help pages, descriptions of products, and tickets of customers."""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from example.chance import arrivals
from example.dirt import Dirt, anything_fits
from example.help_pages import HELP
from example.landing import Landing
from example.people import Customers
from example.period import DAY_MS, Period, iso_seconds
from example.products import Product

TABLE = "docs/documents"
SHARE_REWRITTEN_A_DAY = 0.001
TICKETS_A_CUSTOMER_A_YEAR = 0.2
SHARE_SENT_TWICE = 0.06
SHARE_WITHDRAWN = 0.03
DAYS_BETWEEN_EDITS_OF_HELP = 30

_USES = {
    "Kitchen": "at the breakfast table and for guests on a Sunday afternoon",
    "Garden": "on a terrace, a balcony or under the apple tree",
    "Lighting": "beside a bed or on a window sill in the dark months",
    "Stationery": "for letters, lists and the thank-you note that is overdue",
    "Toys": "for children from three years on, and for those who remember",
    "Bath": "beside the wash basin, where it gets wet and does not mind",
    "Textiles": "on a sofa, a bed or the back seat of the car",
    "Jewellery": "to a party, or to the office on a day that needs one",
    "Christmas": "from the first of Advent until Twelfth Night",
    "Party": "for a birthday, a village fair or a garden full of people",
}
_CARE = (
    "Wash it by hand in warm water with a little soap.",
    "Wipe it with a damp cloth; it does not go into the dishwasher.",
    "It stays outside in summer and wants to be dry in winter.",
    "Keep it out of strong sun, and the colour will last.",
)
_MADE = (
    "It is finished by hand, so no two are quite alike.",
    "It is made in small numbers in Staffordshire.",
    "The design is our own.",
    "We found it at an old maker's and had it made again.",
)
_TROUBLES = {
    "delivery": (
        "My order with the {thing} has not arrived. It should have been here {days} days ago.",
        "The parcel with the {thing} was left in the rain by the courier and the box is soaked.",
    ),
    "damage": (
        "The {thing} came with a crack of {size} centimetres on its side. I took pictures.",
        "One of the handles of the {thing} broke off after {days} days of ordinary use.",
    ),
    "returns": (
        "I should like to send the {thing} back. It is {size} centimetres smaller than I thought.",
        "Where is the label for the return of the {thing}? I asked for it {days} days ago.",
    ),
    "payment": (
        "I was charged twice for the {thing}: {size} pounds and once more {size} pounds.",
        "The discount code did not work on the {thing}, although it is valid for {days} more days.",
    ),
}
_WISHES = (
    "Please tell me what happens next.",
    "Could somebody call me in the evening, after {hour} o'clock?",
    "A replacement would be better for me than my money back.",
    "It was meant as a present for a birthday on the {day}th.",
    "I have been a customer for {years} years and this is the first time.",
)
_OPENINGS = ("Hello,", "Dear team,", "Good morning,", "To whom it may concern:")


class Documents:
    """Lands what was written each day, as lines of one file."""

    def __init__(
        self, rng: Random, landing: Landing, period: Period, products: Sequence[Product], customers: Customers
    ) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._products = products
        self._tickets_a_day = len(customers.everyone) * TICKETS_A_CUSTOMER_A_YEAR / 365
        self._lines = 0
        self._asked: dict[str, tuple[str, str]] = {}
        self._described: set[str] = set()
        self.copies: dict[str, list[list[str]]] = {"exact": [], "near": []}
        self.deleted: list[str] = []
        expected = len(products) + len(HELP) + self._tickets_a_day * period.days
        self.dirt = Dirt(rng, round(expected), ("empty_document", "exact_duplicate", "invalid_updated_at"))

    def day(self, day: int) -> None:
        """Write and land the documents of a day."""
        midnight = self._period.epoch_ms(day)
        written = [*self._help(day, midnight), *self._descriptions(day, midnight), *self._ask(day, midnight)]
        lines = [line for each in written for line in self._with_dirt(each)]
        if lines:
            path = self._landing.path(TABLE, self._period.at(day, 23, 30), "documents.jsonl.gz")
            self._landing.write_lines(TABLE, path, lines)

    def _help(self, day: int, midnight: int) -> Iterator[dict[str, Any]]:
        for number, page in enumerate(HELP):
            edits, since = divmod(day - number, DAYS_BETWEEN_EDITS_OF_HELP)
            if day == 0 or (day > 0 and since == 0 and edits > 0 and not page.is_withdrawn):
                yield _document(
                    f"help-{page.name}",
                    page.title,
                    page.body(max(edits, 0)),
                    "help",
                    page.tags,
                    midnight + DAY_MS // 3,
                )
            elif page.is_withdrawn and day == self._period.days // 2:
                yield self._delete(f"help-{page.name}", "help", midnight + DAY_MS // 2)

    def _descriptions(self, day: int, midnight: int) -> Iterator[dict[str, Any]]:
        for product in self._products:
            name = f"product-{product.product_id}"
            if product.deleted_day == day and name in self._described:
                yield self._delete(name, "catalog", midnight + DAY_MS // 2)
            elif product.introduced_day == day or (day == 0 and product.introduced_day < 0):
                yield self._describe(name, product, midnight + DAY_MS // 3)
            elif name in self._described and self._rng.random() < SHARE_REWRITTEN_A_DAY:
                yield self._describe(name, product, midnight + DAY_MS // 2)

    def _describe(self, name: str, product: Product, at_ms: int) -> dict[str, Any]:
        rng = self._rng
        sizes = "\n".join(f"| {side} | {rng.randrange(4, 60)} |" for side in ("height", "width"))
        body = (
            f"# {product.product_name}\n\nThe {product.product_name} by {product.brand} is made to be used "
            f"{_USES[product.category]}. {rng.choice(_MADE)}\n\n## Care\n\n{rng.choice(_CARE)}\n\n"
            f"## Sizes\n\n| side | centimetres |\n|---|---|\n{sizes}\n"
        )
        self._described.add(name)
        return _document(
            name, product.product_name, body, "catalog", [product.category, product.brand], at_ms
        )

    def _ask(self, day: int, midnight: int) -> Iterator[dict[str, Any]]:
        rng = self._rng
        for at_ms in arrivals(rng, self._tickets_a_day, midnight + DAY_MS // 4, midnight + DAY_MS * 9 // 10):
            name = f"ticket-{len(self._asked) + 1:06d}"
            kind = rng.choice(list(_TROUBLES))
            text = self._ticket(kind, rng.choice(self._products).product_name)
            if self._asked and rng.random() < SHARE_SENT_TWICE:
                of, how = rng.choice(list(self._asked)[-20:]), "exact"
                kind, text = self._asked[of]
                if rng.random() < 0.5:
                    text, how = f"{text} I have written to you about this before.", "near"
                self.copies[how].append([name, of])
            self._asked[name] = kind, text
            yield _document(name, f"Ticket about {kind}", text, "support", ["ticket", kind], at_ms)
            if rng.random() < SHARE_WITHDRAWN:
                yield self._delete(name, "support", at_ms + DAY_MS // 48)

    def _ticket(self, kind: str, product: str) -> str:
        rng = self._rng
        sentences = [rng.choice(_TROUBLES[kind]), *rng.sample(_WISHES, rng.randrange(2, 5))]
        numbers = {"days": rng.randrange(2, 30), "size": rng.randrange(2, 40), "hour": rng.randrange(5, 9)}
        numbers |= {"day": rng.randrange(4, 29), "years": rng.randrange(2, 20)}
        text = " ".join(sentences).format(thing=product, **numbers)
        return f"{rng.choice(_OPENINGS)} {text} My order is {rng.randrange(500_000, 600_000)}."

    def _delete(self, name: str, source: str, at_ms: int) -> dict[str, Any]:
        self.deleted.append(name)
        self._described.discard(name)
        return {"document_id": name, "source": source, "updated_at": iso_seconds(at_ms), "deleted": True}

    def _with_dirt(self, document: dict[str, Any]) -> Iterator[str]:
        line = json.dumps(document)
        yield line
        self._lines += 1
        if self._lines >= self.dirt.due and (kind := self.dirt.pick(self._lines, anything_fits)):
            if kind == "exact_duplicate":
                yield line
            elif kind == "empty_document":
                yield json.dumps(
                    {**document, "document_id": f"draft-{self._lines}", "body": " \n", "deleted": False}
                )
            else:
                yield json.dumps({**document, "document_id": f"draft-{self._lines}", "updated_at": "soon"})


def _document(
    name: str, title: str, body: str, source: str, tags: Sequence[str], at_ms: int
) -> dict[str, Any]:
    return {
        "document_id": name,
        "title": title,
        "body": body,
        "source": source,
        "tags": list(tags),
        "updated_at": iso_seconds(at_ms),
        "deleted": False,
    }
