"""What tables, sources and files cost: the rows of `assay cost`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assay.cost.retention import Saving
from assay.erasure.compact import CompactedTable

SOURCE, VIEW, FEATURE_VIEW, TRAINING_SET, TABLE, FILE = (
    *("source", "view", "feature view", "training set", "table", "file"),
)
#: The kind of several small things that are shown together.
SMALL = "small"
#: Kinds of which it is recorded who reads them.
RECORDED = (FEATURE_VIEW, TRAINING_SET)


@dataclass
class Costs:
    """What one source, table, view or file takes.

    `bytes` is by tier, None where it is not known. `seconds` is how long builds of the last days built and
    tested it, by the clock. `readers` is None where nobody records who reads it. Money is None without
    prices, and where what it is for is not known.
    """

    name: str
    kind: str
    bytes: dict[str, int | None] = field(default_factory=dict)
    seconds: float | None = None
    readers: list[str] | None = None
    last_read_at: datetime | None = None
    storage_money: float | None = None
    build_money: float | None = None

    def add(self, tier: str, size: int | None) -> None:
        """Add bytes to a tier; what is added to something that is not known is not known."""
        before = self.bytes.get(tier, 0)
        self.bytes[tier] = None if size is None or before is None else before + size

    @property
    def known_bytes(self) -> int:
        """All bytes that are known."""
        return sum(size or 0 for size in self.bytes.values())


@dataclass(frozen=True)
class CostReport:
    """What a project costs. Times are UTC, naive; money is for a month.

    `seconds_since` is from when on builds count. `unread` are the feature views and training sets that nobody
    has read since `unread_since`, by what is recorded, without those that were first built after that, which
    are `too_new`; the server's log begins at `log_begins_at`, None without one. `savings` are of what landed
    before `savings_before`; both are None unless it was asked, and the savings where nobody can tell.
    `merging` is of the landed files that can be merged, None unless savings were asked for. `problems` say
    what is left out.
    """

    things: list[Costs]
    bytes: dict[str, int]
    seconds_since: datetime
    unread: list[str]
    unread_since: datetime
    too_new: list[str]
    log_begins_at: datetime | None
    savings_before: datetime | None
    savings: list[Saving] | None
    currency: str | None
    storage_money: dict[str, float] | None
    problems: list[str]
    merging: list[CompactedTable] | None = None


class Gathered:
    """Costs by name."""

    def __init__(self) -> None:
        self._things: dict[str, Costs] = {}

    def thing(self, name: str, kind: str) -> Costs:
        """Return the costs of something, which are none at first."""
        return self._things.setdefault(name, Costs(name, kind))

    def things(self) -> list[Costs]:
        """Return all costs, the largest first."""
        return sorted(self._things.values(), key=lambda each: (-each.known_bytes, each.name))
