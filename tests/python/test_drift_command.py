"""`assay drift` compares feature views, tables and files, and tells what it compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from small_project import SmallProject, make_small_project

from assay.drift.source import find_source, opened_by_arrival

pytestmark = pytest.mark.usefixtures("builds")

VIEW = "ftr_product__lines"
_FTR = """
{{ windowed_history(
    ref('fct_lines'), ['product_id'], 'event_at', 'available_at', {'quantity': ['last', 'max']}, ['24h']
) }}
"""
_MODELS = """
models:
  - name: ftr_product__lines
    config:
      contract: {enforced: false}
      meta: {feature_view: {entity: product, keys: [product_id]}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Sixty products sell a few pieces a day, until on the eighth they sell twice as many."""
    project = make_small_project(tmp_path_factory.mktemp("drift") / "project")
    gold = project.root / "models" / "own" / "gold"
    (gold / f"{VIEW}.sql").write_text(_FTR)
    (gold / "_features__models.yml").write_text(_MODELS)
    for day in range(4, 9):
        project.land(day, *(1 + (number * 7 + day) % 5 + 5 * (day == 8) for number in range(60)))
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout + build.stderr
    return project


def said(stdout: str) -> str:
    return " ".join(stdout.split())


def test_a_view_that_shifted_drifts(built: SmallProject) -> None:
    ended = built.assay(
        "drift", "--view", VIEW, "--reference", "2025-01-04..2025-01-07", "--current", "2025-01-08"
    )
    assert ended.exit_code == 1, ended.stdout + ended.stderr
    assert f"{VIEW}: 2025-01-08..2025-01-09 against 2025-01-04..2025-01-08" in ended.stdout
    assert "240 rows of the reference, 60 current ones." in ended.stdout
    assert "Left out: product_id (names an entity)." in ended.stdout
    assert f"2 of 2 features drift: {VIEW}.quantity" in ended.stdout


def test_a_view_that_did_not_shift_is_stable(built: SmallProject) -> None:
    ended = built.assay(
        "drift", "--view", VIEW, "--reference", "2025-01-04..2025-01-05", "--current", "2025-01-07"
    )
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert "0 of 2 features drift." in ended.stdout


def test_lengths_of_time_end_with_what_last_arrived(built: SmallProject) -> None:
    ended = built.assay("drift", "--current", "24h", "--reference", "72h")
    assert ended.exit_code == 1
    # Files land at two; the last on the eighth.
    compared = f"{VIEW}: 2025-01-07 02:00..2025-01-08 02:00 against 2025-01-04 02:00..2025-01-07 02:00"
    assert compared in said(ended.stdout)


def test_tables_of_gold_and_files_are_compared(built: SmallProject, tmp_path: Path) -> None:
    table = built.assay(
        "drift", "--table", "fct_lines", "--reference", "..2025-01-07", "--current", "2025-01-08"
    )
    assert table.exit_code == 1
    assert "fct_lines.quantity" in table.stdout
    file = tmp_path / "days.csv"
    rows = [
        f"2025-01-{day:02},{number % 3},{'rain' if day == 2 else 'sun'}"
        for day in (1, 2)
        for number in range(50)
    ]
    file.write_text("\n".join(["day,number,weather", *rows]))
    of_file = built.assay(
        "drift", "--table", str(file), "--reference", "2025-01-01", "--current", "2025-01-02"
    )
    assert of_file.exit_code == 1
    assert ".weather" in of_file.stdout
    assert "100.0%" in of_file.stdout
    assert "1 of 2 features drift" in said(of_file.stdout)
    file.write_text("day,shop_id\n2025-01-01,1\n2025-01-02,2\n")
    of_keys = built.assay(
        "drift", "--table", str(file), "--reference", "2025-01-01", "--current", "2025-01-02"
    )
    assert of_keys.exit_code == 0, of_keys.output
    assert "no column can be compared. Left out: shop_id (names an entity)." in said(of_keys.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--view", "ftr_x"), "ftr_x is no feature view: there are ftr_product__lines"),
        (("--table", "days.csv"), "There is no file days.csv."),
        (("--table", "gold.fct_lines"), "There is no table gold.fct_lines in gold"),
        (("--table", "fct_x"), "There is no table fct_x in gold: there are fct_days, fct_lines"),
        (("--view", VIEW, "--current", "soon"), "soon is no choice of rows: write 2025"),
        (("--view", VIEW, "--current", "split=test"), "has no column split"),
    ],
)
def test_misuse_is_told(built: SmallProject, arguments: tuple[str, ...], message: str) -> None:
    ended = built.assay("drift", *arguments)
    assert ended.exit_code == 2
    assert message in said(ended.stderr)


def test_without_a_build_there_is_nothing_to_compare(tmp_path: Path) -> None:
    ended = make_small_project(tmp_path / "project").assay("drift", "--table", "fct_lines")
    assert ended.exit_code == 1
    assert "To publish: assay build" in ended.stderr


@pytest.mark.parametrize(
    "columns", [("valid_from", "updated_at"), ("valid_from", "updated_at", "confirmed_at")]
)
def test_states_that_an_arrival_opened_are_compared_whatever_confirms_them(columns: tuple[str, ...]) -> None:
    """A later arrival confirms the second, which only some histories say; a window opened the third."""
    states = (
        "(values (1, 10, 10, null), (2, 20, 25, [20, 25]), (3, 40, 25, null)) "
        "as states (state, valid_from, updated_at, confirmed_at)"
    )
    found = duckdb.sql(f"select state from {states} where {opened_by_arrival(columns)} order by state")
    assert [state for (state,) in found.fetchall()] == ([1, 2] if "confirmed_at" in columns else [1])


def test_what_columns_hold_decides_how_they_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "prices.parquet"
    values = {
        "small": "1::utinyint",
        "price": "1.5::decimal(4, 2)",
        "prices": "[1.5::decimal(4, 2)]",
        "size": "'big'::enum ('big')",
    }
    columns = ", ".join(f"{value} as {name}" for name, value in values.items())
    with duckdb.connect() as connection:
        connection.execute(f"copy (select {columns}) to '{file}'")
        limits = SimpleNamespace(most_categories=9)
        found = find_source(connection, "", str(file), None, limits)  # type: ignore[arg-type]
    assert (found.numeric, found.categorical) == (["small", "price"], ["size"])
    assert found.left_out == {"prices": "is of type decimal(4,2)[]"}
