"""`assay training-set verify` and `diff`: versions are rebuilt to the bit, or told what changed."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_project import SmallProject
from training_project import ROWS, create, edit, folder, rows_of, succeed

from assay.project.warehouse import connect

pytestmark = pytest.mark.minutes


def test_a_version_is_rebuilt_to_the_bit_whatever_lands_later(training: SmallProject) -> None:
    version = folder(training, "trn_lines@").name
    told = succeed(training, "training-set", "verify", version)
    assert f"{version} was rebuilt to the bit: {ROWS} rows" in told
    assert "Not checked for leaks: trn_lines must read one label, a model with" in told
    # What lands later is available earlier than what the version saw.
    training.land(4, 7, 8, 9)
    succeed(training, "build")
    assert create(training) != version
    assert "was rebuilt to the bit" in succeed(training, "training-set", "verify", version)
    assert not list((training.root / "data" / "training_sets").glob(".*"))


def test_new_data_is_told_from_new_code(training: SmallProject) -> None:
    first = folder(training, "trn_lines@").name
    training.land(6, 5, 6)
    succeed(training, "build")
    second = create(training)
    told = succeed(training, "training-set", "diff", first, second)
    assert "Rows added: 2, such as " in told
    assert "Rows removed: 0\n" in told
    assert f"Rows changed: {ROWS}\n" in told
    assert changed_columns(told) == {"weight": ROWS}
    assert "new data: 1 file, erp/order_lines/landed_at=2025-01-06T02-00-00/lines.csv" in told
    assert "new code" not in told
    back = succeed(training, "training-set", "diff", second, first)
    assert "Rows removed: 2, such as " in back
    assert "missing data: 1 file" in back

    edit(training, "trn_lines", "else quantity / 3", "else quantity / 4")
    edit(training, "trn_lines", "when 2 then null", "when 2 then ''")
    edit(training, "trn_lines", "(quantity * 1.25)::decimal(18, 2) as price", "product_id || '!' as shout")
    models = training.root / "models" / "own" / "gold" / "_training__models.yml"
    price = '{name: price, data_type: "decimal(18, 2)"}'
    models.write_text(models.read_text().replace(price, "{name: shout, data_type: varchar}"))
    succeed(training, "build")
    third = create(training)
    told = succeed(training, "training-set", "diff", second, third)
    different = [row for row in rows_of(training, second) if row["quantity"] not in (1, 3)]
    twos = sum(row["quantity"] == 2 for row in rows_of(training, second))
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
        ("models/own/gold/ftr_product__lines.sql", "['7d']", "['7d', '1h']", "ftr_product__lines"),
        (
            "models/own/gold/_training__models.yml",
            "quantity_max_7d * 2",
            "quantity_max_7d * 3",
            "ftr_product__lines",
        ),
        ("macros/features/feature_view.sql", "{%- endmacro %}", "{#- new -#}{%- endmacro %}", "macro "),
        ("dbt_project.yml", 'latest_event_at: "2100-01-01"', 'latest_event_at: "2100-01-02"', "vars"),
    ],
)
def test_code_counts_wherever_it_is(training: SmallProject, file: str, old: str, new: str, part: str) -> None:
    first = json.loads((folder(training, "trn_lines@") / "manifest.json").read_text())["code"]
    path = training.root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    if part == "ftr_product__lines" and file.endswith(".sql"):
        models = training.root / "models" / "own" / "gold" / "_training__models.yml"
        column = "- {name: quantity_max_7d, data_type: integer}\n"
        more = column + "      - {name: quantity_max_1h, data_type: integer}\n"
        models.write_text(models.read_text().replace(column, more, 1))
    # A version of other content, since the same content would be the same version.
    edit(training, "trn_lines", "1.0 / count(*)", "2.0 / count(*)")
    succeed(training, "build")
    second = json.loads((folder(training, create(training)) / "manifest.json").read_text())["code"]
    changed = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    assert {"trn_lines"} < changed
    assert any(name.startswith(part) for name in changed - {"trn_lines"})
    assert len(changed) <= 3


def test_verify_tells_that_the_code_has_changed(training: SmallProject) -> None:
    edit(training, "trn_lines", "quantity > 2 as outcome", "quantity > 3 as outcome")
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "Why: new code: trn_lines." in ended.stdout
    threes = sum(row["quantity"] == 3 for row in rows_of(training))
    assert changed_columns(ended.stdout) == {"outcome": threes}
    edit(training, "trn_lines", "quantity > 3 as outcome", "no_such_column as outcome")
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "It cannot be built again." in ended.stdout
    assert "no_such_column" in ended.stdout


def test_verify_tells_that_landed_data_is_gone(training: SmallProject) -> None:
    with connect(training.warehouse, read_only=False) as connection:
        connection.execute(
            "delete from landing.erp__order_lines where file_id in "
            "(select file_id from landing.files where source_file like '%2025-01-03%')"
        )
        connection.execute("delete from landing.files where source_file like '%2025-01-03%'")
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "missing data: 1 file, erp/order_lines/landed_at=2025-01-03T02-00-00/lines.csv" in ended.stdout
    assert "Rows removed: 1, such as" in ended.stdout


def test_verify_catches_what_was_tampered_with(training: SmallProject) -> None:
    data = folder(training, "trn_lines@") / "data.parquet"
    table = pq.read_table(data)
    prices = table["price"].to_pylist()
    prices[7] += Decimal("0.01")
    position = table.column_names.index("price")
    pq.write_table(table.set_column(position, "price", pa.array(prices, table["price"].type)), data)
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "other values in price." in ended.stdout
    pq.write_table(table.slice(1), data)
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert f"it has {ROWS - 1} rows of {ROWS}" in ended.stdout
    data.write_bytes(data.read_bytes()[:-100])
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "cannot be read" in ended.stdout


def test_a_manifest_that_was_changed_is_caught(training: SmallProject) -> None:
    manifest = folder(training, "trn_lines@") / "manifest.json"
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(values | {"content_hash": "0" * 64}))
    ended = training.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 1
    assert "FAILED stored" in ended.stdout
    manifest.write_text("{")
    ended = training.assay("training-set", "list")
    assert ended.exit_code == 1
    assert "manifest.json cannot be read" in ended.stderr
