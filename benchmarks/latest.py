"""The latest value known at each question, from Parquet files: the join of Assay beside that of Polars."""

from __future__ import annotations

import duckdb

from benchmarks.measure import middle, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, row_of, within
from benchmarks.workshop import Workshop

_LIMIT, _DERIVED_LIMIT = 1.0, 1.3
_BASELINE = "polars.join_asof"


def run(settings: Settings) -> Report:
    workshop = Workshop(settings.scratch / "workshop")
    workshop.make_transactions(settings.events)
    files = workshop.folder
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
            ) to '{files / "values.parquet"}';
            copy (select * from questions order by asked_at) to '{files / "questions.parquet"}';
            """
        )
    plain, derived = workshop.compiled("latest_values"), workshop.compiled("latest_values_with_age")
    commands = {
        _BASELINE: ("benchmarks.polars_join", str(files)),
        "point_in_time_join": ("benchmarks.query", str(plain)),
        "... with max_age and a derived feature": ("benchmarks.query", str(derived)),
    }
    costs = {name: [run_module(*command) for _ in range(3)] for name, command in commands.items()}
    rows_found = {cost.output.strip() for several in costs.values() for cost in several}
    cpu = {name: middle([cost.cpu for cost in several]) for name, several in costs.items()}
    workshop.remove()
    name = f"{settings.events / 1e6:g}M values, {settings.events / 1e7:g}M questions"
    limits = dict(zip(commands, (None, _LIMIT, _DERIVED_LIMIT), strict=True))
    return Report(
        "latest",
        f"latest values from Parquet, whole processes: {name}",
        [
            row_of(
                what,
                several,
                baseline="" if limits[what] is None else _BASELINE,
                **(
                    {}
                    if limits[what] is None
                    else within(cpu[what] / cpu[_BASELINE], limits[what], f"{limits[what]:g} times")
                ),
            )
            for what, several in costs.items()
        ],
        [f"Rows joined: {', '.join(sorted(rows_found))}."],
    )
