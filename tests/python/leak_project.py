"""A copy of the project with leaks planted in it: real models, each with one small change."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from dbt_here import NO_LOG

from assay.leakage.erased import Silent
from assay.project.dbt_run import run_dbt
from assay.project.graph import Manifest

PROJECT = Path(__file__).parents[2]
COPIED = ("macros", "models", "seeds", "snapshots")
Change = tuple[str, str]


@dataclass(frozen=True)
class Leak:
    """A leak, and what is expected to catch it.

    `changes` are made to copies of models: for each model its changes as (before, after). The copies read one
    another in place of the models they are of; the last is the training set.
    """

    name: str
    changes: dict[str, list[Change]]
    check: str
    column: str

    @property
    def training_set(self) -> str:
        return self.copy_of(list(self.changes)[-1])

    def copy_of(self, model: str) -> str:
        return f"{model}__{self.name}"


def with_column(expression: str, join: str = "") -> list[Change]:
    """A training set with one more column."""
    return [
        ("split_rows.*,", f"split_rows.*,\n        {expression},"),
        ("from split_rows\n\n)", f"from split_rows\n    {join}\n\n)"),
    ]


FIXED = [
    (
        "[assay.share_of_time('spine', 'prediction_at', 0.6), "
        "assay.share_of_time('spine', 'prediction_at', 0.85)]",
        "['2025-06-01', '2025-08-15']",
    ),
    (
        "final as (",
        "parameters as ({{ fit_preprocessing('split_rows', {'standard_scale': ['amount']}) }}),\n\n"
        "final as (",
    ),
    *with_column("{{ standard_scale('amount', 'parameters') }} as scaled_amount"),
]

BY_SHARES = (
    "[assay.share_of_time('spine', 'prediction_at', 0.6), "
    "assay.share_of_time('spine', 'prediction_at', 0.85)]"
)


def encoded(boundaries: str) -> list[Change]:
    """A training set with an encoding of its categories by the outcomes of its training rows."""
    options = "'target': 'outcome::int', 'smoothing': 10, 'folds': 5, 'row_id': 'transaction_id'"
    step = f"{{'target_encode': {{'columns': ['category'], {options}}}}}"
    return [
        (BY_SHARES, boundaries),
        (
            "final as (",
            f"parameters as ({{{{ fit_preprocessing('split_rows', {step}) }}}}),\n\nfinal as (",
        ),
        *with_column("{{ target_encode('category', 'parameters', 'transaction_id') }} as category_risk"),
    ]


LEAKS = [
    Leak(
        "event_time_instead_of_knowledge_time",
        {
            "ftr_customer__purchases": [("available_at='available_at'", "available_at='ordered_at'")],
            "trn_churn": [],
        },
        "knowledge time",
        "ftr_customer__purchases__event_time_instead_of_knowledge_time.*",
    ),
    Leak(
        "window_that_looks_ahead",
        {
            "trn_fraud": [
                (
                    "point_in_time_join('spine', 'prediction_at'",
                    "point_in_time_join('spine', \"prediction_at + interval '1 hour'\"",
                )
            ]
        },
        "brute force",
        "transaction_count_1h",
    ),
    Leak(
        "self_included",
        {
            "ftr_card__velocity": [("available_at='available_at'", "available_at='transacted_at'")],
            "trn_fraud": [],
        },
        "brute force",
        "transaction_count_5m",
    ),
    Leak(
        "statistics_of_all_rows",
        {
            "trn_fraud": [
                *FIXED,
                ("{'standard_scale': ['amount']})", "{'standard_scale': ['amount']}, where='true')"),
            ]
        },
        "erasure",
        "scaled_amount",
    ),
    Leak(
        "label_as_a_feature",
        {"trn_churn": with_column("case when split_rows.outcome then 0.2 else 0.7 end as loyalty")},
        "outcome",
        "loyalty",
    ),
    Leak(
        "label_known_late_as_a_feature",
        {"trn_fraud": with_column("split_rows.outcome and split_rows.amount > 50 as was_disputed")},
        "erasure",
        "was_disputed",
    ),
    Leak(
        "current_state_of_a_dimension",
        {
            "trn_churn": with_column(
                "customers.city",
                "left join {{ ref('dim_customers') }} as customers "
                "on split_rows.customer_id = customers.customer_id and customers.is_current",
            )
        },
        "erasure",
        "city",
    ),
    Leak(
        "split_without_embargo",
        {"trn_fraud": [("'45d'", "none")]},
        "splits",
        "split",
    ),
    Leak(
        "late_data_backdated",
        {
            "fct_purchases": [
                (
                    "order_lines.available_at\n    from",
                    "order_lines.ordered_at + interval '1 hour' as available_at\n    from",
                )
            ],
            "ftr_customer__purchases": [],
            "trn_churn": [],
        },
        "erasure",
        "ftr_customer__purchases__late_data_backdated.purchase_count_7d",
    ),
    Leak(
        "join_on_date",
        {
            "trn_fraud": [
                (
                    "point_in_time_join('spine', 'prediction_at'",
                    "point_in_time_join('spine', \"date_trunc('day', prediction_at) + interval '1 day'\"",
                )
            ]
        },
        "brute force",
        "transaction_count_24h",
    ),
    Leak(
        "snapshot_read_at_its_end",
        {
            "trn_recommendation": with_column(
                "prices.unit_price",
                "left join {{ ref('snp_price_list') }} as prices "
                "on split_rows.product_id = prices.product_id and prices.dbt_valid_to = {{ end_of_time() }}",
            )
        },
        "erasure",
        "unit_price",
    ),
    Leak(
        "frauds_counted_before_they_are_confirmed",
        {
            "fct_merchant_activity": [
                ("greatest(transacted_at + interval '45 days', available_at) as", "available_at as")
            ],
            "ftr_merchant__activity": [],
            "trn_fraud": [],
        },
        "erasure",
        "merchant_confirmed_fraud_rate_all",
    ),
    Leak(
        "rows_left_out_for_what_came_later",
        {
            "trn_fraud": [
                (
                    "select * from {{ ref('lbl_fraud') }}",
                    "select * from {{ ref('lbl_fraud') }}\n    where card_id not in "
                    "(select card_id from {{ ref('fct_card_transactions') }} where is_fraud)",
                )
            ]
        },
        "knowledge time",
        "(row)",
    ),
    Leak(
        "age_counted_from_a_later_confirmation",
        {
            "trn_churn": [
                (
                    "'view': 'ftr_customer__sessions',",
                    "'relation': ref('ftr_customer__sessions'), 'entity_keys': ['customer_id'], "
                    "'max_age': '30d',",
                )
            ]
        },
        "knowledge time",
        '"gold"."ftr_customer__sessions".updated_at',
    ),
    Leak(
        "daily_total_joined_on_the_date",
        {
            "trn_fraud": with_column(
                "days.transactions_that_day",
                "left join (select transacted_date, count(*) as transactions_that_day from "
                "{{ ref('fct_card_transactions') }} group by all) as days "
                "on split_rows.prediction_at::date = days.transacted_date",
            )
        },
        "erasure",
        "transactions_that_day",
    ),
]


def with_split(expression: str) -> list[Change]:
    """A training set whose split is changed afterwards."""
    return [
        (
            "final as (",
            f"changed as (\n    select * replace ({expression} as split) from split_rows\n),\n\nfinal as (",
        ),
        ("split_rows.*,", "changed.*,"),
        ("from split_rows\n\n)", "from changed\n\n)"),
    ]


LEAKS.append(
    Leak(
        "rows_taken_out_of_a_split_for_what_comes_later",
        {
            "trn_fraud": with_split(
                "case when not outcome and hash(transaction_id) % 3 = 0 then 'embargo' else split end"
            )
        },
        "erasure",
        "split",
    )
)
# Cards that nobody learns from, whatever becomes of them.
HELD_OUT = Leak(
    "some_cards_held_out",
    {"trn_fraud": with_split("case when hash(card_id) % 5 = 0 then 'embargo' else split end")},
    "",
    "",
)

# The same statistics as they should be fitted.
FITTED_ON_TRAINING_ROWS = Leak("fitted_on_training_rows", {"trn_fraud": FIXED}, "", "")


@dataclass(frozen=True)
class LeakProject:
    """The copy in `root`, and the warehouse it is built in."""

    root: Path
    landing: Path

    @property
    def warehouse(self) -> Path:
        return self.root / "data" / "assay.duckdb"

    @property
    def manifest(self) -> Manifest:
        return Manifest.read(self.root / "target" / "manifest.json")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the project's folder, and in no other's environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DBT_"))}
        environment = {**kept, **NO_LOG, "ASSAY_LANDING": str(self.landing)}
        with chdir(self.root), mock.patch.dict(os.environ, environment, clear=True):
            yield

    def build(self, training_sets: Sequence[str]) -> None:
        self.warehouse.parent.mkdir(exist_ok=True)
        with self.entered():
            select = [f"+{name}" for name in training_sets]
            tests = ["--exclude-resource-type", "test", "unit_test"]
            outcome = run_dbt(
                ["build", "--select", *select, *tests],
                warehouse=self.warehouse,
                on_start=lambda _: None,
                watcher=Silent(),
            )
        failures = [each.message for each in outcome.results if str(each.status) == "error"]
        assert outcome.succeeded, failures or outcome.exception

    def change(self, file: str, before: str, after: str) -> None:
        """Change a file of the copy; the text to change must be there."""
        path = self.root / file
        path.write_text(changed(path.read_text(), before, after))

    def plant(self, leak: Leak, **texts: str) -> None:
        """Add copies of the models that a leak changes; `{name}` in them stands for a text."""
        folder = self.root / "models" / "own" / "gold" / "planted"
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        for model, changes in leak.changes.items():
            [path] = (PROJECT / "models" / "example" / "gold").glob(f"*/{model}.sql")
            text = path.read_text()
            for before, after in changes:
                text = changed(text, before, after)
            for name, value in texts.items():
                text = text.replace(f"{{{name}}}", value)
            for other in leak.changes:
                text = text.replace(f"'{other}'", f"'{leak.copy_of(other)}'")
            (folder / f"{leak.copy_of(model)}.sql").write_text(text)
            entries.append(_described(path, model, leak.copy_of(model)))
        (folder / f"_{leak.name}__models.yml").write_text(json.dumps({"models": entries}))


def changed(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, f"{before!r} is there {text.count(before)} times"
    return text.replace(before, after)


def _described(path: Path, model: str, copy: str) -> dict[str, Any]:
    """The model's own YAML under another name; what is planted may add columns to it."""
    [file] = path.parent.glob("_*__models.yml")
    [entry] = (each for each in yaml.safe_load(file.read_text())["models"] if each["name"] == model)
    entry = deepcopy(entry) | {"name": copy, "data_tests": []}
    entry["config"] = {**entry.get("config", {}), "contract": {"enforced": False}}
    entry["columns"] = [{"name": column["name"]} for column in entry["columns"]]
    if not model.startswith("lbl_"):
        entry.pop("constraints", None)
    return entry


def make_leak_project(root: Path, landing: Path) -> LeakProject:
    """Copy the project, without its tests."""
    for folder in COPIED:
        shutil.copytree(PROJECT / folder, root / folder, ignore=shutil.ignore_patterns("*__unit_tests.yml"))
    for name in ("dbt_project.yml", "profiles.yml", "packages.yml"):
        shutil.copy(PROJECT / name, root / name)
    stand_in = Path("dbt_expectations")
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    return LeakProject(root, landing)


# Encodings that are learnt from training rows alone; late boundaries leave little time after them.
ENCODED = Leak("encoded_by_shares", {"trn_fraud": encoded(BY_SHARES)}, "", "category_risk")
ENCODED_LATE = Leak(
    "encoded_late", {"trn_fraud": encoded("['2025-10-15', '2025-11-05']")}, "", "category_risk"
)

# An encoding that holds the row's own outcome, and a weight of what comes within the outcome's horizon.
LEARNT_WRONGLY = Leak(
    "learnt_wrongly",
    {
        "trn_fraud": [
            *(
                (before, after.replace("'transaction_id') }} as", "'transaction_id', where='false') }} as"))
                for before, after in encoded(BY_SHARES)
            ),
            (
                "{{ assay.balanced_weight('outcome', \"split = 'train'\") }} as weight",
                """(
            select count(*)
            from {{ ref('fct_card_transactions') }} as later
            where
                later.card_id = split_rows.card_id and later.transacted_at > split_rows.prediction_at
                and later.transacted_at < split_rows.prediction_at + interval '30 days'
        ) as weight""",
            ),
        ]
    },
    "",
    "",
)

# Several columns, each with a leak of its own, in one training set; `{averages}` is a CSV file.
TOGETHER = Leak(
    "together",
    {
        "trn_fraud": with_column(
            """bronze.all_time_count,
        landed.landed_count,
        beside.beside_count,
        averages.risk,
        seeded.seeded_risk,
        exists (
            from {{ ref('fct_card_transactions') }} as others
            where
                others.card_id = split_rows.card_id and others.transaction_id != split_rows.transaction_id
                and others.transacted_at >= split_rows.prediction_at
                and others.transacted_at < split_rows.prediction_at + interval '5 minutes'
        ) as is_soon_repeated,
        hour_later.transaction_count_7d as count_an_hour_later""",
            """left join (
        select trim(cc_num) as card_id, count(*) as all_time_count
        from {{ ref('view_of_bronze') }} group by all
    ) as bronze on split_rows.card_id = bronze.card_id
    left join (
        select trim(cc_num) as card_id, count(*) as landed_count
        from landing.payments__card_transactions group by all
    ) as landed on split_rows.card_id = landed.card_id
    left join (select distinct * from {{ ref('gate_beside_bronze') }}) as beside
        on split_rows.card_id = beside.card_id
    left join {{ ref('category_risks') }} as seeded on split_rows.category = seeded.category
    left join read_csv('{averages}') as averages on split_rows.category = averages.category
    asof left join {{ ref('ftr_card__velocity') }} as hour_later
        on split_rows.card_id = hour_later.card_id
            and split_rows.prediction_at + interval '1 hour' >= hour_later.valid_from""",
        )
    },
    "",
    "",
)
BEGINS_EARLY = Leak(
    "label_begins_before_the_prediction",
    {
        "lbl_churn": [
            (
                "cut_offs.prediction_at <= orders.ordered_at\n",
                "cut_offs.prediction_at - interval '14 days' <= orders.ordered_at\n",
            )
        ],
        "trn_churn": [],
    },
    "labels",
    "outcome",
)
AT_THE_EDGES = [
    Leak(
        "label_begins_a_second_early",
        {
            "lbl_churn": [
                (
                    "cut_offs.prediction_at <= orders.ordered_at\n",
                    "cut_offs.prediction_at - interval '1 second' <= orders.ordered_at\n",
                )
            ],
            "trn_churn": [],
        },
        "labels",
        "outcome",
    ),
    Leak(
        "label_ends_a_second_late",
        {
            "lbl_churn": [
                (
                    "cut_offs.ended_at > orders.ordered_at\n",
                    "cut_offs.ended_at + interval '1 second' > orders.ordered_at\n",
                )
            ],
            "trn_churn": [],
        },
        "labels",
        "outcome",
    ),
]
CHOSEN_LATER = Leak(
    "rows_chosen_by_the_next_week",
    {
        "lbl_churn": [
            (
                "left join returned using (prediction_at, customer_id)",
                """left join returned using (prediction_at, customer_id)
    where not exists (
        from orders
        where
            orders.customer_id = active_customers.customer_id
            and orders.ordered_at >= active_customers.prediction_at
            and orders.ordered_at < active_customers.prediction_at + interval '7 days'
    )""",
            )
        ],
        "trn_churn": [],
    },
    "labels",
    "(row)",
)


def drawn(name: str, condition: str) -> Leak:
    """Pairs of which those that are not bought are drawn under one more condition, on what comes later."""
    return Leak(
        name,
        {
            "lbl_next_purchase": [
                (
                    "            and candidates.product_id = bought.product_id\n",
                    "            and candidates.product_id = bought.product_id\n"
                    f"    where not exists (from customer_purchases as later where {condition})\n",
                )
            ],
            "trn_recommendation": [],
        },
        "labels",
        "(row) of outcome False",
    )


DRAWN_LATER = [
    drawn(
        "drawn_of_those_who_rest_for_a_week",
        "later.customer_id = drawn.customer_id and later.ordered_at >= drawn.prediction_at "
        "and later.ordered_at < drawn.prediction_at + interval '7 days'",
    ),
    drawn(
        "drawn_of_those_who_never_come_back",
        "later.customer_id = drawn.customer_id "
        "and later.ordered_at >= drawn.prediction_at + interval '28 days'",
    ),
    drawn(
        "drawn_of_what_others_do_not_buy",
        "later.product_id = candidates.product_id and later.ordered_at >= drawn.prediction_at "
        "and later.ordered_at < drawn.prediction_at + interval '28 days'",
    ),
    Leak(
        "drawn_of_those_who_do_not_look",
        {
            "lbl_next_purchase": [
                (
                    "            and candidates.product_id = bought.product_id\n",
                    """            and candidates.product_id = bought.product_id
    where not exists (
        from {{ ref('slv_web_events') }} as events
        where
            events.customer_id = drawn.customer_id and events.event_at >= drawn.prediction_at
            and events.event_at < drawn.prediction_at + interval '28 days'
    )\n""",
                )
            ],
            "trn_recommendation": [],
        },
        "labels",
        "(row) of outcome False",
    ),
]
