"""A small project with all that the platform watches: sources, quality, drift, an online view, retraining."""

from __future__ import annotations

import shutil
from calendar import monthrange
from pathlib import Path

from small_project import HEADER, PROJECT, SmallProject, make_small_project

MONTHS = 8
VIEW = "ftr_product__lines"
_LINES_A_FILE, _PRODUCTS = 12, 6
_FTR = """
{{ windowed_history(
    ref('slv_order_lines'),
    entity_keys=['product_id'],
    event_at='event_at',
    available_at='available_at',
    measures={'quantity': ['sum']},
    windows=['7d']
) }}
"""
_TRN = """
with spine as (

    select
        order_line_id,
        product_id,
        available_at as prediction_at,
        quantity > 3 as outcome
    from {{ ref('slv_order_lines') }}

),

final as (

    {{ point_in_time_join('spine', 'prediction_at', [
        {'view': 'ftr_product__lines', 'columns': ['quantity_sum_7d'], 'prefix': 'product_'},
    ]) }}

)

select * from final
"""
_MODELS = """
models:
  - name: ftr_product__lines
    config:
      materialized: replaced
      meta: {owner: product team, feature_view: {entity: product, keys: [product_id], online: true}}
    columns:
      - {name: product_id, data_type: varchar}
      - {name: quantity_sum_7d, data_type: hugeint}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
  - name: trn_lines
    constraints:
      - {type: primary_key, columns: [order_line_id]}
    columns:
      - {name: order_line_id, data_type: varchar}
      - {name: product_id, data_type: varchar}
      - {name: prediction_at, data_type: timestamp}
      - {name: outcome, data_type: boolean}
      - {name: product_quantity_sum_7d, data_type: hugeint}
"""


def make_watched_project(root: Path) -> None:
    """Write the project to `root`: eight months that are alike, built, and a version of its training set."""
    project = make_small_project(root)
    shutil.rmtree(project.landing)
    unit_tests = shutil.ignore_patterns("*__unit_tests.yml")
    platform = Path("models", "platform")
    shutil.copytree(PROJECT / platform, root / platform, ignore=unit_tests, dirs_exist_ok=True)
    gold = root / "models" / "own" / "gold"
    # Nothing can be counted of a table that the YAML does not know.
    (gold / "fct_days.sql").unlink()
    (gold / f"{VIEW}.sql").write_text(_FTR)
    (gold / "trn_lines.sql").write_text(_TRN)
    (gold / "_watched__models.yml").write_text(_MODELS)
    for month in range(1, MONTHS + 1):
        land_month(project, month)
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    taken = project.assay("training-set", "create", "trn_lines")
    assert taken.exit_code == 0, taken.output


def land_month(project: SmallProject, month: int, *, pieces: int = 1, customer: str = "7") -> None:
    """Land the order lines of a month of 2025, in a file every fourth day.

    Args:
        project: the project.
        month: the month.
        pieces: how often the usual quantity.
        customer: who ordered.
    """
    for day in range(4, monthrange(2025, month)[1] + 1, 4):
        path = project.landing / "erp" / "order_lines" / f"landed_at=2025-{month:02}-{day:02}T02-00-00"
        path.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{month:02}{day:02}{number:02},P{number % _PRODUCTS},a thing,"
            f"{pieces * ((number * day + month) % 7 + 1)},"
            f"2025-{month:02}-{day - 1 - number % 3:02} 08:00:00,1.50,{customer},France\n"
            for number in range(_LINES_A_FILE)
        ]
        (path / "lines.csv").write_text(HEADER + "".join(lines))
