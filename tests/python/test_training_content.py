"""The content hash of a training set is of its rows and types, whatever file they lie in."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.training import content
from assay.training.content import read_content


def write(path: Path, table: pa.Table, **options: Any) -> content.Content:
    pq.write_table(table, path, **options)
    return read_content(path)


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
    assert read_content(tmp_path / "a.parquet") == first
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
