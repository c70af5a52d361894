"""The latest value known at each question, from Parquet files: the join of Assay beside that of Polars."""

from __future__ import annotations

import duckdb

from benchmarks.measure import middle, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, row_of, within
from benchmarks.workshop import Workshop

_LIMIT, _DERIVED_LIMIT = 0.7, 1.3
_VIEWS = ("values", "second_values", "third_values")
_ONE, _THREE = "polars.join_asof", "polars.join_asof, three views"

_JOINS = {
    "point_in_time_join": ("latest_values", _ONE, _LIMIT),
    "... with max_age and a derived feature": ("latest_values_with_age", _ONE, _DERIVED_LIMIT),
    "point_in_time_join, three views": ("latest_values_of_three", _THREE, _LIMIT),
}


def run(settings: Settings) -> Report:
    workshop = Workshop(settings.scratch / "workshop")
    for number, view in enumerate(_VIEWS):
        workshop.make_transactions(settings.events, first=number * settings.events)
        _write_values(workshop, view)
    _write_questions(workshop)
    folder = str(workshop.folder)
    commands = {_ONE: ("benchmarks.polars_join", folder, _VIEWS[0])}
    commands[_THREE] = ("benchmarks.polars_join", folder, *_VIEWS)
    for what, (model, *_) in _JOINS.items():
        commands[what] = ("benchmarks.query", str(workshop.compiled(model)))
    costs = {name: [run_module(*command) for _ in range(3)] for name, command in commands.items()}
    rows_found = {cost.output.strip() for several in costs.values() for cost in several}
    cpu = {name: middle([cost.cpu for cost in several]) for name, several in costs.items()}
    workshop.remove()
    rows = [row_of(baseline, costs[baseline]) for baseline in (_ONE, _THREE)]
    for what, (_, baseline, limit) in _JOINS.items():
        held = within(cpu[what] / cpu[baseline], limit, f"{limit:g} times")
        rows.append(row_of(what, costs[what], baseline=baseline, **held))
    name = f"{settings.events / 1e6:g}M values a view, {settings.events / 1e7:g}M questions"
    return Report(
        "latest",
        f"latest values from Parquet, whole processes: {name}",
        rows,
        [f"Rows joined: {', '.join(sorted(rows_found))}."],
    )


def _write_values(workshop: Workshop, view: str) -> None:
    with duckdb.connect(workshop.warehouse) as connection:
        # In the order of time, as both find it; a value holds until the card's next.
        connection.execute(
            f"""
            copy (
                select
                    card_id,
                    available_at as valid_from,
                    lead(available_at, 1, timestamp '9999-12-31') over by_card as valid_to,
                    available_at as updated_at,
                    amount
                from transactions
                window by_card as (partition by card_id order by available_at)
                qualify available_at is distinct from lead(available_at) over by_card
                order by valid_from
            ) to '{workshop.folder / view}.parquet'
            """
        )


def _write_questions(workshop: Workshop) -> None:
    file = workshop.folder / "questions.parquet"
    with duckdb.connect(workshop.warehouse) as connection:
        connection.execute(f"copy (select * from questions order by asked_at) to '{file}'")
