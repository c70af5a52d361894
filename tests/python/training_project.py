"""The small project with two training sets, and what their tests do with it all the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from small_project import SmallProject, make_small_project

_FTR = """
{{ windowed_history(
    ref('fct_lines'),
    entity_keys=['product_id'],
    event_at='event_at',
    available_at='available_at',
    measures={'quantity': ['max']},
    windows=['7d']
) }}
"""
_TRN = """
with spine as (

    select
        order_line_id,
        product_id,
        quantity,
        available_at as prediction_at,
        quantity > 2 as outcome
    from {{ ref('fct_lines') }}

),

joined as (

    {{ point_in_time_join('spine', 'prediction_at', [
        {
            'view': 'ftr_product__lines',
            'columns': ['quantity_max_7d'],
            'derived': ['doubled'],
            'prefix': 'product_',
        },
    ]) }}

),

final as (

    select
        *,
        case quantity when 1 then null when 3 then 'nan' else quantity / 3 end as third,
        (quantity * 1.25)::decimal(18, 2) as price,
        prediction_at::date as prediction_date,
        case quantity when 1 then '' when 2 then null else 'a "quoted", ü' || chr(10) || 'row' end as note,
        case quantity when 1 then 'NA' else '007' end as code,
        case product_id when 'P39' then (1::bigint << 60) + 1 end as rare,
        case when product_id in ('P0', 'P3') then 'test' else 'train' end as split,
        1.0 / count(*) over () as weight
    from joined

)

select * from final
"""
_LISTS = """
select
    order_line_id as line_id,
    case when quantity > 1 then [quantity, null, -quantity] end as numbers,
    ['a', 'ü'] as texts
from {{ ref('fct_lines') }}
"""
_MODELS = """
models:
  - name: ftr_product__lines
    config:
      meta:
        feature_view:
          entity: product
          keys: [product_id]
          derived:
            - {name: doubled, type: integer, expression: quantity_max_7d * 2}
    columns:
      - {name: product_id, data_type: varchar}
      - {name: quantity_max_7d, data_type: integer}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
  - name: trn_lines
    constraints:
      - {type: primary_key, columns: [order_line_id]}
    columns:
      - {name: order_line_id, data_type: varchar, description: Hash of the line.}
      - {name: product_id, data_type: varchar}
      - {name: quantity, data_type: integer}
      - {name: prediction_at, data_type: timestamp}
      - {name: outcome, data_type: boolean}
      - {name: product_quantity_max_7d, data_type: integer}
      - {name: product_doubled, data_type: integer}
      - {name: third, data_type: double}
      - {name: price, data_type: "decimal(18, 2)"}
      - {name: prediction_date, data_type: date}
      - {name: note, data_type: varchar}
      - {name: code, data_type: varchar}
      - {name: rare, data_type: bigint}
      - {name: split, data_type: varchar}
      - {name: weight, data_type: double}
  - name: trn_lists
    constraints:
      - {type: primary_key, columns: [line_id]}
    columns:
      - {name: line_id, data_type: varchar}
      - {name: numbers, data_type: "integer[]"}
      - {name: texts, data_type: "varchar[]"}
"""
ROWS = 44


def make_training_files(root: Path) -> SmallProject:
    """Write the project to `root`, with what has landed."""
    project = make_small_project(root)
    gold = project.root / "models" / "own" / "gold"
    (gold / "ftr_product__lines.sql").write_text(_FTR)
    (gold / "trn_lines.sql").write_text(_TRN)
    (gold / "trn_lists.sql").write_text(_LISTS)
    (gold / "_training__models.yml").write_text(_MODELS)
    project.land(5, *(number % 5 + 1 for number in range(40)))
    return project


def make_training_project(root: Path) -> SmallProject:
    """Write the project to `root`, build and publish it, and make a version of each training set."""
    project = make_training_files(root)
    succeed(project, "build")
    for name in ("trn_lines", "trn_lists"):
        create(project, name)
    return project


def succeed(project: SmallProject, *arguments: str) -> str:
    ended = project.assay(*arguments)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return str(ended.stdout)


def create(project: SmallProject, name: str = "trn_lines", *options: str) -> str:
    """Create a version, and return its name."""
    told = succeed(project, "training-set", "create", name, *options)
    return next(word for line in told.splitlines() for word in line.split() if word.startswith(f"{name}@"))


def folder(project: SmallProject, version: str) -> Path:
    (found,) = (project.root / "data" / "training_sets").glob(f"{version}*")
    return found


def rows_of(project: SmallProject, version: str = "trn_lines@") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder(project, version) / "data.parquet").to_pylist()
    return found


def edit(project: SmallProject, model: str, old: str, new: str) -> None:
    path = project.root / "models" / "own" / "gold" / f"{model}.sql"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def exported(project: SmallProject, name: str, *options: str, version: str = "trn_lines") -> Path:
    succeed(project, "training-set", "export", version, "--out", name, *options)
    return project.root / name


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """NaN is not equal to itself, but its text is."""
    return [repr(sorted(row.items())) for row in rows]
