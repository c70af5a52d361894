"""`assay plan`: where each node is computed, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from small_project import SmallProject
from training_project import succeed
from warehouse import PROJECT, Warehouse

import assay
from assay.spark.jobs import SPINE, Here, Increment, Job, ModelCode, decide, decide_increment

LINES, PRICES = '"w"."gold"."fct_lines"', '"w"."gold"."ftr_price"'
LANDED, KINDS = '"w"."bronze"."brz_sales"', '"w"."silver"."kinds"'
COLUMNS = {
    LANDED: {"file_id": "BIGINT", "row_number": "BIGINT", "amount": "VARCHAR"},
    KINDS: {"code": "VARCHAR", "kind": "VARCHAR"},
    LINES: {"Product Id": "VARCHAR", "shop_id": "BIGINT", "quantity": "INTEGER", "event_at": "TIMESTAMP"},
    PRICES: {"Product Id": "VARCHAR", "price": "DECIMAL(18,2)", "valid_from": "TIMESTAMP"},
}
HISTORY = ModelCode(
    name="ftr_product__lines",
    sql=f'select "Product Id", quantity from {LINES} where "Product Id" is not null',
    raw_code="{{ windowed_history(ref('fct_lines'), entity_keys=['Product Id'], event_at='event_at') }}",
    materialized="history",
    meta={},
    parents={LINES: "fct_lines"},
)
JOIN = ModelCode(
    name="trn_sales",
    sql=f"""-- (
with lines as (select *, ')' as "),(" from {LINES}), other as (select 1 as one),
joined as (
    with features_0 as (
    select _spine_row as _spine, event_at as _spine_at
    from (select * from lines) as _spine_row
),
features_1_history as (

    select
        history."Product Id" as _key_1,
        history."price"
    from {PRICES} as history
    inner join asked_1 as asked on true
)
select * from features_1
)
select *, count(*) over () as rows from joined""",
    raw_code="",
    materialized="replaced",
    meta={"joined_features": [{}]},
    parents={LINES: "fct_lines", PRICES: "ftr_price"},
)
KEYED = replace(HISTORY, materialized="replaced", meta={"distribute_by": ["product id"]})


def reason(model: ModelCode) -> str:
    found = decide(model, COLUMNS)
    assert isinstance(found, Here)
    assert not found.is_refused
    return found.why


def refusal(model: ModelCode) -> str:
    found = decide(model, COLUMNS)
    assert isinstance(found, Here)
    assert found.is_refused
    return found.why


def test_a_history_goes_by_its_entity_keys() -> None:
    job = decide(HISTORY, COLUMNS)
    assert isinstance(job, Job)
    assert job.keys == [("Product Id",)]
    assert (job.sql, job.before, job.spine) == (HISTORY.sql, "", None)


def test_what_is_new_of_a_history_goes_by_its_keys_with_what_it_asks_for() -> None:
    touched, own = '"_assay"."main"."touched"', '"w"."gold"."ftr_product__lines"'
    keys = {"Product Id": "VARCHAR"}
    columns = {**COLUMNS, touched: {**keys, "_assay_cut": "TIMESTAMP"}, own: keys}
    asked = {LINES: "select 1", touched: "select 2", own: "select 3"}
    increment = Increment("select 4", own, touched, asked)
    job = decide_increment(HISTORY, increment, columns)
    assert isinstance(job, Job)
    assert job.sql == "select 4"
    assert job.keys == [("Product Id",)]
    assert {each.relation: each.asked for each in job.inputs} == asked
    for other, at, told in (
        (HISTORY, {own: {"Product Id": "INTEGER"}}, "Product Id is INTEGER and VARCHAR"),
        (replace(HISTORY, meta={"distribute_by": []}), {}, "it says so"),
    ):
        found = decide_increment(other, increment, {**columns, **at})
        assert isinstance(found, Here)
        assert told in found.why
    of_a_query = replace(increment, asked={"(select 5)": "select 1"})
    found = decide_increment(HISTORY, of_a_query, columns)
    assert isinstance(found, Here)
    assert "of a query" in found.why


def test_a_history_that_looks_elsewhere_stays_here() -> None:
    twice = replace(HISTORY, sql=HISTORY.sql + f" and quantity > (select avg(quantity) from {LINES})")
    assert "more than one table once" in reason(twice)
    dynamic = replace(HISTORY, raw_code=HISTORY.raw_code.replace("['Product Id']", "var('keys')"))
    assert "no plain list" in reason(dynamic)
    assert "has no column shop" in reason(
        replace(HISTORY, raw_code=HISTORY.raw_code.replace("Product Id", "shop"))
    )
    assert "numbers its rows anew" in reason(replace(HISTORY, sql=HISTORY.sql + " and RowId > 1"))
    assert "a variable of this session" in reason(replace(HISTORY, sql=HISTORY.sql + " and getvariable('x')"))


def test_a_join_goes_by_the_keys_of_its_histories_and_the_rest_runs_here() -> None:
    job = decide(JOIN, COLUMNS)
    assert isinstance(job, Job)
    assert job.keys == [("Product Id",)]
    assert [each.relation for each in job.inputs] == [PRICES]
    assert job.sql.startswith("with features_0 as (")
    assert f"from (select * from {SPINE}) as _spine_row" in job.sql
    assert job.spine is not None
    assert re.sub(r"\s+", " ", job.spine).endswith("other as (select 1 as one) select * from lines")
    assert job.before + job.sql.replace(SPINE, "lines") + job.after == JOIN.sql


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (PRICES, "own_prices", "a history that it makes itself"),
        ("_spine_row as _spine", "1 as _spine", "joins twice"),
        ("as _spine_row\n", "as another\n", "by other macros"),
    ],
)
def test_a_join_that_cannot_be_cut_out_stays_here(old: str, new: str, told: str) -> None:
    sql = JOIN.sql.replace(old, new)
    assert told in reason(replace(JOIN, sql=sql + (" " + sql if told == "joins twice" else "")))


def test_a_declared_key_is_proved_or_refused() -> None:
    job = decide(KEYED, COLUMNS)
    assert isinstance(job, Job)
    assert job.keys == [("Product Id",)]
    total = replace(KEYED, sql=f"select sum(quantity) from {LINES}")
    assert "product id does not close it: SUM(quantity) counts in all rows" in refusal(total)
    assert "materialized as incremental" in refusal(replace(KEYED, materialized="incremental"))
    assert reason(replace(KEYED, meta={"distribute_by": []})) == "it says so: distribute_by is empty"
    assert "declares no key" in reason(replace(KEYED, meta={}))
    assert "before fct_other is built" in reason(replace(KEYED, parents={'"w"."gold"."x"': "fct_other"}))


CHECKED = ModelCode(
    name="slv_sales__checked",
    sql=f"""with landed as (
    select *, amount > 0 as is_sold from {LANDED}
    where file_id in (select file_id from {LANDED} except select file_id from "w"."silver"."checked")
)
select landed.*, kinds.kind from landed left join {KINDS} as kinds on landed.amount = kinds.code""",
    raw_code="",
    materialized="checked",
    meta={},
    parents={LANDED: "brz_sales", KINDS: "kinds"},
)


def test_landed_rows_are_checked_one_by_one_and_only_those_of_new_files_travel() -> None:
    job = decide(CHECKED, COLUMNS)
    assert isinstance(job, Job)
    landed, kinds = job.inputs
    assert (landed.keys, kinds.keys) == (("file_id", "row_number"), ())
    assert job.keys == [landed.keys]
    assert landed.asked
    assert landed.asked.startswith(f"select * from {LANDED} where file_id in (")
    assert "where" not in job.sql
    first = decide(replace(CHECKED, sql=job.sql), COLUMNS)
    assert isinstance(first, Job)
    assert first.inputs[0].asked is None
    of_file = CHECKED.sql.replace("as is_sold", "and sum(amount) over (partition by file_id) > 0 as is_sold")
    job = decide(replace(CHECKED, sql=of_file), COLUMNS)
    assert isinstance(job, Job)
    assert job.keys == [("file_id",)]
    of_all = CHECKED.sql.replace("as is_sold", "and sum(amount) over () > 0 as is_sold")
    assert "looks past its file: SUM(amount) OVER () looks past" in reason(replace(CHECKED, sql=of_all))
    assert "0 tables hold landed rows" in reason(replace(CHECKED, parents={KINDS: "kinds"}))


def test_equal_keys_of_two_types_would_not_meet() -> None:
    sql = f'select a."Product Id" from {LINES} as a inner join {PRICES} as b using ("Product Id")'
    both = replace(KEYED, sql=sql, parents={LINES: "fct_lines", PRICES: "ftr_price"})
    assert isinstance(decide(both, COLUMNS), Job)
    other = {**COLUMNS, PRICES: {**COLUMNS[PRICES], "Product Id": "INTEGER"}}
    found = decide(both, other)
    assert isinstance(found, Here)
    assert "product id is INTEGER and VARCHAR" in found.why
    floating = {**COLUMNS, LINES: {**COLUMNS[LINES], "Product Id": "DOUBLE"}}
    found = decide(HISTORY, floating)
    assert isinstance(found, Here)
    assert "floating-point" in found.why


def test_the_plan_names_all_nodes_and_refuses_a_key_that_does_not_hold(
    training: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_SPARK_FROM", raising=False)
    planned = {node.name: node for node in assay.open(training.root).plan()}
    assert planned["trn_lines"].keys == [("product_id",)]
    assert planned["trn_lines"].rows == 44 + 82
    assert planned["trn_lines"].bytes
    assert planned["trn_lines"].is_small
    assert planned["trn_lines"].why == "it has 44 rows; by product_id from 1,000,000 on"
    assert planned["fct_days"].why == "a view is computed where it is read"
    assert planned["mon_rules"].why == "a seed is loaded from its file"
    assert not any(node.is_refused for node in planned.values())
    lines = Path(training.root, "models", "own", "gold", "fct_lines.sql")
    lines.write_text("{{ config(meta={'distribute_by': ['product_id']}) }}" + lines.read_text())
    assert "0 nodes of 1 by key" in succeed(training, "plan", "--select", "fct_lines")
    training.settings["ASSAY_SPARK_FROM"] = "44"
    assert "1 node of 1 by key" in succeed(training, "plan", "--select", "fct_lines")
    lines.write_text(lines.read_text() + " limit 10")
    told = training.assay("plan", "--select", "fct_lines")
    assert told.exit_code == 1
    assert "LIMIT 10 counts all rows" in " ".join(told.stdout.split())
    assert "distribute_by of 1 node is refused: fct_lines" in told.stdout
    nothing = training.assay("plan", "--select", "fct_none")
    assert nothing.exit_code == 2
    assert "--select fct_none matches no model" in " ".join(nothing.stderr.split())


def test_the_examples_labels_and_marts_go_by_their_keys(
    built_demo: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_SPARK_FROM", "0")
    planned = {node.name: node for node in assay.open(PROJECT).plan()}
    assert planned["lbl_fraud"].keys == [("transaction_id",)]
    assert planned["fct_orders"].keys == [("order_id",)]
    declared = [name for name, node in planned.items() if "its SQL has the key" in node.why]
    assert len(declared) == 8
    assert not any(node.is_refused for node in planned.values())
