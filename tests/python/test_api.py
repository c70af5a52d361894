"""Python gives what the command line gives: joins of any rows, training sets, what is online, faults."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from online_stores import query
from small_project import SmallProject
from training_project import folder
from warehouse import PROJECT, Warehouse

import assay
from assay.api.entities import convert_to_arrow
from assay.api.frame import Frame
from assay.api.join import find_stored_keys
from assay.api.printed import PrintedList
from assay.parity.check import joined_rows, joined_sql
from assay.parity.sample import ASKED_AT, NUMBER, draw_spine
from assay.pii.key import VARIABLE, PiiKey
from assay.project.warehouse import attach, relation_named

VELOCITY, PAIRS = "ftr_card__velocity", "ftr_card_merchant__pairs"
ASKED = (
    "select card_id, merchant_id, "
    "available_at + to_microseconds((hash(transaction_id) % 3)::bigint - 1) as asked_at, "
    "amount, 40.5 as merchant_latitude, -73.5 as merchant_longitude "
    "from gold.fct_card_transactions order by hash(transaction_id)"
)


@pytest.fixture(scope="module")
def opened_demo() -> assay.Project:
    return assay.open(PROJECT)


@pytest.fixture
def demo(
    opened_demo: assay.Project, built_demo: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> assay.Project:
    """The demo company, opened from a folder that is not its own."""
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return opened_demo


@pytest.fixture(scope="module")
def training(built_training: SmallProject) -> Iterator[assay.Project]:
    with mock.patch.dict(os.environ, built_training.environment, clear=True):
        yield assay.open(built_training.root)


# --- the join -----------------------------------------------------------------------------------------------


def test_features_are_what_was_known_at_each_instant(demo: assay.Project) -> None:
    asked = demo.sql(ASKED).to_arrow()
    found = demo.features(
        asked,
        [f"{VELOCITY}:amount_sum_7d", f"{VELOCITY}:seconds_since_last", f"{PAIRS}:is_new_merchant"],
        at="asked_at",
    ).to_arrow()
    # The rows of the asker, in their order, and the features behind them.
    assert found.select(asked.column_names).equals(asked)
    expected = demo.sql(
        f"""
        with asked as ({ASKED}), numbered as (select row_number() over () as number, * from asked),
        known as (
            select card_id as card_known, merchant_id as merchant_known, amount as amount_known,
                transacted_at, available_at
            from gold.fct_card_transactions
        )
        select
            coalesce(
                sum(amount_known) filter (transacted_at > asked_at - interval 7 days), 0
            )::decimal(38, 2) as total,
            date_diff('microsecond', max(transacted_at), asked_at) / 1e6 as seconds,
            count(*) filter (merchant_known = merchant_id) = 0 as is_new
        from numbered
        left join known
            on card_known = card_id and available_at <= asked_at and transacted_at <= asked_at
        group by number, asked_at, merchant_id
        order by number
        """
    ).to_arrow()
    assert found["amount_sum_7d"].to_pylist() == expected["total"].to_pylist()
    assert found["seconds_since_last"].to_pylist() == expected["seconds"].to_pylist()
    assert found["is_new_merchant"].to_pylist() == expected["is_new"].to_pylist()
    assert {True, False} == set(found["is_new_merchant"].to_pylist())
    assert None in found["seconds_since_last"].to_pylist()


@pytest.mark.parametrize("name", [VELOCITY, "ftr_merchant__activity"])
def test_features_are_those_that_parity_compares_with(
    demo: assay.Project, published: Path, name: str
) -> None:
    from assay.online.published import open_published

    with open_published(published) as source:
        view = source.views()[name]
    with demo.places() as places, duckdb.connect() as connection:
        project, _ = demo._parse(places)
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, "assay")
        history = str(relation_named(connection, name, "assay"))
        rows = draw_spine(connection, view, history, samples=100, at=None, seed=3)
        expected = joined_rows(connection, joined_sql(project, view))
    asked = [{key: value for key, value in row.items() if key != NUMBER} for row in rows]
    found = demo.features(asked, [name], at=ASKED_AT).to_arrow().to_pylist()
    assert len(found) == 100
    assert [{feature: row[feature] for feature in view.features} for row in found] == [
        {feature: row[feature] for feature in view.features} for row in expected
    ]


def test_rows_may_come_in_any_kind_of_frame(demo: assay.Project) -> None:
    asked = demo.sql(f"select card_id, asked_at from ({ASKED}) limit 40").to_arrow()
    rows = asked.to_pylist()
    other_zone = [
        {"CARD_ID": row["card_id"], "asked_at": f"{(row['asked_at'] + timedelta(hours=2)).isoformat()}+02:00"}
        for row in rows
    ]
    with duckdb.connect() as connection:
        kinds = {
            "arrow": asked,
            "stream": pa.RecordBatchReader.from_stream(asked),
            "pandas": asked.to_pandas().set_index("card_id", drop=False),
            "pandas in nanoseconds and UTC": asked.to_pandas().assign(
                asked_at=lambda frame: frame.asked_at.astype("datetime64[ns]").dt.tz_localize("UTC")
            ),
            "categories": asked.to_pandas().astype({"card_id": "category"}),
            "dicts": rows,
            "dict of lists": asked.to_pydict(),
            "relation": connection.from_arrow(asked),
            "frame": Frame(lambda: asked),
            "texts, another offset, another case": other_zone,
            "whole numbers": [{**row, "card_id": int(row["card_id"])} for row in rows],
        }
        found = {
            kind: demo.features(given, [f"{VELOCITY}:amount_sum_30d"], at="asked_at").to_arrow()
            for kind, given in kinds.items()
        }
    expected = found["arrow"]["amount_sum_30d"].to_pylist()
    assert len(set(expected)) > 5
    assert {
        kind: table["amount_sum_30d"].to_pylist() == expected for kind, table in found.items()
    } == dict.fromkeys(found, True)
    assert found["pandas"].column_names == ["card_id", "asked_at", "amount_sum_30d"]


def test_names_that_views_share_say_their_view(demo: assay.Project) -> None:
    asked = demo.sql(f"{ASKED} limit 3").to_arrow()
    names = [f"{VELOCITY}:transaction_count_all", f"{PAIRS}:transaction_count_all", f"{PAIRS}:amount_sum_90d"]
    found = demo.features(asked, names, at="asked_at")
    assert found.columns[len(asked.column_names) :] == [
        f"{VELOCITY}__transaction_count_all",
        f"{PAIRS}__transaction_count_all",
        "amount_sum_90d",
    ]


def test_no_rows_give_no_rows(demo: assay.Project) -> None:
    asked = demo.sql(f"{ASKED} limit 0")
    found = demo.features(asked, [f"{VELOCITY}:amount_sum_30d"], at="asked_at")
    assert (len(found), found.columns[-1]) == (0, "amount_sum_30d")


WHEN = datetime(2025, 1, 20)
REFUSED: dict[str, tuple[Any, Any, str]] = {
    "unknown view": (
        [{"card_id": "1", "at": WHEN}],
        ["ftr_card__velocty"],
        "no feature view ftr_card__velocty",
    ),
    "unknown feature": ([{"card_id": "1", "at": WHEN}], [f"{VELOCITY}:amount"], "has no feature amount"),
    "no list": ([{"card_id": "1", "at": WHEN}], VELOCITY, "in a list"),
    "no features": ([{"card_id": "1", "at": WHEN}], [], "in a list"),
    "no key": ([{"card": "1", "at": WHEN}], [f"{VELOCITY}:amount_sum_7d"], "no column card_id, the key of"),
    "no instants": ([{"card_id": "1"}], [f"{VELOCITY}:amount_sum_7d"], "no column at, the instants"),
    "a row without instant": (
        [{"card_id": "1", "at": WHEN}, {"card_id": "1", "at": None}],
        [f"{VELOCITY}:amount_sum_7d"],
        "at tells no time in 1 row, the first of which is row 1",
    ),
    "an instant that is none": (
        [{"card_id": "1", "at": "yesterday"}],
        [f"{VELOCITY}:amount_sum_7d"],
        "at tells no time in 1 row",
    ),
    "instants that are numbers": ([{"card_id": "1", "at": 5}], [f"{VELOCITY}:amount_sum_7d"], "are int64"),
    "a key that is a fraction": ([{"card_id": 1.0, "at": WHEN}], [f"{VELOCITY}:amount_sum_7d"], "not double"),
    "no input": (
        [{"card_id": "1", "at": WHEN}],
        [f"{VELOCITY}:kilometres_from_last"],
        "no column merchant_latitude, an input",
    ),
    "an input of another type": (
        [{"card_id": "1", "at": WHEN, "amount": "much"}],
        [f"{VELOCITY}:amount_to_average_30d"],
        "amount must be of type decimal(18, 2), which it is not in 1 row",
    ),
    "a name that is taken": (
        [{"card_id": "1", "at": WHEN, "Amount_Sum_7d": 1}],
        [f"{VELOCITY}:amount_sum_7d"],
        "a column amount_sum_7d already",
    ),
    "no table": (5, [f"{VELOCITY}:amount_sum_7d"], "a int is not a data frame"),
    "mixed types": (
        [{"card_id": "1", "at": WHEN}, {"card_id": 2, "at": WHEN}],
        [f"{VELOCITY}:amount_sum_7d"],
        "cannot be read as a table",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_joined_is_refused_in_words(demo: assay.Project, case: str) -> None:
    entities, features, said = REFUSED[case]
    with pytest.raises(assay.Fault) as refused:
        demo.features(entities, features, at="at")
    assert said in str(refused.value)


def test_rows_are_read_whole() -> None:
    assert convert_to_arrow([{"a": 1}, {"b": 2}]).to_pydict() == {"a": [1, None], "b": [None, 2]}
    assert convert_to_arrow(pandas.DataFrame({"a": [1, 2]}, index=[7, 8])).column_names == ["a"]
    with pytest.raises(assay.Fault, match="two columns named a"):
        convert_to_arrow(pa.table([[1], [2]], names=["a", "a"]))


def test_keys_that_gold_has_hashed_may_be_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s" * 32
    key = PiiKey(secret.encode())
    with duckdb.connect() as connection:
        connection.execute("create table ftr_a as select unnest(?) as mail", [[key.hashed("a@b"), None]])
        connection.execute("create table ftr_plain as select 'a@b' as mail")

        def stored(view: str = "ftr_a") -> dict[Any, str]:
            return find_stored_keys(connection, "memory", view, "mail", ["a@b", key.hashed("c@d"), None])

        monkeypatch.setenv(VARIABLE, secret)
        assert stored() == {"a@b": key.hashed("a@b")}
        assert stored("ftr_plain") == {}
        definition = json.dumps({"pii_key": key.fingerprint})
        connection.execute("create table srv_catalog as select ? as definition", [definition])
        assert stored() == {"a@b": key.hashed("a@b")}
        monkeypatch.setenv(VARIABLE, "another " * 5)
        with pytest.raises(assay.Fault, match="mail is hashed in gold, and ASSAY_PII_KEY is another"):
            stored()
        monkeypatch.delenv(VARIABLE)
        with pytest.raises(assay.Fault, match="ASSAY_PII_KEY is not set"):
            stored()


# --- gold, histories, what is online ------------------------------------------------------------------------


def test_queries_read_what_is_published(demo: assay.Project) -> None:
    assert demo.sql("select $a + 1 as found", {"a": 1}).to_arrow().to_pydict() == {"found": [2]}
    assert "card_id" in demo.sql("describe gold.fct_card_transactions").to_arrow().column(0).to_pylist()
    ordered = demo.sql("select range as n from range(100000) order by n desc;").to_arrow()["n"]
    assert ordered.to_pylist() == list(range(99_999, -1, -1))
    for wrong, said in {
        "select nothing from gold.fct_orders": "nothing",
        "selec 1": "selec 1",
        "select 1; select 2": "this is 2",
        "": "this is 0",
        "drop table gold.fct_orders": "read-only",
    }.items():
        with pytest.raises(assay.Fault, match=said):
            demo.sql(wrong)


def test_a_history_shows_its_changes(demo: assay.Project, tmp_path: Path) -> None:
    [card] = (
        demo.sql("select any_value(card_id) from gold.fct_card_transactions").to_arrow().column(0).to_pylist()
    )
    history = demo.history(VELOCITY, card)
    rows = demo.sql(f"select * from gold.{VELOCITY} where card_id = ? order by valid_from", [card]).to_arrow()
    assert history.to_arrow().equals(rows)
    assert demo.history(VELOCITY, {"card_id": int(card)}).to_arrow().equals(rows)
    plot = history.plot("amount_sum_30d", "transaction_count_7d")
    assert [svg.count("<svg") for svg in plot.svg] == [1, 1]
    assert "var(--" not in plot.save(tmp_path / "plot.html").read_text()
    # Cards are personal data.
    assert card not in plot.save(tmp_path / "plot.html").read_text()
    for key in ({"card": card}, [card, "more"], None):
        with pytest.raises(assay.Fault, match="has the keys card_id"):
            demo.history(VELOCITY, key)
    with pytest.raises(assay.Fault, match="transacted_at_last_all can be drawn"):
        history.plot("transacted_at_last_all")


def test_a_notebook_whose_loop_runs_asks_what_is_online(
    demo: assay.Project, published: Path, store_url: str
) -> None:
    [(card, count)] = query(
        published,
        f"select card_id, transaction_count_all from gold.srv_{VELOCITY} "
        "where valid_to > '9999-01-01' limit 1",
    )

    async def cell() -> Any:
        return demo.online.get(
            VELOCITY, card, at=WHEN + timedelta(days=99), inputs={"amount": 5}, store=store_url
        )

    found = asyncio.run(cell())
    assert found["transaction_count_all"] == count
    assert found.statuses["transaction_count_all"] == "PRESENT"
    assert found.left_out["kilometres_from_last"] == ["merchant_latitude", "merchant_longitude"]
    # It prints as the command does, personal keys masked.
    assert card not in repr(found)
    assert "transaction_count_all" in found._repr_html_()
    with pytest.raises(assay.Fault, match="no feature view nothing online"):
        demo.online.get("nothing", card, store=store_url)


def test_parity_is_that_of_the_command(demo: assay.Project, store_url: str) -> None:
    found = demo.parity(PAIRS, samples=20, store=store_url)
    assert not any(each.differs for each in found)
    assert PAIRS in repr(found)


def test_calls_leave_the_folder_as_it_was(demo: assay.Project, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda number: demo.sql(f"select {number} as n").to_arrow()["n"][0].as_py(), range(8))
        )
    assert found == list(range(8))
    assert Path.cwd() == tmp_path
    assert oct(os.umask(os.umask(0o022))) == oct(0o022)


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_what_is_no_project_is_not_opened(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(assay.Fault, match=r"dbt_project\.yml"):
        assay.open(path)


def test_lists_of_results_are_rows_too(tmp_path: Path) -> None:
    @dataclass
    class Finding:
        name: str
        rows: int
        path: Path
        reasons: list[str]

    found = PrintedList([Finding("a", 1, tmp_path, ["b"])], lambda *_: None, tmp_path)
    assert found.to_frame().to_arrow().to_pylist() == [
        {"name": "a", "rows": 1, "path": str(tmp_path), "reasons": '["b"]'}
    ]


# --- training sets ------------------------------------------------------------------------------------------


def test_a_version_is_what_lies_on_the_disk(training: assay.Project, built_training: SmallProject) -> None:
    found = training.training_set("trn_lines")
    rows = pq.read_table(folder(built_training, "trn_lines@") / "data.parquet")
    # NaN is not equal to itself.
    assert found.to_arrow().drop_columns("third").equals(rows.drop_columns("third"))
    assert training.training_set("trn_lines", found.version).version == found.version
    assert training.training_set("trn_lines", found.version.partition("@")[2][:4]).version == found.version
    splits = found.splits()
    assert sorted(splits) == ["test", "train"]
    assert sum(map(len, splits.values())) == len(found) == rows.num_rows
    assert set(splits["test"].to_arrow()["split"].to_pylist()) == {"test"}
    assert found.features == ["product_quantity_max_7d", "product_doubled"]


def test_a_card_tells_what_a_version_is(training: assay.Project) -> None:
    card = training.training_set("trn_lines").card
    told = str(card)
    assert "| product_doubled | integer | ftr_product__lines:doubled |" in told.lower()
    assert "| order_line_id | VARCHAR |  | Hash of the line. |" in told
    assert "| train |" in told
    assert card.manifest.content_hash in told
    assert card._repr_markdown_() == told


def test_training_sets_that_are_not_there_are_told(training: assay.Project) -> None:
    for arguments, said in {
        ("trn_line",): "trn_lines",
        ("trn_lines", "zz"): "There is no version trn_lines@zz",
    }.items():
        with pytest.raises(assay.Fault, match=said):
            training.training_set(*arguments)
    with pytest.raises(assay.Fault, match="has no splits"):
        training.training_set("trn_lists").splits()


def test_paths_are_those_of_whoever_calls(
    training: assay.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("things.csv").write_text("thing_id,made_at\n1,2025-01-01 10:00:00\n2,2025-01-02 10:00:00\n")
    found = training.add_source("shop.things", ["things.csv"], dry_run=True)
    assert "shop.things, from 2 rows" in repr(found)
    assert found.files
    assert not any((training.root / file).exists() for file in found.files)
    assert training.report("out") == tmp_path / "out" / "index.html"


def test_a_version_goes_to_pandas_and_polars(training: assay.Project) -> None:
    found = training.training_set("trn_lines")
    frame = found.to_pandas()
    assert list(frame.order_line_id) == found.to_arrow()["order_line_id"].to_pylist()
    assert str(found.to_pandas(arrow_types=True).dtypes["price"]).startswith("decimal128")
    with mock.patch.dict(
        sys.modules, {"polars": SimpleNamespace(from_arrow=lambda table: ("polars", table))}
    ):
        assert found.to_polars() == ("polars", found.to_arrow())
    with (
        mock.patch.dict(sys.modules, {"polars": None}),
        pytest.raises(
            assay.Fault, match="to_polars needs polars, which is not installed: pip install polars"
        ),
    ):
        found.to_polars()


def test_numbers_go_to_torch() -> None:
    import numpy  # As torch, it takes what Arrow gives without a copy.

    class Taken(numpy.ndarray):  # type: ignore[type-arg]
        def bool(self) -> Any:
            return self.astype(bool)

    taken = SimpleNamespace(from_dlpack=lambda array: numpy.from_dlpack(array).view(Taken))
    rows = pa.table(
        {
            "whole": [1, 2, 3],
            "holes": [1, None, 3],
            "yes": [True, False, True],
            "maybe": [True, None, False],
            "price": pa.array([Decimal("1.25"), None, Decimal("2.50")]),
            "at": [datetime(1970, 1, 1, 0, 0, 1)] * 3,
            "many": pa.array([1, 2, 3], pa.uint32()),
            "text": ["a", "b", "c"],
        }
    )
    chunks = pa.concat_tables([rows.slice(0, 1), rows.slice(1)])
    with (
        mock.patch.dict(sys.modules, {"torch": taken}),
        pytest.warns(UserWarning, match="tensor can hold them: text"),
    ):
        found = Frame(lambda: chunks).to_torch()
    assert {
        name: (str(each.dtype), numpy.nan_to_num(each, nan=-1).tolist()) for name, each in found.items()
    } == {
        "whole": ("int64", [1, 2, 3]),
        "holes": ("float64", [1, -1, 3]),
        "yes": ("bool", [True, False, True]),
        "maybe": ("float64", [1, -1, 0]),
        "price": ("float64", [1.25, -1, 2.5]),
        "at": ("int64", [1_000_000] * 3),
        "many": ("int64", [1, 2, 3]),
    }
    with mock.patch.dict(sys.modules, {"torch": taken}):
        whole = Frame(lambda: rows.select(["whole"])).to_torch()["whole"]
    assert whole.ctypes.data == rows["whole"].chunk(0).buffers()[1].address


def test_decimals_may_be_floats_in_pandas() -> None:
    rows = pa.table({"price": pa.array([Decimal("1.25"), None]), "n": [1, 2]})
    frame = Frame(lambda: rows).to_pandas(decimals_as_floats=True)
    assert [str(each) for each in frame.dtypes] == ["float64", "int64"]
    assert frame.price[0] == 1.25
    assert pandas.isna(frame.price[1])
    assert str(Frame(lambda: rows).to_pandas().dtypes["price"]) == "object"
    arrow = Frame(lambda: rows).to_pandas(arrow_types=True, decimals_as_floats=True)
    assert str(arrow.dtypes["price"]) == "double[pyarrow]"


def test_a_frame_shows_itself_and_nothing_of_it_is_code() -> None:
    rows = pa.table({"<b>": ["<script>", None], "n": [1, 2]})
    html = Frame(lambda: rows)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "NULL" in html
    assert repr(Frame(lambda: rows)).startswith("2 rows of 2 columns")


# --- the module ---------------------------------------------------------------------------------------------


def test_import_loads_next_to_nothing() -> None:
    code = (
        "import sys, assay; assert set(assay.__all__) <= set(dir(assay)); assay.Client; assay.Fault;"
        "print([name for name in ('dbt', 'duckdb', 'pyarrow', 'rich', 'typer') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        assay.nothing  # noqa: B018


def test_times_are_utc(demo: assay.Project) -> None:
    local = [{"card_id": "1", "at": WHEN.replace(tzinfo=UTC)}]
    found = demo.features(local, [f"{VELOCITY}:amount_sum_7d"], at="at").to_arrow()
    assert found["amount_sum_7d"].to_pylist() == [Decimal("0.00")]
