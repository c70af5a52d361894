"""The public macros know columns by whatever name, and instants of whatever type, in whatever time zone.

One project is built with plain names, and with names that SQL has other uses for: the results are equal.
What dbt compiled is then run where the times are TIMESTAMPTZ and the session is not in UTC: equal again.
"""

from __future__ import annotations

import ast
import json
import random
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from package_project import DRIFT_MODELS, PROJECT, PackageProject, make_package_project

from assay.core.sql import _NAME, names_in, needs_quotes, quoted, text

PLAIN = {
    "key": "machine",
    "other_key": "scenario",
    "label": "outcome",
    "amount": "amount",
    "kind": "kind",
    "at": "asked_at",
    "row": "place",
    "doubled": "doubled",
    "load": "load",
}
ODD = {
    "key": "order",
    "other_key": "Group By",
    "label": "select",
    "amount": "Total (EUR), " + "a very long name " * 4,
    "kind": 'kind "of" it\'s',
    "at": "from",
    "row": "_row",
    "doubled": "2x",
    "load": "period",
}
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata")
TABLES = ("spine", "history")
START = datetime(2025, 1, 30, 21)
HOUR = timedelta(hours=1)

MODELS = {
    # The spine is a CTE here and a relation below, since they are looked into differently.
    "joined": """
        with asked as (select * from {source:spine}),

        joined as (

        {{{{ assay.point_in_time_join('asked', {at}, [{{
            'relation': {source_name:history},
            'entity_keys': [{key}, {other_key}],
            'columns': [{amount}, {kind}],
            'max_age': '3h',
            'confirmed_at': true,
            'defaults': {{{kind}: "'none'"}},
            'derived': {{{doubled}: {sql_amount} ~ ' * 2'}},
            'prefix': 'the ',
        }}]) }}}}

        )

        select * from joined""",
    "joined_to_view": """
        {{{{ assay.point_in_time_join({source_name:spine}, {at}, [{{
            'view': 'ftr_{name}', 'columns': [{load}], 'derived': ['share'], 'inputs': {{'asked': {row}}},
        }}]) }}}}""",
    "ftr": """
        select *, {amount:sql} * 2 as {load:sql} from {source:history}""",
    "sampled": """
        select
            {row:sql},
            {{{{ assay.temporal_split({at}, [
                assay.share_of_time({source_name:spine}, {at}, 0.5), '2025-02-03T12:00:00',
            ], '6h') }}}} as split,
            {{{{ assay.downsample({label}, 2, 42, row_id={row}) }}}} as sampling_weight,
            {{{{ assay.balanced_weight({label}) }}}} as balanced_weight,
            {{{{ assay.log1p({row}) }}}} as log1p,
            {{{{ assay.interact({row}, {label}) }}}} as product,
            {{{{ assay.pii_mask({key}) }}}} as mask,
            {{{{ assay.known_until({source_name:spine}, {at}) }}}} as known_until
        from {source:spine}""",
    "fitted": """
        {{{{ assay.fit_preprocessing({source_name:history}, {{
            'standard_scale': [{amount}],
            'min_max_scale': [{amount}],
            'quantile_bin': {{'columns': [{amount}], 'bins': 4}},
            'one_hot': {{'columns': [{kind}], 'max_categories': 2}},
            'target_encode': {{
                'columns': [{kind}], 'target': {label}, 'smoothing': 2, 'folds': 2, 'row_id': {row},
            }},
        }}, where='true') }}}}""",
    "prepared": """
        {{%- set fitted = ref('{name}_fitted') -%}}
        select
            {row:sql},
            {{{{ assay.standard_scale({amount}, fitted) }}}} as scaled,
            {{{{ assay.min_max_scale({amount}, fitted) }}}} as ranged,
            {{{{ assay.quantile_bin({amount}, fitted) }}}} as bin,
            {{{{ assay.one_hot({kind}, fitted, ['a', 'b']) }}}},
            {{{{ assay.target_encode({kind}, fitted, {row}, where='true') }}}} as encoded
        from {source:history}""",
    "numeric": "{{{{ assay.numeric_drift({source_name:history}, {source_name:spine}, [{row}]) }}}}",
    "categorical": "{{{{ assay.categorical_drift({source_name:history}, {source_name:spine}, [{key}]) }}}}",
    "trn": """
        select
            {at:sql} as prediction_at,
            'train' as split,
            {load:sql}
        from {{{{ ref('ftr_{name}') }}}}
        asof join {source:spine} on {{{{ assay.as_utc({at}) }}}} >= {{{{ assay.as_utc('valid_from') }}}}""",
    "srv": "{{{{ assay.online_rows('ftr_{name}') }}}}",
    "quality": """
        select * exclude (measures, broken_rules), unnest(measures, recursive := true)
        from (
            {{{{ assay.quality_measures(['ftr_{name}', 'asked_{name}'], {{{key}: 'ftr_{name}'}}, 'day') }}}}
        ) as counted""",
    "windowed": """
        {{{{ config(materialized='history') }}}}
        {{{{ assay.windowed_history(
            {source_name:spine}, [{key}, {other_key}], {at}, {at},
            {{{row}: ['sum', 'max'], {label}: ['count']}}, ['6h']
        ) }}}}""",
    "changes": """
        {{{{ config(materialized='history') }}}}
        {{{{ assay.change_history({source_name:spine}, [{key}, {other_key}], {at}, [{label}, {row}]) }}}}""",
    "freshness": "{{{{ assay.arrival_freshness({{{kind}: ref('asked_{name}')}}) }}}}",
    "asked": """
        select *, {at:sql} as event_at, {at:sql} as available_at, {at:sql} as landed_at, null as rule_ids
        from {source:spine}""",
}


# Assay's own models, which are of all feature views and training sets: what they say of one.
MONITORS = {
    "drift": "gold.mon_feature_drift where view = 'ftr_{name}'",
    "retraining": "monitoring.mon_retraining__rows where training_set = 'trn_{name}'",
}


class _Name(str):
    """A name in a model's text: a constant of Jinja's, or with `:sql` a column of SQL's."""

    def __format__(self, how: str) -> str:
        return quoted(self) if how == "sql" else json.dumps(self)


class _Source:
    def __init__(self, name: str) -> None:
        self._name = name

    def __format__(self, table: str) -> str:
        return f"{{{{ source('plant', '{self._name}_{table}') }}}}"


class _SourceName(_Source):
    def __format__(self, table: str) -> str:
        return super().__format__(table)[3:-3]


def model(kind: str, name: str) -> str:
    """The name of a model, which begins with what it is where a macro goes by that."""
    return (
        f"{kind}_{name}"
        if kind in ("ftr", "trn", "asked")
        else "srv_ftr_" + name
        if kind == "srv"
        else f"{name}_{kind}"
    )


def written(kind: str, name: str, names: dict[str, str]) -> str:
    values: dict[str, Any] = {word: _Name(column) for word, column in names.items()}
    sql_amount = json.dumps(quoted(names["amount"]))
    return MODELS[kind].format(
        name=name, source=_Source(name), source_name=_SourceName(name), sql_amount=sql_amount, **values
    )


def described(name: str, names: dict[str, str]) -> list[dict[str, Any]]:
    """The YAML of the feature view, and of what quality looks at."""
    times = ("valid_from", "valid_to", "updated_at")
    types = {
        names["key"]: "varchar",
        names["other_key"]: "integer",
        names["amount"]: "double",
        names["kind"]: "varchar",
        names["load"]: "double",
        **dict.fromkeys(times, "timestamp"),
    }
    declared = {
        "entity": "machine",
        "keys": [names["key"], names["other_key"]],
        "online": True,
        "inputs": [{"name": "asked", "type": "integer"}],
        "derived": [{"name": "share", "expression": f"{quoted(names['amount'])} / ASKED"}],
    }
    asked = {
        names["key"]: "varchar",
        names["row"]: "integer",
        "event_at": "timestamp",
        "available_at": "timestamp",
    }
    return [
        {
            "name": f"ftr_{name}",
            "config": {"meta": {"feature_view": declared}},
            "columns": [{"name": column, "data_type": kind} for column, kind in types.items()],
            # Not enforced, so that copies are counted.
            "constraints": [{"type": "unique", "columns": [quoted(key) for key in declared["keys"]]}],
        },
        {
            "name": f"asked_{name}",
            "columns": [{"name": column, "data_type": kind} for column, kind in asked.items()],
        },
    ]


def create_tables(connection: duckdb.DuckDBPyConnection, name: str, names: dict[str, str]) -> None:
    """States that change every five hours, and questions at all hours."""
    chance = random.Random(7)
    keys = f"{quoted(names['key'])} varchar, {quoted(names['other_key'])} integer"
    row, label = quoted(names["row"]), quoted(names["label"])
    connection.execute(
        f"create table {name}_spine ({keys}, {quoted(names['at'])} timestamp, {row} integer, {label} boolean)"
    )
    connection.execute(
        f"create table {name}_history ({keys}, {quoted(names['amount'])} double, "
        f"{quoted(names['kind'])} varchar, {row} integer, {label} boolean, "
        "valid_from timestamp, valid_to timestamp, updated_at timestamp, confirmed_at timestamp[])"
    )
    asked = [
        (chance.choice("ab"), 1, START + number * HOUR, number, chance.random() < 0.2)
        for number in range(200)
    ]
    states = []
    for machine in "ab":
        for number in (number for number in range(40) if number % 7):
            opened_at = START + 5 * number * HOUR
            times = (opened_at, opened_at + 5 * HOUR, opened_at, [opened_at, opened_at + 2 * HOUR])
            what = (chance.random(), chance.choice("abc"), number, chance.random() < 0.3)
            states.append((machine, 1, *what, *times))
    for table, rows in {"spine": asked, "history": states}.items():
        connection.executemany(f"insert into {name}_{table} values ({', '.join('?' * len(rows[0]))})", rows)


@pytest.fixture(scope="module")
def project(builds: None, tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    monitors = [*DRIFT_MODELS, "mon_retraining__rows"]
    project = make_package_project(
        tmp_path_factory.mktemp("names") / "project",
        models=False,
        monitors=monitors,
        settings={"drift_months": 1},
    )
    models = project.root / "models"
    shutil.rmtree(models)
    models.mkdir()
    listed = []
    with duckdb.connect(project.path) as connection:
        for name, names in {"plain": PLAIN, "odd": ODD}.items():
            create_tables(connection, name, names)
            listed += described(name, names)
            for kind in MODELS:
                project.write_model(model(kind, name), written(kind, name, names))
    sources = [{"name": f"{name}_{table}"} for name in ("plain", "odd") for table in TABLES]
    (models / "models.yml").write_text(
        json.dumps({"sources": [{"name": "plant", "schema": "main", "tables": sources}], "models": listed})
    )
    project.build()
    return project


def rows_of(connection: duckdb.DuckDBPyConnection, kind: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a model in an order of their own; names among the values are the plain ones."""
    plain = {ODD[word]: PLAIN[word] for word in PLAIN}
    plain |= {model(kind, "odd"): model(kind, "plain") for kind in MODELS}
    plain[f"{ODD['row']} where true"] = f"{PLAIN['row']} where true"
    source = MONITORS[kind].format(name=name) if kind in MONITORS else model(kind, name)
    rows = connection.execute(f"from {source}").fetchall()
    return sorted(
        (
            tuple(plain.get(value, value) if isinstance(value, str) else value for value in row)
            for row in rows
        ),
        key=repr,
    )


@pytest.mark.parametrize("kind", [*MODELS, *MONITORS])
def test_a_column_of_any_name_is_a_column(project: PackageProject, kind: str) -> None:
    with duckdb.connect(project.path, read_only=True) as connection:
        expected = rows_of(connection, kind, "plain")
        assert expected
        assert rows_of(connection, kind, "odd") == expected


@pytest.fixture(scope="module")
def compiled(project: PackageProject) -> list[tuple[str, str]]:
    """The relations of models and the SQL that DuckDB is given, in the order in which they were built."""
    results = json.loads((project.root / "target" / "run_results.json").read_text())["results"]
    done = sorted(results, key=lambda each: each["timing"][-1]["completed_at"])
    return [(each["relation_name"], each["compiled_code"]) for each in done]


@pytest.mark.parametrize("zoned_tables", [TABLES[:1], TABLES[1:], TABLES], ids="-".join)
@pytest.mark.parametrize("zone", ZONES)
def test_times_with_a_zone_are_those_instants_whatever_the_session_s_zone(
    project: PackageProject,
    compiled: list[tuple[str, str]],
    tmp_path: Path,
    zone: str,
    zoned_tables: tuple[str, ...],
) -> None:
    with duckdb.connect(tmp_path / project.path.name) as connection:
        connection.execute(f"attach '{project.path}' as plain (read_only); set TimeZone = {text(zone)}")
        for table in TABLES:
            columns = connection.execute(f"describe plain.odd_{table}").fetchall()
            zoned = ", ".join(
                f"list_transform({quoted(name)}, lambda instant: timezone('UTC', instant)) as {quoted(name)}"
                if kind == "TIMESTAMP[]"
                else f"timezone('UTC', {quoted(name)}) as {quoted(name)}"
                for name, kind, *_ in columns
                if kind in ("TIMESTAMP", "TIMESTAMP[]") and table in zoned_tables
            )
            replaced = f"replace ({zoned})" if zoned else ""
            connection.execute(f"create table odd_{table} as select * {replaced} from plain.odd_{table}")
        connection.execute("create schema monitoring; create schema gold")
        for name in ("ftr_plain", "trn_plain"):
            connection.execute(f"create table {name} as from plain.{name}")
        for relation, sql in compiled:
            if "odd" in relation or "mon_" in relation:
                connection.execute(f"create table {relation} as {sql}")
        connection.execute("set TimeZone = 'UTC'")
        for kind in (*MODELS, *MONITORS):
            found = utc(rows_of(connection, kind, "odd"))
            connection.execute("use plain")
            expected = rows_of(connection, kind, "plain")
            connection.execute(f"use {project.path.stem}")
            assert found == expected, kind


def utc(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Times with a zone that are passed on as they are, without it."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return value.replace(tzinfo=None) if isinstance(value, datetime) else value

    return [tuple(plain(value) for value in row) for row in rows]


def test_an_expression_uses_names_with_and_without_quotes_in_any_case() -> None:
    assert names_in('"Total ""net""" * AMOUNT / _x2') == {'total "net"', "amount", "_x2"}
    # A text names nothing, whatever quotes are in it.
    assert names_in("""kind = 'it''s 5" load' or "a'b" > level""") == {"kind", "or", "a'b", "level"}


def test_macros_find_the_same_names_in_an_expression_as_python() -> None:
    macro = (PROJECT / "macros" / "shared" / "_private.sql").read_text()
    found = re.search(r'findall\((".*"), expression\)', macro)
    assert found
    assert ast.literal_eval(found[1]) == _NAME.pattern


def test_names_that_sql_has_other_uses_for_need_quotes() -> None:
    assert all(map(needs_quotes, ("order", "Select", "left", "Group By", "2x", "größe", "")))
    assert not any(map(needs_quotes, ("card_id", "Amount", "_x2", "value", "timestamp")))


# --- names that meet ----------------------------------------------------------------------------------------

FEATURES = "{'relation': source('plant', 'plain_history'), 'entity_keys': ['machine', 'scenario'], %s}"
FROM_SPINE = "{{ assay.point_in_time_join(source('plant', 'plain_spine'), 'asked_at', [%s]) }}"
FROM_CTE = """
    with asked as (select * from {{ source('plant', 'plain_spine') }} where false),
    joined as ({{ assay.point_in_time_join('asked', 'asked_at', [%s]) }})
    select * from joined"""
MEETINGS = {
    "feature_of_the_spine": (
        FROM_SPINE % FEATURES % "'columns': ['outcome']",
        "would be called outcome: the column of the spine, and the feature outcome of",
    ),
    "feature_but_for_case": (
        FROM_SPINE % FEATURES % "'columns': ['OUTCOME']",
        "would be called OUTCOME: the column of the spine (outcome), and the feature OUTCOME of",
    ),
    "prefixed_feature": (
        FROM_SPINE % FEATURES % "'columns': [], 'derived': {'Come': '1'}, 'prefix': 'out'",
        "would be called outCome: the column of the spine (outcome), and the feature Come of",
    ),
    "features_of_two_views": (
        FROM_SPINE
        % (
            FEATURES % "'columns': ['kind']"
            + ", {'view': 'ftr_plain', 'columns': ['amount']}, "
            + FEATURES % "'columns': ['Amount']"
        ),
        "would be called Amount: the feature amount of ftr_plain (amount), and the feature Amount of",
    ),
    "feature_of_a_spine_in_a_cte": (
        FROM_CTE % FEATURES % "'columns': ['outcome']",
        'Arguments contain duplicate STRUCT entry "outcome"',
    ),
    "feature_but_for_case_in_a_cte": (
        FROM_CTE % FEATURES % "'columns': ['OUTCOME']",
        'Arguments contain case-insensitive duplicate STRUCT entry "OUTCOME" and "outcome"',
    ),
    "feature_of_the_join": (
        FROM_SPINE % FEATURES % "'columns': ['kind'], 'derived': {'as_Of': '1'}",
        "would be called as_Of: the column of the join itself (as_of), and the derived feature as_Of of",
    ),
    "time_of_the_join": (
        FROM_SPINE % FEATURES % "'columns': ['_Valid_From']",
        "would be called _Valid_From: the column of the join itself (_valid_from), and the column",
    ),
    "key_of_the_join": (
        FROM_SPINE % FEATURES % "'columns': [], 'needed': ['_key_2'], 'derived': {'twice': '_key_2 * 2'}",
        "would be called _key_2: the column of the join itself, and the column _key_2 of",
    ),
    "input_and_column": (
        FROM_SPINE % FEATURES % "'columns': ['kind'], 'inputs': {'Kind': 'place'}",
        "would be called Kind: the column kind of",
    ),
    "version_of_the_online_row": (
        "{{ assay.online_rows('ftr_versioned') }}",
        "would be called Version: the column of online rows themselves (version), and the column Version of",
    ),
}
AGES = {
    "age_of_nothing": (FROM_SPINE % FEATURES % "'max_age': 0", "the window 0 is unknown"),
    "age_of_no_word": (FROM_SPINE % FEATURES % "'max_age': ''", "the window is unknown"),
    "age_of_all": (FROM_SPINE % FEATURES % "'max_age': 'all'", "the max_age all of"),
}


@pytest.fixture(scope="module")
def complaints(project: PackageProject) -> str:
    project.write_model("ftr_versioned", 'select 1 as id, 2 as "Version"')
    view = {"entity": "thing", "keys": ["id"], "online": True}
    columns = [{"name": "id"}, {"name": "Version"}]
    versioned = {"name": "ftr_versioned", "config": {"meta": {"feature_view": view}}, "columns": columns}
    (project.root / "models" / "versioned.yml").write_text(json.dumps({"models": [versioned]}))
    refused = MEETINGS | AGES
    for name, (sql, _) in refused.items():
        project.write_model(name, sql)
    run = project.dbt("run", "--select", *refused)
    assert run.returncode != 0
    return " ".join(run.stdout.split())


@pytest.mark.parametrize("name", MEETINGS)
def test_two_columns_of_one_name_are_refused(complaints: str, name: str) -> None:
    assert f"in model {name} " in complaints
    assert MEETINGS[name][1] in complaints


@pytest.mark.parametrize("name", AGES)
def test_an_age_that_is_no_length_of_time_is_refused(complaints: str, name: str) -> None:
    assert f"in model {name} " in complaints
    assert f"{name}: {AGES[name][1]}" in complaints
