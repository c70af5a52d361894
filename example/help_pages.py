"""The pages of the company's help, and how they change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page; `{n}` in its text grows by one with each edit."""

    name: str
    title: str
    tags: tuple[str, ...]
    text: str
    first: int
    is_withdrawn: bool = False

    def body(self, edits: int) -> str:
        """The Markdown of the page after so many edits."""
        return f"# {self.title}\n\n{self.text.format(n=self.first + edits)}\n"


HELP = (
    Page(
        "returns",
        "Returns",
        ("orders", "returns"),
        "What you bought can go back within {n} days, unused and in its box.\n\n## How\n\n"
        "Print the label from your account, and take the parcel to any post office. Keep the "
        "receipt until you have your money.\n\n## What it costs\n\n| from | pounds |\n"
        "|---|---|\n| the United Kingdom | 0 |\n| the European Union | 9 |\n| elsewhere | 19 "
        "|\n\n## What cannot go back\n\nEarrings, and food that was opened.",
        30,
    ),
    Page(
        "delivery",
        "Delivery",
        ("orders", "delivery"),
        "Parcels leave our warehouse on the day of the order, until {n} o'clock in the "
        "afternoon.\n\n## How long\n\nTwo working days within the United Kingdom, five within "
        "Europe. In December it can take longer.\n\n## Where is my parcel?\n\nThe mail that "
        "says that it has left holds a link for tracking. If the link shows no change for "
        "three days, write to us.",
        3,
    ),
    Page(
        "damage",
        "Broken or damaged",
        ("orders", "damage"),
        "Send us a picture within {n} days. We send a replacement, and you need not send the "
        "broken piece back.\n\n## Broken later\n\nThe guarantee is two years. It covers faults "
        "of the maker, and no falls.",
        14,
    ),
    Page(
        "payment",
        "Payment",
        ("account", "payment"),
        "We take cards and bank transfers, and wallets above {n} pounds.\n\n## Charged "
        "twice?\n\nA second line that is `pending` is a reservation of your bank. It goes by "
        "itself within a week.\n\n## Discount codes\n\nA code is good for one order, and not "
        "for what is on sale already.",
        10,
    ),
    Page(
        "account",
        "Your account",
        ("account",),
        "You change your address and your password under `Settings`. Sessions end after {n} "
        "days.\n\n## To leave\n\nClose the account there, and we delete what the law does not "
        "make us keep.",
        30,
    ),
    Page(
        "gift-cards",
        "Gift cards",
        ("payment", "presents"),
        "Gift cards have values from {n} pounds on, and end after three years.",
        10,
    ),
    Page(
        "wholesale",
        "Wholesale",
        ("shops",),
        "Shops get a third off from {n} pieces of one kind on. Write to us with your company's number.",
        24,
    ),
    Page(
        "lockdown",
        "Longer waits this spring",
        ("orders", "delivery"),
        "Parcels take {n} days longer than usual, since our warehouse is being moved.",
        4,
        is_withdrawn=True,
    ),
)
