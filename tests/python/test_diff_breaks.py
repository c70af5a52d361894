"""A review tells which changes of gold break its readers, and which do not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from assay.contracts.diff import Change
from assay.contracts.types import is_wider
from assay.diff.beside import ABOVE_FAILED
from assay.diff.breaks import Break, find_breaks
from assay.diff.tables import Pair, TableDiff, compare_pair, opened_sides
from assay.project.conventions import STAMP
from assay.project.personal import Personal


def model(layer: str = "gold", *, enforced: bool = True) -> Any:
    """A model of a layer, under dbt's contract or not."""
    config = SimpleNamespace(contract=SimpleNamespace(enforced=enforced), meta={STAMP: {"layer": layer}})
    return SimpleNamespace(resource_type="model", config=config)


def compared(folder: Path, before: str | None, after: str | None) -> TableDiff:
    """Compare a table of one column `a` of these types; None where it is not there."""
    files = {}
    for name, kind in (("before", before), ("after", after)):
        files[name] = folder / f"{name}.duckdb"
        with duckdb.connect(str(files[name])) as connection:
            if kind:
                connection.execute(f"create schema gold; create table gold.t (k integer, a {kind})")
    pair = Pair(
        "gold.t",
        "t",
        ("before", "gold", "t") if before else None,
        ("after", "gold", "t") if after else None,
        ["k"],
    )
    with opened_sides(files, folder) as connection:
        return compare_pair(connection, pair, Personal(frozenset()))


def breaks(table: TableDiff, *changes: Change, node: Any = None) -> list[Break]:
    code = SimpleNamespace(tables={"t": node or model()}, manifest=SimpleNamespace(nodes={}))
    sides: Any = [SimpleNamespace(code=code, failing_tests={})] * 2
    return find_breaks(sides, [table], changes, set())


@pytest.mark.parametrize(
    ("before", "after", "is_broken"),
    [
        ("integer", "bigint", False),
        ("bigint", "integer", True),
        ("utinyint", "smallint", False),
        ("utinyint", "tinyint", True),
        ("integer", "uinteger", True),
        ("float", "double", False),
        ("double", "float", True),
        ("decimal(9, 2)", "decimal(12, 3)", False),
        ("decimal(9, 2)", "decimal(9, 3)", True),
        ("decimal(9, 2)", "double", True),
        ("date", "timestamp", False),
        ("timestamp", "date", True),
        ("timestamp", "timestamptz", True),
        ("integer", "varchar", True),
        ("varchar", "integer", True),
    ],
)
def test_a_column_of_gold_may_get_wider_but_not_narrower(
    before: str, after: str, is_broken: bool, tmp_path: Path
) -> None:
    table = compared(tmp_path, before, after)
    assert table.rows
    [column] = table.rows.columns
    told = Break("column", "gold.t.a", f"was {column.before} and is {column.after}")
    assert breaks(table) == ([told] if is_broken else [])


def test_every_whole_number_is_wider_than_what_it_holds() -> None:
    """By the least and the greatest that DuckDB itself casts."""
    signed = ("tinyint", "smallint", "integer", "bigint", "hugeint")
    names = [*signed, *(f"u{name}" for name in signed)]
    ends = {
        name: (0, 2 ** (8 << place) - 1)
        if name.startswith("u")
        else (-(2 ** ((8 << place) - 1)), 2 ** ((8 << place) - 1) - 1)
        for half in (names[:5], names[5:])
        for place, name in enumerate(half)
    }
    with duckdb.connect() as connection:
        for old in names:
            for new in names:
                least, most = ends[old]
                [(holds,)] = connection.execute(
                    f"select count(try_cast(v as {new})) = 2 from (values ('{least}'), ('{most}')) as t(v)"
                ).fetchall()
                assert is_wider(old, new) == holds, (old, new)


def test_what_is_not_promised_is_not_broken(tmp_path: Path) -> None:
    table = compared(tmp_path, "bigint", "integer")
    assert breaks(table)
    assert [breaks(table, node=each) for each in (model(enforced=False), model("silver"))] == [[], []]


def test_a_contract_that_tells_the_same_column_is_told_once(tmp_path: Path) -> None:
    change = Change(True, "type-changed", "gold.t.a", "bigint to integer")
    table = compared(tmp_path, "bigint", "integer")
    assert breaks(table, change) == [Break("contract", "gold.t.a", "bigint to integer")]
    told = Change(False, "column-added", "gold.t.b", "is new")
    assert breaks(table, told) == [Break("column", "gold.t.a", "was BIGINT and is INTEGER")]


def test_a_table_that_goes_is_told_and_a_new_one_is_not(tmp_path: Path) -> None:
    gone = compared(tmp_path, "integer", None)
    assert breaks(gone) == [Break("table", "gold.t", "is gone")]
    (tmp_path / "new").mkdir()
    assert breaks(compared(tmp_path / "new", None, "integer")) == []


def test_what_could_not_be_built_because_of_another_is_not_told_again() -> None:
    pair = Pair("gold.t", "t", None, None)
    found = [
        breaks(TableDiff(pair, "not built", None, None, None, why))
        for why in ("no such column\nLINE 1", ABOVE_FAILED)
    ]
    assert found == [[Break("build", "gold.t", "does not build: no such column")], []]
