"""Put what takes little of a project's costs together, so that what matters is seen."""

from __future__ import annotations

from collections.abc import Iterable

from assay.core.words import counted
from assay.cost.found import SMALL, Costs
from assay.cost.prices import TIERS

#: Of all bytes, of all building and of all money: what is below it in each is small.
SHARE = 0.01


def join_small(things: list[Costs]) -> tuple[list[Costs], int]:
    """Join the things that are below 1 % of all bytes, building and money, into one of each tier.

    A thing belongs to the tier in which most of its bytes are. One whose bytes are not known is not small,
    and one that is alone in its tier stays as it is.

    Args:
        things: of a report, the largest first.

    Returns:
        What is not small, in the order given, then one of each tier; and how many were joined.
    """
    all_bytes = sum(each.known_bytes for each in things)
    limits = [SHARE * sum(amounts) for amounts in zip(*map(_amounts, things), strict=True)]
    by_tier: dict[str, list[Costs]] = {}
    for each in things:
        below = (not amount or amount < limit for amount, limit in zip(_amounts(each), limits, strict=True))
        if each.known_bytes < SHARE * all_bytes and None not in each.bytes.values() and all(below):
            by_tier.setdefault(_main_tier(each), []).append(each)
    groups = {tier: by_tier[tier] for tier in TIERS if len(by_tier.get(tier, ())) > 1}
    joined = {id(each) for group in groups.values() for each in group}
    rest = [each for each in things if id(each) not in joined]
    return [*rest, *(_join(tier, group) for tier, group in groups.items())], len(joined)


def _amounts(costs: Costs) -> tuple[float, float, float]:
    return costs.seconds or 0.0, costs.storage_money or 0.0, costs.build_money or 0.0


def _main_tier(costs: Costs) -> str:
    return max(costs.bytes, key=lambda tier: costs.bytes[tier] or 0, default="other")


def _join(tier: str, group: list[Costs]) -> Costs:
    joined = Costs(f"{counted(len(group), 'other')} of {tier}", SMALL)
    for each in group:
        for name, size in each.bytes.items():
            joined.add(name, size)
    joined.seconds = _sum(each.seconds for each in group)
    joined.readers = sorted({reader for each in group for reader in each.readers or ()}) or None
    joined.last_read_at = max((each.last_read_at for each in group if each.last_read_at), default=None)
    joined.storage_money = _sum(each.storage_money for each in group)
    joined.build_money = _sum(each.build_money for each in group)
    return joined


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
