"""`assay training-set`: versions are made, listed, compared, rebuilt to the bit, and exported."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from small_project import PROJECT, SmallProject, make_small_project

from assay.demo import generate
from assay.training import content, export
from assay.training.content import content_of
from assay.training.tfrecord import records

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
_ROWS = 44


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project with two training sets, built and published, with a version of each; only to read."""
    project = make_small_project(tmp_path_factory.mktemp("training") / "project")
    gold = project.root / "models" / "gold"
    (gold / "ftr_product__lines.sql").write_text(_FTR)
    (gold / "trn_lines.sql").write_text(_TRN)
    (gold / "trn_lists.sql").write_text(_LISTS)
    (gold / "_training__models.yml").write_text(_MODELS)
    project.land(5, *(number % 5 + 1 for number in range(40)))
    succeed(project, "build")
    for name in ("trn_lines", "trn_lists"):
        create(project, name)
    return project


@pytest.fixture
def mine(built: SmallProject, tmp_path: Path) -> SmallProject:
    """A copy of it, for one test to do with as it likes."""
    return SmallProject(Path(shutil.copytree(built.root, tmp_path / "project")))


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
    path = project.root / "models" / "gold" / f"{model}.sql"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def exported(project: SmallProject, name: str, *options: str, version: str = "trn_lines") -> Path:
    succeed(project, "training-set", "export", version, "--out", name, *options)
    return project.root / name


def test_a_version_says_what_it_is_and_what_it_was_made_from(built: SmallProject) -> None:
    (version,) = (built.root / "data" / "training_sets").glob("trn_lines@*")
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["version"] == version.name == f"trn_lines@{manifest['content_hash'][:12]}"
    assert (manifest["name"], manifest["rows"], manifest["primary_key"]) == (
        "trn_lines",
        _ROWS,
        ["order_line_id"],
    )
    assert [(each["name"], each["type"], each["description"]) for each in manifest["columns"]][:2] == [
        ("order_line_id", "VARCHAR", "Hash of the line."),
        ("product_id", "VARCHAR", ""),
    ]
    splits = built.query(
        "select split, count(*), avg(outcome::int) from gold.trn_lines group by split order by split"
    )
    assert [(each["split"], each["rows"], each["outcome_rate"]) for each in manifest["splits"]] == splits
    assert manifest["features"] == [
        {"view": "ftr_product__lines", "name": "quantity_max_7d", "column": "product_quantity_max_7d"},
        {"view": "ftr_product__lines", "name": "doubled", "column": "product_doubled"},
    ]
    assert (manifest["as_of"], manifest["is_as_of_given"]) == ("2025-01-05 02:00:00", False)
    assert (manifest["input_files"], manifest["input_rows"]) == (3, 45)
    assert [(manifest["run_id"],)] == built.query("select distinct run_id from bronze.brz_files")
    assert {"trn_lines", "ftr_product__lines", "slv_order_lines__checked", "macro point_in_time_join"} < set(
        manifest["code"]
    )
    files = list(csv.DictReader((version / "files.csv").open(newline="")))
    assert {each["source_file"] for each in files} == {
        f"erp/order_lines/landed_at=2025-01-{day:02}T02-00-00/lines.csv" for day in (2, 3, 5)
    }
    lines = [row["order_line_id"] for row in rows_of(built)]
    assert lines == sorted(lines)


def test_list_and_show(built: SmallProject, project: SmallProject) -> None:
    listed = succeed(built, "training-set", "list")
    (version,) = (built.root / "data" / "training_sets").glob("trn_lines@*")
    assert version.name in listed
    assert "test 4, train 40" in " ".join(listed.split())
    shown = succeed(built, "training-set", "show", "trn_lines")
    assert shown == succeed(built, "training-set", "show", version.name)
    for part in (
        "order_line_id (key)",
        "DECIMAL(18,2)",
        "ftr_product__lines",
        "Hash of the line.",
        "3 files",
    ):
        assert part in shown
    assert json.loads((version / "manifest.json").read_text())["content_hash"] in shown
    assert "There are no training sets" in succeed(project, "training-set", "list")


def test_the_same_content_is_the_same_version(mine: SmallProject) -> None:
    version = folder(mine, "trn_lines@")
    before = {path.name: path.read_bytes() for path in version.iterdir()}
    told = succeed(mine, "training-set", "create", "trn_lines")
    assert f"{version.name} was there already" in told
    assert {path.name: path.read_bytes() for path in version.iterdir()} == before
    rows = version / "data.parquet"
    shutil.rmtree(version)
    assert create(mine) == version.name
    assert rows.read_bytes() == before["data.parquet"]


def test_a_version_is_rebuilt_to_the_bit_whatever_lands_later(mine: SmallProject) -> None:
    version = folder(mine, "trn_lines@").name
    told = succeed(mine, "training-set", "verify", version)
    assert f"{version} was rebuilt to the bit: {_ROWS} rows" in told
    assert "Not checked for leaks: trn_lines is no training set: it must read one model with" in told
    # What lands later is available earlier than what the version saw.
    mine.land(4, 7, 8, 9)
    succeed(mine, "build")
    assert create(mine) != version
    assert "was rebuilt to the bit" in succeed(mine, "training-set", "verify", version)
    assert not list((mine.root / "data" / "training_sets").glob(".*"))


def test_as_of_takes_what_was_known_then(mine: SmallProject) -> None:
    past = create(mine, "trn_lines", "--as-of", "2025-01-03T12:00:00+02:00")
    assert sorted(row["quantity"] for row in rows_of(mine, past)) == [1, 2, 3, 4]
    manifest = json.loads((folder(mine, past) / "manifest.json").read_text())
    assert (manifest["as_of"], manifest["is_as_of_given"]) == ("2025-01-03 10:00:00", True)
    assert "was rebuilt to the bit" in succeed(mine, "training-set", "verify", past)
    ended = mine.assay("training-set", "create", "trn_lines", "--as-of", "2025-01-01")
    assert ended.exit_code == 1
    assert "trn_lines has no rows as of 2025-01-01" in ended.stderr


def test_where_the_code_may_have_changed_the_set_is_built_anew(mine: SmallProject) -> None:
    version = folder(mine, "trn_lines@").name
    edit(mine, "trn_lines", "quantity * 1.25", "quantity * 1.5")
    # Not parsed by dbt yet: the warehouse and its manifest are as they were.
    assert create(mine) == version
    manifest = mine.root / "target" / "manifest.json"
    run_id = json.loads(manifest.read_text())["metadata"]["invocation_id"]
    manifest.write_text(manifest.read_text().replace(run_id, "another"))
    told = succeed(mine, "training-set", "create", "trn_lines")
    assert "dbt has run since" in told
    (new,) = {path.name for path in version_folders(mine, "trn_lines")} - {version}
    assert {row["price"] / row["quantity"] for row in rows_of(mine, new)} == {Decimal("1.5")}


def version_folders(project: SmallProject, name: str) -> list[Path]:
    return sorted((project.root / "data" / "training_sets").glob(f"{name}@*"))


def test_new_data_is_told_from_new_code(mine: SmallProject) -> None:
    first = folder(mine, "trn_lines@").name
    mine.land(6, 5, 6)
    succeed(mine, "build")
    second = create(mine)
    told = succeed(mine, "training-set", "diff", first, second)
    assert "Rows added: 2, such as " in told
    assert "Rows removed: 0\n" in told
    assert f"Rows changed: {_ROWS}\n" in told
    assert changed_columns(told) == {"weight": _ROWS}
    assert "new data: 1 files, erp/order_lines/landed_at=2025-01-06T02-00-00/lines.csv" in told
    assert "new code" not in told
    back = succeed(mine, "training-set", "diff", second, first)
    assert "Rows removed: 2, such as " in back
    assert "missing data: 1 files" in back

    edit(mine, "trn_lines", "else quantity / 3", "else quantity / 4")
    edit(mine, "trn_lines", "when 2 then null", "when 2 then ''")
    edit(mine, "trn_lines", "(quantity * 1.25)::decimal(18, 2) as price", "product_id || '!' as shout")
    models = mine.root / "models" / "gold" / "_training__models.yml"
    price = '{name: price, data_type: "decimal(18, 2)"}'
    models.write_text(models.read_text().replace(price, "{name: shout, data_type: varchar}"))
    succeed(mine, "build")
    third = create(mine)
    told = succeed(mine, "training-set", "diff", second, third)
    different = [row for row in rows_of(mine, second) if row["quantity"] not in (1, 3)]
    twos = sum(row["quantity"] == 2 for row in rows_of(mine, second))
    assert changed_columns(told) == {"third": len(different), "note": twos}
    example = next(line for line in told.splitlines() if line.startswith(" third"))
    row = min(different, key=lambda row: str(row["order_line_id"]))
    assert str(row["order_line_id"])[:12] in example
    assert "Schema: column price is gone" in told
    assert "Schema: column shout is new (VARCHAR)" in told
    assert "Why: new code: trn_lines\n" in told
    assert "new data" not in told


def changed_columns(told: str) -> dict[str, int]:
    """The table of changed values: how many rows of each column."""
    lines = told.splitlines()
    if " column" not in "\n".join(lines):
        return {}
    body = lines[next(n for n, line in enumerate(lines) if line.startswith(" column")) + 2 :]
    cells = [line.split() for line in body if line.startswith(" ") and line[1:2].strip()]
    return {words[0]: int(words[1]) for words in cells}


@pytest.mark.parametrize(
    ("file", "old", "new", "part"),
    [
        ("models/gold/ftr_product__lines.sql", "['7d']", "['7d', '1h']", "ftr_product__lines"),
        (
            "models/gold/_training__models.yml",
            "quantity_max_7d * 2",
            "quantity_max_7d * 3",
            "ftr_product__lines",
        ),
        ("macros/features/feature_view.sql", "{%- endmacro %}", "{#- new -#}{%- endmacro %}", "macro "),
        ("dbt_project.yml", "erp.order_lines: {at: landed}", "erp.order_lines: {at: landed, lag: x}", "vars"),
    ],
)
def test_code_counts_wherever_it_is(mine: SmallProject, file: str, old: str, new: str, part: str) -> None:
    first = json.loads((folder(mine, "trn_lines@") / "manifest.json").read_text())["code"]
    path = mine.root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    if part == "ftr_product__lines" and file.endswith(".sql"):
        models = mine.root / "models" / "gold" / "_training__models.yml"
        column = "- {name: quantity_max_7d, data_type: integer}\n"
        more = column + "      - {name: quantity_max_1h, data_type: integer}\n"
        models.write_text(models.read_text().replace(column, more, 1))
    # A version of other content, since the same content would be the same version.
    edit(mine, "trn_lines", "1.0 / count(*)", "2.0 / count(*)")
    succeed(mine, "build")
    second = json.loads((folder(mine, create(mine)) / "manifest.json").read_text())["code"]
    changed = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    assert {"trn_lines"} < changed
    assert any(name.startswith(part) for name in changed - {"trn_lines"})
    assert len(changed) <= 3


def test_verify_tells_that_the_code_has_changed(mine: SmallProject) -> None:
    edit(mine, "trn_lines", "quantity > 2 as outcome", "quantity > 3 as outcome")
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "Why: new code: trn_lines." in ended.stdout
    threes = sum(row["quantity"] == 3 for row in rows_of(mine))
    assert changed_columns(ended.stdout) == {"outcome": threes}
    edit(mine, "trn_lines", "quantity > 3 as outcome", "no_such_column as outcome")
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "It cannot be built again." in ended.stdout
    assert "no_such_column" in ended.stdout


def test_verify_tells_that_landed_data_is_gone(mine: SmallProject) -> None:
    with duckdb.connect(mine.warehouse) as connection:
        connection.execute(
            "delete from landing.erp__order_lines where file_id in "
            "(select file_id from landing.files where source_file like '%2025-01-03%')"
        )
        connection.execute("delete from landing.files where source_file like '%2025-01-03%'")
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "missing data: 1 files, erp/order_lines/landed_at=2025-01-03T02-00-00/lines.csv" in ended.stdout
    assert "Rows removed: 1, such as" in ended.stdout


def test_verify_catches_what_was_tampered_with(mine: SmallProject) -> None:
    data = folder(mine, "trn_lines@") / "data.parquet"
    table = pq.read_table(data)
    prices = table["price"].to_pylist()
    prices[7] += Decimal("0.01")
    position = table.column_names.index("price")
    pq.write_table(table.set_column(position, "price", pa.array(prices, table["price"].type)), data)
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "other values in price." in ended.stdout
    pq.write_table(table.slice(1), data)
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert f"it has {_ROWS - 1} rows of {_ROWS}" in ended.stdout
    data.write_bytes(data.read_bytes()[:-100])
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "cannot be read" in ended.stdout


def test_a_manifest_that_was_changed_is_caught(mine: SmallProject) -> None:
    manifest = folder(mine, "trn_lines@") / "manifest.json"
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(values | {"content_hash": "0" * 64}))
    ended = mine.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "FAILED stored" in ended.stdout
    manifest.write_text("{")
    ended = mine.assay("training-set", "list")
    assert ended.exit_code == 1
    assert "manifest.json cannot be read" in ended.stderr


def test_a_killed_create_leaves_nothing_behind(mine: SmallProject) -> None:
    store = mine.root / "data" / "training_sets"
    before = sorted(path.name for path in store.iterdir())
    process = mine.start("training-set", "create", "trn_lines", "--as-of", "2025-01-03T12:00:00")
    give_up_at = time.monotonic() + 60
    while not list(store.glob(".*/rebuilt/rebuilt.duckdb")) and time.monotonic() < give_up_at:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    (leftover,) = store.glob(".*")
    assert (leftover / "rebuilt").is_dir()
    assert succeed(mine, "training-set", "list") == succeed(mine, "training-set", "list")
    assert "2025-01-03" not in succeed(mine, "training-set", "list")
    new = create(mine, "trn_lines", "--as-of", "2025-01-03T12:00:00")
    assert sorted(path.name for path in store.iterdir()) == sorted([*before, new])


def read_parquet(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return found


def read_arrow(file: Path) -> list[dict[str, Any]]:
    with pa.ipc.open_stream(file) as reader:
        found: list[dict[str, Any]] = reader.read_all().to_pylist()
    return found


def read_csv(file: Path) -> list[dict[str, Any]]:
    """Python's reader cannot tell NULL from an empty text, so quotes are looked at first."""
    text = file.read_text().replace('""', "\0").replace(",\0,", ",(empty),").replace("\0", '""')
    rows: list[dict[str, Any]] = []
    for row in csv.DictReader(io.StringIO(text)):
        rows.append({name: value or None for name, value in row.items()})
    return rows


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in file.read_text().splitlines()]


def read_tfrecord(file: Path) -> list[dict[str, Any]]:
    return [decode_example(message) for message in unframe(file.read_bytes())]


def as_csv(row: dict[str, Any]) -> dict[str, Any]:
    def cell(value: Any) -> Any:
        match value:
            case "":
                return "(empty)"
            case bool():
                return str(value).lower()
            case datetime():
                return f"{value:%Y-%m-%d %H:%M:%S.%f}"
            case None | str():
                return value
        return repr(value) if isinstance(value, float) else str(value)

    return {name: cell(value) for name, value in row.items()}


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    def value_of(value: Any) -> Any:
        match value:
            case datetime():
                return f"{value:%Y-%m-%dT%H:%M:%S.%f}"
            case date():
                return value.isoformat()
            case float():
                return None if value != value else Decimal(repr(value))
        return value

    return {name: value_of(value) for name, value in row.items()}


def as_example(row: dict[str, Any]) -> dict[str, Any]:
    def feature(value: Any) -> Any:
        match value:
            case str():
                return [value.encode()]
            case datetime():
                return [(value - datetime(1970, 1, 1)) // timedelta(microseconds=1)]
            case date():
                return [(value - date(1970, 1, 1)).days]
            case float() | Decimal():
                return [float(np.float32(float(value)))]
        return [int(value)]

    return {name: feature(value) for name, value in row.items() if value is not None}


FORMATS: dict[str, tuple[Callable[[Path], Any], Callable[[dict[str, Any]], Any]]] = {
    "parquet": (read_parquet, dict),
    "arrow": (read_arrow, dict),
    "csv": (read_csv, as_csv),
    "jsonl": (read_jsonl, as_json),
    "tfrecord": (read_tfrecord, as_example),
}


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """NaN is not equal to itself, but its text is."""
    return [repr(sorted(row.items())) for row in rows]


@pytest.mark.parametrize("name", FORMATS)
def test_shards_hold_every_row_once_and_are_the_same_bytes_every_time(mine: SmallProject, name: str) -> None:
    read, expected = FORMATS[name]
    options = ("--format", name, "--shards", "4")
    first, again = exported(mine, "first", *options), exported(mine, "again", *options)
    files = sorted(path for path in first.iterdir() if path.suffix == f".{name}")
    assert [file.name for file in files] == [f"trn_lines-{n:05}-of-00004.{name}" for n in range(4)]
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in again.iterdir()
    }
    shards = [read(file) for file in files]
    assert [len(shard) for shard in shards] == [_ROWS // 4] * 4
    found = sorted(comparable([row for shard in shards for row in shard]))
    assert found == sorted(comparable([expected(row) for row in rows_of(mine)]))
    info = json.loads((first / "dataset_info.json").read_text())
    assert [(each["file"], each["rows"]) for each in info["shards"]] == [(file.name, 11) for file in files]
    assert info["version"] == folder(mine, "trn_lines@").name


def test_shards_do_not_depend_on_how_rows_are_read(
    mine: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [row for file in [next(exported(mine, "one").glob("*.parquet"))] for row in read_parquet(file)]
    monkeypatch.setattr(export, "_ROWS_A_CHUNK", 3)
    files = sorted(exported(mine, "many", "--shards", "5").glob("*.parquet"))
    shards = [read_parquet(file) for file in files]
    assert [len(shard) for shard in shards] == [8, 9, 9, 9, 9]
    assert comparable([row for shard in shards for row in shard]) == comparable(whole)
    # Each is a sample of all rows, not a run of neighbours.
    assert [row["order_line_id"] for row in whole] != sorted(row["order_line_id"] for row in whole)


def test_one_split_alone(mine: SmallProject) -> None:
    (file,) = exported(mine, "out", "--split", "test").glob("*.parquet")
    assert file.name == "trn_lines-test-00000-of-00001.parquet"
    rows = [row for row in rows_of(mine) if row["split"] == "test"]
    assert sorted(comparable(read_parquet(file))) == sorted(comparable(rows))
    assert len(rows) == 4


def test_lists_are_written_where_the_format_has_them(mine: SmallProject) -> None:
    rows = rows_of(mine, "trn_lists@")
    by_line = {row["line_id"]: row for row in rows}
    (file,) = exported(mine, "json", "--format", "jsonl", version="trn_lists").glob("*.jsonl")
    assert {row["line_id"]: row for row in read_jsonl(file)} == by_line
    ended = mine.assay("training-set", "export", "trn_lists", "--format", "csv", "--out", "csv")
    assert ended.exit_code == 1
    assert "cannot be exported" in ended.stderr
    assert not [path for path in mine.root.iterdir() if "csv" in path.name]


def test_exports_refuse_what_cannot_be(mine: SmallProject) -> None:
    out = exported(mine, "out")
    before = {path: path.read_bytes() for path in out.iterdir()}
    for options, message in (
        (("--out", "out"), "out is not an empty folder"),
        (("--out", "new", "--shards", "45"), "44 rows cannot be parted into 45 shards"),
        (("--out", "new", "--split", "trian"), "has no split trian. Its splits are test, train."),
    ):
        ended = mine.assay("training-set", "export", "trn_lines", *options)
        assert ended.exit_code == 2
        assert message in ended.stderr
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert not (mine.root / "new").exists()


def test_a_killed_export_is_mended_by_the_next(mine: SmallProject) -> None:
    unfinished = mine.root / ".out.unfinished"
    unfinished.mkdir()
    (unfinished / "trn_lines-00000-of-00009.parquet").write_bytes(b"half")
    out = exported(mine, "out")
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset_info.json",
        "trn_lines-00000-of-00001.parquet",
    ]
    assert not unfinished.exists()


def test_names_that_are_not_there(built: SmallProject, project: SmallProject, tmp_path: Path) -> None:
    version = folder(built, "trn_lines@").name
    other = version[:-1] + ("0" if version[-1] != "0" else "1")
    for arguments, message in (
        (("create", "trn_line"), "There is no training set trn_line. There are trn_lines, trn_lists."),
        (("show", "trn_line"), "There is no training set trn_line. There are trn_lines, trn_lists."),
        (("show", other), f"There is no version {other}. The nearest is {version}"),
        (("verify", "trn_"), "trn_ is not one version: "),
        (("diff", "trn_lines", "trn_lists"), "are of different training sets"),
    ):
        ended = built.assay("training-set", *arguments)
        assert ended.exit_code == 2, ended.stdout
        assert message in ended.stderr
    ended = project.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 2
    assert "There are no versions yet. To make one: assay training-set create NAME" in ended.stderr
    unbuilt = make_small_project(tmp_path / "unbuilt")
    ended = unbuilt.assay("training-set", "create", "trn_lines")
    assert ended.exit_code == 1
    assert "Nothing is published yet" in ended.stderr
    assert "assay build" in ended.stderr


def test_a_set_without_a_version_is_listed_and_says_how_to_make_one(mine: SmallProject) -> None:
    shutil.rmtree(folder(mine, "trn_lines@"))
    assert "No version yet: trn_lines." in succeed(mine, "training-set", "list")
    ended = mine.assay("training-set", "show", "trn_lines")
    assert ended.exit_code == 2
    assert "trn_lines has no version yet. To make one: assay training-set create trn_lines" in ended.stderr


def test_a_set_without_a_key_is_refused(mine: SmallProject) -> None:
    models = mine.root / "models" / "gold" / "_training__models.yml"
    key = "    constraints:\n      - {type: primary_key, columns: [order_line_id]}\n"
    models.write_text(models.read_text().replace(key, ""))
    succeed(mine, "build")
    ended = mine.assay("training-set", "create", "trn_lines")
    assert ended.exit_code == 1
    assert "trn_lines declares no primary key" in ended.stderr


def write(path: Path, table: pa.Table, **options: Any) -> content.Content:
    pq.write_table(table, path, **options)
    return content_of(path)


def test_the_hash_is_of_rows_and_types_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "text": ["", None, "ä", "b"],
        "number": pa.array([1, None, 3, 4], pa.int64()),
        "flag": [True, None, False, True],
        "amount": [Decimal("1.10"), None, Decimal("2.20"), Decimal("-3.30")],
        "at": pa.array([datetime(2025, 1, 1, microsecond=n) for n in range(4)], pa.timestamp("us")),
        "list": [[1, 2], None, [], [3]],
    }
    table = pa.table(values)
    first = write(tmp_path / "a.parquet", table)
    assert write(tmp_path / "b.parquet", table, row_group_size=1, compression="none") == first
    monkeypatch.setattr(content, "_ROWS_A_BATCH", 3)
    assert content_of(tmp_path / "a.parquet") == first
    others = {
        "text": [["", "", "ä", "b"], [None, None, "ä", "b"], ["", None, "äb", ""]],
        "number": [[1, 0, 3, 4], [1, None, 4, 3], [None, 1, 3, 4]],
        "flag": [[True, False, False, True]],
        "amount": [[Decimal("1.10"), None, Decimal("2.20"), Decimal("-3.31")]],
        "list": [[[1], None, [2], [3]], [[1, 2], [], [], [3]], [[1, 2], None, [None], [3]]],
    }
    for name, changes in others.items():
        for change in changes:
            position = table.column_names.index(name)
            changed = table.set_column(position, name, pa.array(change, table[name].type))
            found = write(tmp_path / "c.parquet", changed)
            assert found.hash != first.hash
            assert [
                old.name for old, new in zip(first.columns, found.columns, strict=True) if old != new
            ] == [name]
    retyped = table.set_column(1, "number", table["number"].cast(pa.int32()))
    assert write(tmp_path / "d.parquet", retyped).hash != first.hash
    assert write(tmp_path / "e.parquet", table.slice(0, 3)).hash != first.hash


def test_a_slice_is_hashed_as_what_it_holds() -> None:
    assert content._fixed(pa.array([1, 2, 3], pa.int16()).slice(1)) == b"\x02\x00\x03\x00"
    assert content._fixed(pa.array([False, True, True]).slice(1)) == b"\x01\x01"


def crc32c(data: bytes) -> int:
    """Bit by bit, as the polynomial is defined."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unframe(data: bytes) -> Iterator[bytes]:
    """Take the records of a TFRecord file apart, and check both checksums of each."""
    position = 0
    while position < len(data):
        head = data[position : position + 8]
        (length,) = struct.unpack("<Q", head)
        message = data[position + 12 : position + 12 + length]
        assert struct.unpack_from("<I", data, position + 8) == (masked(head),)
        assert struct.unpack_from("<I", data, position + 12 + length) == (masked(message),)
        yield message
        position += length + 16


def example_class() -> Any:
    """Message tf.train.Example, declared here as TensorFlow's example.proto and feature.proto have it."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tf", syntax="proto3")
    kind = descriptor_pb2.FieldDescriptorProto

    def message(parent: Any, name: str, *fields: tuple[str, int, int, str, bool]) -> Any:
        added = parent.add(name=name)
        for field_name, number, field_type, type_name, is_repeated in fields:
            label = kind.LABEL_REPEATED if is_repeated else kind.LABEL_OPTIONAL
            field = added.field.add(name=field_name, number=number, type=field_type, label=label)
            if type_name:
                field.type_name = type_name
        return added

    message(file.message_type, "BytesList", ("value", 1, kind.TYPE_BYTES, "", True))
    message(file.message_type, "FloatList", ("value", 1, kind.TYPE_FLOAT, "", True))
    message(file.message_type, "Int64List", ("value", 1, kind.TYPE_INT64, "", True))
    lists = ["bytes_list", "float_list", "int64_list"]
    types = [".tf.BytesList", ".tf.FloatList", ".tf.Int64List"]
    feature = message(
        file.message_type,
        "Feature",
        *((name, n + 1, kind.TYPE_MESSAGE, types[n], False) for n, name in enumerate(lists)),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message(
        file.message_type,
        "Features",
        ("feature", 1, kind.TYPE_MESSAGE, ".tf.Features.FeatureEntry", True),
    )
    entry = message(
        features.nested_type,
        "FeatureEntry",
        ("key", 1, kind.TYPE_STRING, "", False),
        ("value", 2, kind.TYPE_MESSAGE, ".tf.Feature", False),
    )
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", 1, kind.TYPE_MESSAGE, ".tf.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Example"))


EXAMPLE = example_class()


def decode_example(message: bytes) -> dict[str, Any]:
    features = EXAMPLE.FromString(message).features.feature
    return {name: list(getattr(each, each.WhichOneof("kind")).value) for name, each in features.items()}


def test_the_checksum_is_the_standard_one() -> None:
    # RFC 3720, B.4: 32 bytes of zeros, and 32 ascending bytes.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_examples_hold_extremes_and_lists() -> None:
    table = pa.table(
        {
            "number": pa.array([-(2**63), 2**63 - 1, None, -1], pa.int64()),
            "small": pa.array([0, 127, 128, 300], pa.int16()),
            "float": pa.array([1e300, float("-inf"), 0.1, None], pa.float64()),
            "zoned": pa.array(
                [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")
            ),
            "list": pa.array([[1, -2], [], None, [3]], pa.list_(pa.int64())),
            "texts": pa.array([["a", "ü"], [""], None, []], pa.list_(pa.string())),
            "long": pa.array(["x" * 300, "", None, "y"]),
        }
    )
    rows = [decode_example(message) for message in unframe(records(table))]
    assert rows == [
        {
            "number": [-(2**63)],
            "small": [0],
            "float": [float("inf")],
            "zoned": [-1_000_000],
            "list": [1, -2],
            "texts": [b"a", "ü".encode()],
            "long": [b"x" * 300],
        },
        {
            "number": [2**63 - 1],
            "small": [127],
            "float": [float("-inf")],
            "zoned": [-1_000_000],
            "list": [],
            "texts": [b""],
            "long": [b""],
        },
        {"small": [128], "float": [float(np.float32(0.1))], "zoned": [-1_000_000]},
        {"number": [-1], "small": [300], "zoned": [-1_000_000], "list": [3], "texts": [], "long": [b"y"]},
    ]
    assert records(table.slice(0, 0)) == b""


def test_every_training_set_of_the_project_is_rebuilt_to_the_bit_and_leaks_nothing(tmp_path: Path) -> None:
    project = SmallProject(tmp_path / "project")
    for name in ("macros", "models", "seeds", "snapshots", "tests/dbt", "dbt_packages"):
        shutil.copytree(PROJECT / name, project.root / name)
    for name in ("dbt_project.yml", "profiles.yml", "packages.yml"):
        shutil.copy(PROJECT / name, project.root / name)
    generate(project.landing, customers=60, days=150, events=1500)
    succeed(project, "build")
    names = [
        name
        for (name,) in project.query(
            "select table_name from duckdb_tables() where starts_with(table_name, 'trn_') order by all"
        )
    ]
    assert names
    for name in names:
        version = create(project, name)
        manifest = json.loads((folder(project, version) / "manifest.json").read_text())
        assert project.query(f"select count(*) from gold.{name}") == [(manifest["rows"],)]
        assert {feature["column"] for feature in manifest["features"]} < {
            column["name"] for column in manifest["columns"]
        }
        assert manifest["features"]
        told = succeed(project, "training-set", "verify", version)
        assert "was rebuilt to the bit" in told
        assert re.search(r"erasure +[1-9][\d,]* +0\s", told)
    join = "point_in_time_join('spine', 'prediction_at'"
    path = project.root / "models" / "gold" / "training" / "trn_fraud.sql"
    path.write_text(
        path.read_text().replace(
            join, join.replace("'prediction_at'", "\"prediction_at + interval '1 hour'\"")
        )
    )
    succeed(project, "build")
    ended = project.assay("training-set", "verify", create(project, "trn_fraud"))
    assert "was rebuilt to the bit" in ended.stdout
    assert "FAILED brute force: transaction_count_24h in " in ended.stdout
    assert ended.exit_code == 1
