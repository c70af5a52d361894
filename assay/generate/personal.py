"""Recognise personal data, by what values look like and by what columns are called."""

from __future__ import annotations

import re
from typing import Literal

from assay.contracts.contract import make_snake_case
from assay.generate.profile import ColumnProfile

Shield = Literal["hash", "mask"]
_MOST_OF = 0.8
# Of random digits, one in ten passes the check.
_FEWEST_CARDS = 5
# Of full names, this share has a given name that many have; of titles and places, fewer.
_FEWEST_NAMES, _SHARE_OF_GIVEN_NAMES = 3, 0.2
_PEOPLE = re.compile(
    r"customer|client|user|person|people|member|employee|patient|contact|subscriber|driver|guest|student|passenger|tenant|mechanic"
    r"|technician|doctor|physician|nurse|teacher|holder|recipient|payee|payer|applicant|participant|attendee|buyer|author"
    r"|kund|gast|mieter|mitarbeiter|empf(ä|ae)nger|inhaber|patient|arzt|fahrer"
)
# A column of that name holds such data, whatever its values look like.
_NAMES: dict[str, tuple[str, Shield]] = {
    r"(.*_)?e?_?mail(_?addr(ess)?)?": ("e-mail addresses", "hash"),
    r"(.*_)?(phone|telephone|tel|mobile|cell|fax|telefon|handy)(_?(no|nr|number|nummer))?": (
        "phone numbers",
        "hash",
    ),
    r"(.*_)?(cc|card|credit_card|kreditkarte)_?(no|num|nr|number|nummer)|pan": ("card numbers", "hash"),
    r"(.*_)?iban": ("bank accounts", "hash"),
    r"(.*_)?(first|last|middle|full|given|family|maiden|sur|fore|nick|holder|customer|contact|vor|nach|familien"
    r"|vollst(ä|ae)ndiger)_?name"
    r"|first|last|surname|vorname|nachname": ("names of people", "mask"),
    r"(.*_)?(street|strasse|straße|address|addr|address_?line_?\d?|adresse|anschrift)(_?\d|_?line_?\d?)?": (
        "addresses",
        "mask",
    ),
    r"(.*_)?ip(_?addr(ess)?)?": ("network addresses", "hash"),
}


def find_shield(column: ColumnProfile, table: str) -> tuple[Shield, str] | None:
    """Tell what silver makes of the values of a column, `hash` where they join tables; and how it is known.

    Args:
        column: of the table.
        table: or object, whose name tells what a column `name` in it holds.
    """
    for count, what in (
        (column.emails, "e-mail addresses"),
        (
            column.cards if column.looked_at >= _FEWEST_CARDS else 0,
            "card numbers (their check digits are right)",
        ),
        (column.ibans, "bank accounts (IBAN)"),
        (column.phones, "phone numbers"),
    ):
        if count and count >= _MOST_OF * column.looked_at:
            return "hash", f"{what} in {count:,} of {column.looked_at:,} different values"
    if _is_of_other_type(column):
        return None
    name = make_snake_case(column.name)
    for pattern, (what, shield) in _NAMES.items():
        if re.fullmatch(pattern, name):
            return shield, f"{what}, by the column's name"
    if name == "name" and _PEOPLE.search(make_snake_case(table)):
        return "mask", "names of people, by the names of column and table"
    if column.full_names < _MOST_OF * column.looked_at:
        return None
    holds_names = (
        column.looked_at >= _FEWEST_NAMES and column.given_names >= _SHARE_OF_GIVEN_NAMES * column.looked_at
    )
    if holds_names or _PEOPLE.search(name):
        return "mask", f"names of people in {column.full_names:,} of {column.looked_at:,} different values"
    return None


def _is_of_other_type(column: ColumnProfile) -> bool:
    return bool(
        not column.filled
        or column.dates + column.timestamps + column.objects + column.arrays
        or column.booleans == column.filled
        or (column.decimals and column.numbers == column.filled)
    )
