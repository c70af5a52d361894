"""Read `costs.yml` in the project's folder, which says what storing and building costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.places import COSTS
from assay.core.yaml_text import read_settings

#: Where bytes lie: `other` is the ledger, logs and whatever else lies beside the warehouse.
TIERS = (
    *(
        "landing",
        "cold",
        "bronze",
        "silver",
        "gold",
        "published",
        "kept",
        "roles",
        "training",
        "online",
        "search",
    ),
    "other",
)
_CURRENCY, _STORAGE, _BUILD, _DEFAULT = "currency", "gb_month", "build_hour", "default"
_GB = 1_000_000_000
_HOUR = 3600
# No price is higher; what is not finite is.
_MOST = 1e12


@dataclass(frozen=True)
class Prices:
    """What a GB (10^9 bytes) costs for a month in each tier, and an hour of building; None if not told."""

    currency: str
    gb_month: dict[str, float]
    build_hour: float | None

    def of_storage(self, sizes: Mapping[str, int | None]) -> float | None:
        """Return what bytes by tier cost for a month; None where the bytes of a tier are not known."""
        total = 0.0
        for tier, size in sizes.items():
            if size is None:
                return None
            total += size / _GB * self.gb_month[tier]
        return total

    def of_building(self, seconds: float | None) -> float | None:
        """Return what seconds of building cost; None where seconds or price are not known."""
        return None if seconds is None or self.build_hour is None else seconds / _HOUR * self.build_hour


def read_prices(path: Path = COSTS) -> Prices | None:
    """Read the file; None if there is none.

    Raises:
        Fault: the file is no YAML, has a name twice, or says something else than prices.
    """
    if not path.is_file():
        return None
    found = read_settings(path)
    allowed = (_CURRENCY, _STORAGE, _BUILD)
    if not isinstance(found, dict):
        raise Fault(
            f"{path} needs {_CURRENCY} and {_STORAGE}, such as {_STORAGE}: {{default: 0.02}}.", MISUSED
        )
    if strange := sorted(str(name) for name in set(found) - set(allowed)):
        raise Fault(f"{path} has {', '.join(strange)}: allowed are {', '.join(allowed)}.", MISUSED)
    currency = found.get(_CURRENCY)
    if not isinstance(currency, str) or not currency.strip():
        raise Fault(f"{path}: {_CURRENCY} is {currency!r}: write its name, such as EUR.", MISUSED)
    hour = found.get(_BUILD)
    return Prices(
        currency.strip(),
        _prices_of_tiers(path, found.get(_STORAGE)),
        None if hour is None else _price(path, _BUILD, hour),
    )


def _prices_of_tiers(path: Path, declared: Any) -> dict[str, float]:
    if not isinstance(declared, dict):
        raise Fault(
            f"{path}: {_STORAGE} is {declared!r}: write a price for each tier, or one for all, "
            f"such as {_STORAGE}: {{{_DEFAULT}: 0.02}}.",
            MISUSED,
        )
    if strange := sorted(str(name) for name in set(declared) - {*TIERS, _DEFAULT}):
        raise Fault(
            f"{path}: {_STORAGE} has {', '.join(strange)}: allowed are {', '.join((*TIERS, _DEFAULT))}.",
            MISUSED,
        )
    prices = {str(name): _price(path, f"{_STORAGE}.{name}", value) for name, value in declared.items()}
    default = prices.pop(_DEFAULT, None)
    missing = [tier for tier in TIERS if tier not in prices]
    if default is None and missing:
        raise Fault(
            f"{path}: {_STORAGE} has no price of {', '.join(missing)}: write one, or {_DEFAULT} for all that "
            "are not named.",
            MISUSED,
        )
    return {tier: prices.get(tier, default or 0.0) for tier in TIERS}


def _price(path: Path, name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MOST:
        raise Fault(f"{path}: {name} is {value!r}: write a number from 0 on, below a trillion.", MISUSED)
    return float(value)
