"""`assay training-set export`: every format holds every row once, the same bytes every time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_project import SmallProject
from tfrecord_reader import decode_example, unframe
from training_project import ROWS, comparable, exported, folder, rows_of

from assay.training import export, formats


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


@pytest.mark.parametrize("name", FORMATS)
def test_shards_hold_every_row_once_and_are_the_same_bytes_every_time(
    training: SmallProject, name: str
) -> None:
    read, expected = FORMATS[name]
    options = ("--format", name, "--shards", "4")
    first, again = exported(training, "first", *options), exported(training, "again", *options)
    files = sorted(path for path in first.iterdir() if path.suffix == f".{name}")
    assert [file.name for file in files] == [f"trn_lines-{n:05}-of-00004.{name}" for n in range(4)]
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in again.iterdir()
    }
    shards = [read(file) for file in files]
    assert [len(shard) for shard in shards] == [ROWS // 4] * 4
    found = sorted(comparable([row for shard in shards for row in shard]))
    assert found == sorted(comparable([expected(row) for row in rows_of(training)]))
    info = json.loads((first / "dataset_info.json").read_text())
    assert [(each["file"], each["rows"]) for each in info["shards"]] == [(file.name, 11) for file in files]
    assert info["version"] == folder(training, "trn_lines@").name


def test_shards_do_not_depend_on_how_rows_are_read(
    training: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [
        row for file in [next(exported(training, "one").glob("*.parquet"))] for row in read_parquet(file)
    ]
    monkeypatch.setattr(export, "_ROWS_A_CHUNK", 3)
    files = sorted(exported(training, "many", "--shards", "5").glob("*.parquet"))
    shards = [read_parquet(file) for file in files]
    assert [len(shard) for shard in shards] == [8, 9, 9, 9, 9]
    assert comparable([row for shard in shards for row in shard]) == comparable(whole)
    # Each is a sample of all rows, not a run of neighbours.
    assert [row["order_line_id"] for row in whole] != sorted(row["order_line_id"] for row in whole)


def test_one_split_alone(training: SmallProject) -> None:
    (file,) = exported(training, "out", "--split", "test").glob("*.parquet")
    assert file.name == "trn_lines-test-00000-of-00001.parquet"
    rows = [row for row in rows_of(training) if row["split"] == "test"]
    assert sorted(comparable(read_parquet(file))) == sorted(comparable(rows))
    assert len(rows) == 4


def test_a_split_of_any_name_has_files() -> None:
    selected = export.Selected("csv", 1, {"2024/01 ü": 3}, [], None)
    assert [*selected.files("trn_x", "2024/01 ü")] == [("trn_x-2024_01_ü-00000-of-00001.csv", 3)]
    assert selected.pattern("trn_x", "2024/01 ü") == "trn_x-2024_01_ü-*.csv"


def test_lists_are_written_where_the_format_has_them(training: SmallProject) -> None:
    rows = rows_of(training, "trn_lists@")
    by_line = {row["line_id"]: row for row in rows}
    (file,) = exported(training, "json", "--format", "jsonl", version="trn_lists").glob("*.jsonl")
    assert {row["line_id"]: row for row in read_jsonl(file)} == by_line
    ended = training.assay("training-set", "export", "trn_lists", "--format", "csv", "--out", "csv")
    assert ended.exit_code == 1
    assert "cannot be exported" in ended.stderr
    assert not [path for path in training.root.iterdir() if "csv" in path.name]


def test_a_matrix_of_some_columns_is_what_numpy_reads(training: SmallProject) -> None:
    columns = ["third", "price", "quantity", "outcome", "product_quantity_max_7d", "weight"]
    options = ("--format", "npy", "--shards", "3", "--columns", ",".join(columns))
    first, again = exported(training, "first", *options), exported(training, "again", *options)
    files = sorted(first.glob("*.npy"))
    assert [file.read_bytes() for file in files] == [(again / file.name).read_bytes() for file in files]
    shards = [np.load(file, mmap_mode="r") for file in files]
    assert [(shard.shape, shard.dtype.str) for shard in shards] == [((n, 6), "<f8") for n in (14, 15, 15)]
    expected = [
        [np.nan if row[name] is None else float(row[name]) for name in columns] for row in rows_of(training)
    ]
    assert sorted(map(repr, np.concatenate(shards).tolist())) == sorted(map(repr, expected))
    info = json.loads((first / "dataset_info.json").read_text())
    assert [each["name"] for each in info["columns"]] == columns
    assert not (first / "README.md").exists()


def test_rows_of_all_splits_are_not_told_to_be_for_training_where_the_split_is_left_out(
    training: SmallProject,
) -> None:
    out = exported(training, "out", "--columns", "quantity,outcome")
    assert [*pq.read_schema(next(out.glob("*.parquet"))).names] == ["quantity", "outcome"]
    assert "split: all_splits" in (out / "README.md").read_text()


def test_a_matrix_refuses_by_name_what_is_no_number(training: SmallProject) -> None:
    for options, message in (
        ((), "prediction_at (timestamp[us]), prediction_date (date32[day]), note (string), code (string)"),
        (("--columns", "quantity,rare"), "rare has whole numbers above 2^53"),
        (("--columns", "quantity,prise"), "has no column prise: did you mean price"),
        (("--columns", "quantity,quantity"), "name at least one, each once"),
    ):
        ended = training.assay(
            "training-set", "export", "trn_lines", "--format", "npy", *options, "--out", "new"
        )
        assert ended.exit_code == 2
        assert message in " ".join(ended.stderr.split())
        assert not (training.root / "new").exists()


def test_a_matrix_holds_the_nearest_floats(tmp_path: Path) -> None:
    texts = [
        "0.1",
        "-12345678901234567890.123456789",
        "99999999999999999999.999999999",
        None,
        "9007199254740993.5",
    ]
    table = pa.table(
        {
            "decimal": pa.array([text and Decimal(text) for text in texts], pa.decimal128(38, 9)),
            "float": pa.array([1e300, float("-inf"), None, -0.0, float("nan")]),
            "small": pa.array([0.1, None, 2, 3, 4], pa.float32()),
            "whole": pa.array([2**53, -(2**53), None, 0, 1]),
            "flag": pa.array([True, False, None, True, True]),
            "none": pa.array([None] * 5, pa.int32()),
        }
    )
    with formats.FORMATS["npy"](tmp_path / "a.npy", table.schema) as write:
        write(table.slice(0, 2))
        write(table.slice(2))
    found = np.load(tmp_path / "a.npy")
    assert repr(found.T.tolist()) == repr(
        [
            [np.nan if text is None else float(Decimal(text)) for text in texts],
            [1e300, float("-inf"), np.nan, -0.0, np.nan],
            [float(np.float32(0.1)), np.nan, 2.0, 3.0, 4.0],
            [2.0**53, -(2.0**53), np.nan, 0.0, 1.0],
            [1.0, 0.0, np.nan, 1.0, 1.0],
            [np.nan] * 5,
        ]
    )


def test_times_with_a_zone_say_so(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([datetime(2025, 1, 31, 10, tzinfo=UTC)], pa.timestamp("us", "UTC"))})
    for name, written in (
        ("csv", "2025-01-31 10:00:00.000000Z"),
        ("jsonl", '{"at": "2025-01-31T10:00:00.000000Z"}'),
    ):
        with formats.FORMATS[name](tmp_path / name, table.schema) as write:
            write(table)
        assert (tmp_path / name).read_text().splitlines()[-1] == written


def test_exports_refuse_what_cannot_be(training: SmallProject) -> None:
    out = exported(training, "out")
    before = {path: path.read_bytes() for path in out.iterdir()}
    for options, message in (
        (("--out", "out"), "out is not an empty folder"),
        (("--out", "new", "--shards", "45"), "44 rows cannot be divided into 45 shards"),
        (("--out", "new", "--split", "trian"), "has no split trian. Its splits are test, train."),
    ):
        ended = training.assay("training-set", "export", "trn_lines", *options)
        assert ended.exit_code == 2
        assert message in ended.stderr
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert not (training.root / "new").exists()


def test_a_killed_export_is_mended_by_the_next(training: SmallProject) -> None:
    unfinished = training.root / ".out.unfinished"
    unfinished.mkdir()
    (unfinished / "trn_lines-00000-of-00009.parquet").write_bytes(b"half")
    out = exported(training, "out")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "dataset_info.json",
        "trn_lines-00000-of-00001.parquet",
    ]
    assert not unfinished.exists()
