"""A prediction is followed to the lines that may have entered it, and a bad line to predictions with it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from typer.testing import CliRunner
from warehouse import PROJECT, Warehouse

from assay.cli import app
from assay.core.fault import Fault
from assay.core.places import Places, find_places
from assay.landing.member import Member
from assay.landing.merged import MergedWriter
from assay.ledger.logged_versions import LoggedVersion, record_logged_version
from assay.lineage.trace import trace
from assay.lineage.traced import TracedColumn, TracedFile, TracedPrediction, TracedVersion
from assay.project.warehouse import connect
from assay.training.store import InputFile, VersionManifest, write_version

PURCHASES, CATEGORIES, AFFINITY = "ftr_customer__purchases", "ftr_card__categories", "ftr_customer__affinity"
VERSION = "trn_churn@0123456789ab"
OTHER_VERSION = "trn_fraud@0123456789ab"
MODEL = "target/compiled/assay/models/platform/gold/monitoring/mon_lineage.sql"


@pytest.fixture(scope="module")
def traced(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A copy of the demo in which predictions have landed, and a version of a training set was taken."""
    folder = Path(shutil.copytree(built_demo.folder, tmp_path_factory.mktemp("traced") / "demo"))
    warehouse = Warehouse(folder, folder / "landing")
    with connect(warehouse.path, read_only=False) as connection:
        [(until,)] = connection.sql("select max(landed_at) from bronze.brz_files").fetchall()
        # Half way through what is known of a customer.
        [(customer, as_of)] = connection.sql(
            "select customer_id, quantile_disc(landed_at, 0.5) from silver.slv_order_lines__checked "
            "where rule_ids is null group by all order by count(distinct landed_at) desc, 1 limit 1"
        ).fetchall()
        [(card, category)] = connection.sql(
            f"select card_id, category from gold.{CATEGORIES} "
            "order by transaction_count_90d desc, card_id, category limit 1"
        ).fetchall()
        served = [
            ("p1", PURCHASES, {"customer_id": customer}, as_of),
            ("p2", PURCHASES, {"customer_id": customer}, until),
            ("p3", CATEGORIES, {"card_id": card, "category": category}, until),
            ("p4", AFFINITY, {"customer_id": customer, "product_id": "it's"}, until),
            ("p5", PURCHASES, {"customer_id": "nobody"}, until),
        ]
        tells = {"p1": ("run-1", VERSION), "p2": (None, "trn_churn@unknown"), "p3": ("run-2", None)}
        received = {"p1": until + timedelta(seconds=1), "p2": as_of}
        for number, name in enumerate(["p1", "p2", "p3", "p4", "p5", "lone"]):
            at = received.get(name, until + timedelta(days=1))
            told = tells.get(name, (None, None))
            connection.execute(
                "insert into silver.slv_predictions__checked by name select ? as prediction_id, 'churn-2' as "
                "model_name, 'lbl_churn' as label_name, '1' as label_id, 0.5 as score, 0.5 as threshold, "
                "? as event_at, ? as available_at, ? as model_run_id, ? as training_version, "
                "? as row_number, 'serving/predictions/p.jsonl' as source_file, 1 as file_version",
                [name, at, at, *told, number + 1],
            )
        for name, view, keys, at in served:
            connection.execute(
                "insert into gold.mon_served_features by name select ? as prediction_id, 'churn-2' as "
                "model_name, ? as feature_view, ? as entity_keys, ? as as_of, '{}' as features, "
                "now()::timestamp as available_at",
                [name, view, json.dumps(keys), at],
            )
        query = (folder / MODEL).read_text()
        connection.execute(f"create or replace table gold.mon_lineage as {query}")
        files = connection.sql(
            "select file_id, source_file, content_sha256, row_count from bronze.brz_files "
            "where table_name = 'order_lines' and status = 'loaded'"
        ).fetchall()
    manifest = VersionManifest(
        *(VERSION, "trn_churn", "0123456789ab", 10, ["churn_id"], [], []),
        features=[],
        as_of=until,
        is_as_of_given=False,
        code={},
        code_version=None,
        engine="duckdb",
        run_id="run",
        input_files=len(files),
        input_rows=sum(row[3] for row in files),
        input_hash="",
        created_at=until,
    )
    # Each lists the files of the whole warehouse; no order line enters the other one.
    other = replace(manifest, version=OTHER_VERSION, name="trn_fraud")
    for each in (manifest, other):
        version = folder / "training_sets" / each.version
        version.mkdir(parents=True)
        write_version(version, each, [InputFile(*row) for row in files])
    logged = LoggedVersion(VERSION, "run-2", "http://localhost", until)
    record_logged_version(Places(warehouse.landing, warehouse.path).ledger, logged)
    return warehouse


@pytest.fixture
def places(traced: Warehouse) -> Iterator[Places]:
    with chdir(PROJECT), mock.patch.dict(os.environ, traced.environment):
        yield find_places()


def prediction(places: Places, name: str) -> TracedPrediction:
    [found] = trace(places, name).found
    assert isinstance(found, TracedPrediction)
    return found


def lines(found: TracedPrediction, table: str) -> set[tuple[str, int]]:
    """The lines of a checked table that may have entered a prediction."""
    return {
        (str(each.source_file), number)
        for view in found.views
        for each in view.landed
        if each.silver_table == table
        for number in each.row_numbers
    }


def test_a_prediction_leads_to_the_lines_that_name_its_entity(traced: Warehouse, places: Places) -> None:
    found = prediction(places, "p1")
    assert (found.model_name, found.model_run_id, found.kept_version) == ("churn-2", "run-1", VERSION)
    assert (found.source_file, found.row_number) == ("serving/predictions/p.jsonl", 1)
    [view] = found.views
    customer = view.entity_keys["customer_id"]
    orders = traced.query(
        "select source_file, row_number, product_id, rule_ids, available_at from "
        f"silver.slv_order_lines__checked where customer_id = '{customer}'"
    )
    known = [row for row in orders if row[3] is None and row[4] <= view.as_of]
    # Some were not known yet, or the test would prove less.
    assert 0 < len(known) < len(orders)
    assert lines(found, "slv_order_lines__checked") == {row[:2] for row in known}
    # The catalog does not name the customer: it is found by the products that the customer's lines name.
    products = traced.query(
        "select source_file, row_number, product_id, rule_ids, available_at from silver.slv_products__checked"
    )
    bought = {row[2] for row in known}
    expected = {row[:2] for row in products if row[2] in bought and row[3] is None and row[4] <= view.as_of}
    assert expected
    assert lines(found, "slv_products__checked") == expected
    [(valid_from,)] = traced.query(
        f"select valid_from from gold.{PURCHASES} where customer_id = '{customer}' "
        f"and valid_from <= '{view.as_of}' and valid_to > '{view.as_of}'"
    )
    assert view.valid_from == valid_from


def test_what_landed_after_a_prediction_did_not_enter_it(traced: Warehouse, places: Places) -> None:
    found = prediction(places, "p2")
    [(received,)] = traced.query(
        "select available_at from silver.slv_predictions__checked where prediction_id = 'p2'"
    )
    customer = found.views[0].entity_keys["customer_id"]
    orders = traced.query(
        "select source_file, row_number, landed_at from silver.slv_order_lines__checked "
        f"where customer_id = '{customer}' and rule_ids is null"
    )
    assert lines(found, "slv_order_lines__checked") == {row[:2] for row in orders if row[2] <= received}
    assert max(row[2] for row in orders) > received
    assert (found.training_version, found.kept_version) == ("trn_churn@unknown", None)


def test_a_key_that_is_no_id_leaves_no_line_out(traced: Warehouse, places: Places) -> None:
    found = prediction(places, "p3")
    # The version was logged to the run that the prediction names.
    assert (found.training_version, found.kept_version) == (None, VERSION)
    card = found.views[0].entity_keys["card_id"]
    [(count,)] = traced.query(
        f"select count(*) from silver.slv_card_transactions__checked where card_id = '{card}' "
        f"and rule_ids is null and landed_at <= '{found.views[0].as_of}'"
    )
    assert sum(each.rows or 0 for each in found.views[0].landed) == count > 0


def test_where_python_mixes_entities_any_line_may_have_entered(places: Places) -> None:
    [view] = prediction(places, "p4").views
    assert view.valid_from is None
    any_row = {each.silver_table for each in view.landed if each.source_file is None}
    assert any_row >= {"slv_order_lines__checked"}


def test_what_a_prediction_does_not_tell_is_said(traced: Warehouse, places: Places) -> None:
    assert prediction(places, "lone").views == []
    assert [view.landed for view in prediction(places, "p5").views] == [[]]
    run = CliRunner().invoke(app, ["trace", "lone"])
    assert "Training version: not told." in run.output
    assert "Features: none were told." in run.output
    said = " ".join(CliRunner().invoke(app, ["trace", "p2"]).output.split())
    assert "There is no such version beside this warehouse." in said


def test_a_file_leads_to_the_predictions_that_its_lines_may_have_entered(
    traced: Warehouse, places: Places
) -> None:
    entered = {file for file, _ in lines(prediction(places, "p1"), "slv_order_lines__checked")}
    [(other,)] = traced.query(
        "select max(source_file) from silver.slv_order_lines__checked "
        f"where source_file not in ({', '.join(repr(file) for file in entered)})"
    )
    for file, names in ((min(entered), {"p1"}), (other, set())):
        # A path as a shell completes it is as good as the name that bronze has.
        for name in (file, str(traced.landing / file)):
            [found] = trace(places, name).found
            assert isinstance(found, TracedFile)
            assert {*found.served.examples} & {"p1"} == names
            assert found.versions == [VERSION]
            assert {PURCHASES, AFFINITY} <= {*found.views}
            assert "trn_churn" in found.training_sets
            assert "p4" in found.perhaps.examples
            [(kept, rejected)] = traced.query(
                "select count(*) filter (rule_ids is null), count(*) filter (rule_ids is not null) "
                f"from silver.slv_order_lines__checked where source_file = '{file}'"
            )
            assert [(each.kept, each.rejected) for each in found.tables] == [(kept, rejected)]


def test_a_version_leads_to_its_files_and_its_predictions(places: Places) -> None:
    for name in (VERSION, VERSION[:-4], "trn_churn"):
        [found] = trace(places, name).found
        assert isinstance(found, TracedVersion)
        assert found.served.examples == ["p1", "p3"]
        assert found.model_run_ids == ["run-2"]
        assert [each.table for each in found.files] == ["erp.order_lines"]
    # Its model reads cards alone, of which there are none here.
    [other] = trace(places, OTHER_VERSION).found
    assert isinstance(other, TracedVersion)
    assert other.files == []
    assert (
        "Predictions that name it or such a run: 2, of churn-2"
        in CliRunner().invoke(app, ["trace", VERSION]).output
    )


def test_a_column_leads_both_ways(places: Places) -> None:
    [found] = trace(places, f"{PURCHASES}.amount_sum_30d").found
    assert isinstance(found, TracedColumn)
    made_of = {(step.table, step.column) for step in found.made_of}
    assert ("erp.order_lines", "UnitPrice") in made_of
    assert ("trn_churn", "amount_sum_30d") in {(step.table, step.column) for step in found.makes}
    assert found.served.examples == ["p1", "p2", "p5"]
    assert trace(places, f"gold.{PURCHASES}.amount_sum_30d").found == [found]
    [back] = trace(places, "erp.order_lines.UnitPrice").found
    assert isinstance(back, TracedColumn)
    assert PURCHASES in back.views
    with pytest.raises(Fault, match=f"{PURCHASES} has no column amount_sum_30: did you mean"):
        trace(places, f"{PURCHASES}.amount_sum_30")


def test_what_is_unknown_is_said_with_what_to_do(traced: Warehouse, places: Places) -> None:
    for name in ("nobody's", "", "erp/order_lines/none.csv", "%", "a.b.c", "x" * 10_000, "\udcff"):
        with pytest.raises(Fault, match="Nothing is called"):
            trace(places, name)
    with pytest.raises(Fault, match="There is no version trn_churn@9"):
        trace(places, "trn_churn@9")
    with pytest.raises(Fault, match="trn_recommendation has no version yet"):
        trace(places, "trn_recommendation")
    with connect(traced.path, read_only=False) as connection:
        connection.execute(
            "insert into silver.slv_predictions__checked by name select 'old' as prediction_id, "
            "'f' as source_file, 1::bigint as row_number"
        )
    with pytest.raises(Fault, match=r"Prediction old has landed, and .* lineage_days covers"):
        trace(places, "old")


def test_what_has_landed_since_the_lineage_was_built_is_told(traced: Warehouse, places: Places) -> None:
    assert trace(places, "p1").waiting == 0
    table = "silver.slv_predictions__checked"
    with connect(traced.path, read_only=False) as connection:
        for name, age in (("new", "-1 hour"), ("other", "-2 hours"), ("gone by", "400 days")):
            connection.execute(
                f"insert into {table} by name select '{name}' as prediction_id, event_at, source_file, "
                f"row_number, available_at - interval '{age}' as available_at from {table} "
                "where prediction_id = 'p4'"
            )
        [(file,)] = connection.sql("select min(source_file) from silver.slv_order_lines__checked").fetchall()
    for asked in ("p1", file, f"{PURCHASES}.amount_sum_30d"):
        shown = " ".join(CliRunner().invoke(app, ["trace", asked]).stdout.split())
        assert "Not looked at: 2 predictions have landed since gold.mon_lineage was built." in shown
    with pytest.raises(Fault, match=r"Prediction new has landed since .* assay build --all"):
        trace(places, "new")
    with pytest.raises(Fault, match=r"Prediction gone by has landed, and .* lineage_days covers"):
        trace(places, "gone by")
    with connect(traced.path, read_only=False) as connection:
        connection.execute(f"delete from {table} where prediction_id in ('new', 'other', 'gone by')")


def test_json_has_all_that_is_found(places: Places) -> None:
    run = CliRunner().invoke(app, ["trace", "p1", "--json"])
    told = json.loads(run.stdout)
    assert told == json.loads(json.dumps(asdict(trace(places, "p1")), default=str))
    assert datetime.fromisoformat(told["found"][0]["views"][0]["as_of"])


def test_merged_files_are_named_with_the_file_and_line_that_they_hold(
    traced: Warehouse, places: Places, tmp_path: Path
) -> None:
    names = sorted({file for file, _ in lines(prediction(places, "p1"), "slv_order_lines__checked")})
    writer = MergedWriter(traced.landing / "erp" / "order_lines")
    aside = []
    for name in names:
        path = traced.landing / name
        content = path.read_bytes()
        with gzip.open(path) as plain:
            member = Member(name, sha256(content).hexdigest(), "", len(content), 0.0, 1, True, 0, 0)
            writer.add(member, plain)
        aside.append((path, path.rename(tmp_path / str(len(aside)))))
    merged = writer.close(lambda written: "all.parquet").path
    try:
        landed = [each for view in prediction(places, "p1").views for each in view.landed]
        of_orders = [each for each in landed if each.silver_table == "slv_order_lines__checked"]
        assert {each.source_file: each.lies_in for each in of_orders} == {
            name: [str(merged)] for name in names
        }
        assert all(not each.lies_in for each in landed if each not in of_orders)
        [(line,)] = duckdb.sql(
            f"select decode(content) from '{merged}' where source_file = '{of_orders[0].source_file}' "
            f"and line = {of_orders[0].row_numbers[0]}"
        ).fetchall()
        assert str(prediction(places, "p1").views[0].entity_keys["customer_id"]) in line
        [file] = trace(places, names[0]).found
        assert isinstance(file, TracedFile)
        assert file.lies_in == [str(merged)]
        for name in ("p1", names[0]):
            said = "".join(CliRunner().invoke(app, ["trace", name]).output.split())
            assert f"liesin{merged}" in said
    finally:
        merged.unlink()
        for path, kept in aside:
            kept.rename(path)
    [file] = trace(places, names[0]).found
    assert isinstance(file, TracedFile)
    assert file.lies_in == [str(traced.landing / names[0])]
