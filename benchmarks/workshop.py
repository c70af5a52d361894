"""A dbt project that has Assay as a package and makes histories of made-up card transactions."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.build import MEMORY_LIMIT
from benchmarks.measure import Cost, run, run_module

_HERE = Path(__file__).parent
_WAREHOUSE = "workshop.duckdb"

# A million cards, used unevenly; one makes a hundredth of all transactions. Three in a hundred arrive up to
# a day late.
_TRANSACTIONS = """
with draws as (
    select
        hash(number * 7 + 1) % 1000000007 / 1000000007.0 as heavy,
        hash(number * 13 + 5) % 1000000007 / 1000000007.0 as moment,
        hash(number * 17 + 3) % 1000000007 / 1000000007.0 as card,
        hash(number * 19 + 11) as rest
    from range($first, $first + $count) as numbers (number)
),

transactions as (
    select
        case when heavy < $heaviest then 0 else 1 + floor(card * card * 1000000) end::bigint as card_id,
        timestamp '2025-01-01'
        + to_microseconds((($from_day + moment * $days) * 86400e6)::bigint) as happened_at,
        rest,
        (rest % 100000 / 100.0)::decimal(18, 2) as amount
    from draws
)

select
    card_id,
    happened_at,
    happened_at
    + to_microseconds(2000000 + if(rest % 100 < 3, rest % 86400000000, 0)::bigint) as available_at,
    amount,
    timestamp '2025-01-01' + to_microseconds((($from_day + $days) * 86400e6)::bigint) as loaded_at
from transactions
order by happened_at
"""


@dataclass(frozen=True)
class NodeCost:
    """CPU and wall seconds, and bytes of the process; with Spark, also those of its largest task."""

    cpu: float
    wall: float
    peak_rss: int
    task_peak: int


class Workshop:
    """The project in `folder`, on a warehouse file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_HERE / "workshop_project", folder)
        profiles = folder / "profiles.yml"
        profiles.write_text(profiles.read_text().replace(_WAREHOUSE, str(self.warehouse.absolute())))
        package = folder / "dbt_packages" / "assay"
        package.mkdir(parents=True)
        shutil.copy(_HERE.parent / "dbt_project.yml", package)
        shutil.copytree(_HERE.parent / "macros", package / "macros")

    @property
    def warehouse(self) -> Path:
        return self.folder / _WAREHOUSE

    def make_transactions(
        self, count: int, *, first: int = 0, heaviest: float = 0.01, questions: int | None = None
    ) -> None:
        """Make the transactions of a year, and questions about the cards: a tenth as many, unless it is said.

        They take the place of any before; another `first` gives others.
        """
        self._execute(
            f"create or replace table transactions as {_TRANSACTIONS}",
            {"first": first, "count": count, "from_day": 0, "days": 365, "heaviest": heaviest},
        )
        self._execute(
            "create or replace table questions as select row_number() over () as question_id, card_id, "
            "happened_at + interval 3 hours as asked_at "
            f"from transactions using sample reservoir({questions or count // 10} rows) repeatable (1)"
        )

    def add_transactions(self, first: int, count: int, *, from_day: int = 365) -> None:
        """Make those of days after the first year."""
        days = 365 * count / first
        self._execute(
            f"insert into transactions {_TRANSACTIONS}",
            {"first": first, "count": count, "from_day": from_day, "days": days, "heaviest": 0.01},
        )

    def add_old_transaction(self, *, is_told: bool) -> None:
        """Make one that became available seven months before the last ones, but was loaded after them.

        `is_told` says whether the time when it was loaded shows that it is new.
        """
        self._execute(
            "insert into transactions "
            "select * replace (happened_at + interval 2 seconds as available_at, "
            f"(select max(loaded_at) from transactions) + to_seconds({int(is_told)}) as loaded_at) "
            "from transactions where happened_at >= timestamp '2025-05-15' order by happened_at limit 1"
        )

    def write_model(self, name: str, sql: str) -> None:
        (self.folder / "models" / f"{name}.sql").write_text(sql)

    def run(self, *models: str, master: str | None = None) -> dict[str, NodeCost]:
        """Run models, one after the other, and tell what each costs: here, or with Spark."""
        engine = {"ASSAY_ENGINE": f"spark:{master}" if master else "", "ASSAY_SPARK_FROM": "0"}
        cost = run_module("benchmarks.nodes", str(self.folder), *models, environment=engine)
        found = json.loads(cost.output.splitlines()[-1])
        return {
            name: NodeCost(each["cpu"], each["wall"], found["peak_rss"], found["task_peak"])
            for name, each in found["costs"].items()
        }

    def compiled(self, model: str) -> Path:
        """The SQL of a model, with the project's folder in the place of the files' names."""
        run([sys.executable, "-m", "dbt.cli.main", "compile", *self._options, "--select", model])
        found = self.folder / "target" / "compiled" / "workshop" / "models" / f"{model}.sql"
        found.write_text(found.read_text().replace("read_parquet('", f"read_parquet('{self.folder}/"))
        return found

    @property
    def _options(self) -> tuple[str, ...]:
        return ("--quiet", "--project-dir", str(self.folder), "--profiles-dir", str(self.folder))

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _execute(self, sql: str, parameters: dict[str, object] | None = None) -> None:
        with duckdb.connect(self.warehouse) as connection:
            connection.execute(f"set threads = 2; set memory_limit = '{MEMORY_LIMIT}'")
            connection.execute(sql, parameters)


def as_cost(node: NodeCost) -> Cost:
    """The same, in the form that tables are made of."""
    return Cost(node.cpu, 0, node.wall, node.peak_rss, 0)
