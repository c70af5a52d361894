"""Histories of windowed aggregates, what grows them, and the joins of training sets to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log10

from benchmarks.measure import middle
from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of, within
from benchmarks.workshop import NodeCost, Workshop, as_cost

_ASOF, _WIDE = "bare ASOF join", "wide ASOF join"
_BUILD_LIMIT = 15.0
_JOIN_LIMIT = 0.5
# What a history that grows may cost of one that is built, by what its input holds since.
_INCREMENT_LIMITS = {
    "nothing new": 0.005,
    "a ten-thousandth new": 0.01,
    "a hundredth new": 0.04,
    "one event of seven months ago": 0.03,
    "one such event, of an input that does not say what was added": 0.03,
}
_GROWTH_LIMIT = 12.0
_HEAVY_LIMIT = 2.0
_MEMORY_LIMIT = 8 << 30
_LARGEST = 50_000_000

Runs = dict[str, list[NodeCost]]


@dataclass(frozen=True)
class _Scale:
    transactions: int
    costs: Runs

    @property
    def name(self) -> str:
        return f"{self.transactions / 1e6:g}M"

    def cpu(self, what: str) -> float:
        return middle([cost.cpu for cost in self.costs[what]])

    def peak(self, what: str) -> int:
        return max(cost.peak_rss for cost in self.costs[what])

    def row(self, what: str, said: str, **rest: object) -> Row:
        return row_of(f"{said}, {self.name}", [as_cost(cost) for cost in self.costs[what]], **rest)


def run(settings: Settings) -> Report:
    small = _measure(settings, SMALL_EVENTS)
    # The limits are those of ten million: what a node costs anyway weighs too much in one.
    rows = _rows(small, is_judged=False) + _heavy(settings)
    if settings.is_full:
        full = _measure(settings, FULL_EVENTS)
        largest = _measure(settings, _LARGEST, _build)
        rows += _rows(full, is_judged=True) + _growth(small, full) + _growth(full, largest)
    return Report(
        "histories",
        "three windows of count and sum over card transactions; a tenth as many questions",
        rows,
        ["CPU is that of the dbt node alone; the bare join writes its result, too."],
    )


def _measure(
    settings: Settings, transactions: int, steps: Callable[[Workshop, int], Runs] | None = None
) -> _Scale:
    found: Runs = {}
    for _ in range(1 if transactions == _LARGEST else 3):
        # In a file of its own each time: what was dropped leaves room behind, which is dearer to write to.
        workshop = Workshop(settings.scratch / "workshop")
        workshop.make_transactions(transactions)
        for name, costs in (steps or _all_steps)(workshop, transactions).items():
            found.setdefault(name, []).extend(costs)
        workshop.remove()
    return _Scale(transactions, found)


def _build(workshop: Workshop, transactions: int) -> Runs:
    return {"velocity": [workshop.run("velocity")["velocity"]]}


def _all_steps(workshop: Workshop, transactions: int) -> Runs:
    # In a process of its own each: what one leaves in memory must not weigh on another.
    steps = ("bare_asof_join", "velocity", "wide_asof_join", "training_join")
    found = {step: workshop.run(step)[step] for step in steps}
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: workshop.add_transactions(transactions, transactions // 10_000),
        lambda: workshop.add_transactions(transactions, transactions // 100, from_day=366),
        lambda: workshop.add_old_transaction(is_told=True),
        lambda: workshop.add_old_transaction(is_told=False),
    ]
    for name, change in zip(_INCREMENT_LIMITS, changes, strict=True):
        change()
        found[name] = workshop.run("velocity")["velocity"]
    return {name: [cost] for name, cost in found.items()}


def _rows(scale: _Scale, *, is_judged: bool) -> list[Row]:
    def held(what: str, baseline: str, limit: float, said: str) -> dict[str, object]:
        ratio = scale.cpu(what) / scale.cpu(baseline)
        return within(ratio, limit, said) if is_judged else {"ratio": ratio}

    def held_with_memory(what: str, limit: float) -> dict[str, object]:
        fields = held(what, "velocity", limit, f"{limit:.1%}, peak of the build")
        if scale.peak(what) > scale.peak("velocity"):
            fields["met"] = False
        return fields

    return [
        scale.row("bare_asof_join", _ASOF),
        scale.row(
            "velocity",
            "history built",
            baseline=_ASOF,
            **held("velocity", "bare_asof_join", _BUILD_LIMIT, f"{_BUILD_LIMIT:g} times"),
        ),
        *(
            scale.row(
                name,
                f"history grown: {name}",
                baseline="history built",
                **held_with_memory(name, limit),
            )
            for name, limit in _INCREMENT_LIMITS.items()
        ),
        scale.row("wide_asof_join", _WIDE),
        scale.row(
            "training_join",
            "training set joined",
            baseline=_WIDE,
            **held("training_join", "wide_asof_join", _JOIN_LIMIT, f"{_JOIN_LIMIT:g}"),
        ),
    ]


def _growth(smaller: _Scale, larger: _Scale) -> list[Row]:
    limit = _GROWTH_LIMIT ** log10(larger.transactions / smaller.transactions)
    ratio = larger.cpu("velocity") / smaller.cpu("velocity")
    peak = larger.peak("velocity")
    return [
        larger.row(
            "velocity",
            "history built",
            baseline=f"history built, {smaller.name}",
            **within(ratio, limit, f"{_GROWTH_LIMIT:g} times a decade, 8 GiB"),
        )
        if peak <= _MEMORY_LIMIT
        else larger.row("velocity", "history built", limit="8 GiB", met=False)
    ]


def _heavy(settings: Settings) -> list[Row]:
    """Extremes of a million events: with an entity that has a hundredth of them, and without."""
    cpu: dict[float, list[NodeCost]] = {}
    for share in (0.0, 0.01):
        workshop = Workshop(settings.scratch / "workshop")
        workshop.make_transactions(SMALL_EVENTS, heaviest=share)
        cpu[share] = [workshop.run("peaks")["peaks"] for _ in range(3)]
        workshop.remove()
    even, heavy = (middle([cost.cpu for cost in costs]) for costs in cpu.values())
    return [
        row_of("max, distinct count and last, 1M, no heavy entity", [as_cost(each) for each in cpu[0.0]]),
        row_of(
            "the same, one entity with a hundredth of all",
            [as_cost(each) for each in cpu[0.01]],
            baseline="no heavy entity",
            **within(heavy / even, _HEAVY_LIMIT, f"{_HEAVY_LIMIT:g} times"),
        ),
    ]
