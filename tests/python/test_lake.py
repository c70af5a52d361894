"""A warehouse that is a lake holds what one in a file holds, and keeps the same promises."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from built_once import built_once
from corpus_project import NAME as CORPUS
from corpus_project import add_corpus, create_corpus
from dbt.adapters.factory import FACTORY
from lake_contents import contents
from rendered_macros import Macros
from rich.console import Console
from small_project import PROJECT, SmallProject, make_small_project
from training_project import create, succeed

from assay.api.training_set import Card
from assay.build.publish import publish
from assay.console.progress import display_on
from assay.core.fault import Fault
from assay.core.places import Places, find_places
from assay.diff.production import copy_warehouse
from assay.lake.as_of import find_as_of
from assay.lake.catalog import compact, tag_snapshot
from assay.project import dbt_run
from assay.project.lake import find_changed_types, is_lake, prepare_lake
from assay.project.lake_builds import find_build
from assay.project.products import Products
from assay.project.project import _warehouse_of_profile
from assay.project.warehouse import connect, connect_published, opened
from assay.training.store import read_version

_HISTORY = """
{{ windowed_history(
    ref('fct_lines'),
    entity_keys=['product_id'],
    event_at='event_at',
    available_at='available_at',
    measures={'quantity': ['sum', 'max']},
    windows=['7d']
) }}
"""
_ADDED = """
{{ config(materialized='incremental', contract={'enforced': false}) }}
select order_line_id, available_at from {{ ref('fct_lines') }}
{% if is_incremental() %}
where available_at > (select max(available_at) from {{ this }})
{% endif %}
"""
_ADDED_BY_PYTHON = """
def model(dbt, session):
    dbt.config(materialized="incremental", on_schema_change="fail")
    rows = f"({dbt.ref('slv_order_lines').sql_query()}) as lines"
    if dbt.is_incremental:
        rows += f" where order_line_id not in (select order_line_id from {dbt.this})"
    return session.sql(f"select order_line_id, quantity from {rows}").to_arrow_table()
"""
_SNAPSHOT = """
{% snapshot snp_products %}
{{ config(strategy='timestamp', unique_key='product_id', updated_at='changed_at', hard_deletes='ignore') }}
select product_id, arg_max(quantity, event_at) as quantity, max(event_at) as changed_at
from {{ ref('slv_order_lines') }}
group by all
{% endsnapshot %}
"""
_SHAPES = """
select
    order_line_id,
    product_id,
    [quantity, null, 1]::float[3] as shape,
    {'a': [[quantity, 2]::double[2]]} as nested,
    available_at
from {{ ref('fct_lines') }}
-- What follows a comment is SQL too.
"""
_SHARES = """
{{ config(materialized='view', contract={'enforced': false}) }}
select order_line_id, quantity * 1e-1 as share, 0.1e0 + 0.2e0 as third, 7. as whole
from {{ ref('fct_lines') }}
"""
_LAST_SHAPES = """
{{ change_history(
    ref('fct_shapes'),
    entity_keys=['product_id'],
    available_at='available_at',
    columns=['shape'],
    change_order='order_line_id'
) }}
"""
_LISTED = """
{{ config(contract={'enforced': false}) }}
select order_line_id, [1, 2]::float[2] as listed from {{ ref('fct_lines') }}
"""
_MODELS = """
models:
  - name: trn_lines
    constraints: [{type: primary_key, columns: [order_line_id]}]
    columns:
      - {name: order_line_id, data_type: varchar}
      - {name: shape, data_type: "float[3]"}
  - name: fct_shapes
    constraints: [{type: primary_key, columns: [order_line_id]}]
    columns:
      - {name: order_line_id, data_type: varchar}
      - {name: product_id, data_type: varchar}
      - {name: shape, data_type: "float[3]"}
      - {name: nested, data_type: "struct(a double[2][])"}
      - {name: available_at, data_type: timestamp}
  - name: fct_listed
    columns: [{name: listed, data_type: "float[3]"}]
  - name: ftr_product__shape
    config: {materialized: history}
    columns:
      - {name: product_id, data_type: varchar}
      - {name: shape, data_type: "float[3]"}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
  - name: ftr_product__lines
    constraints: [{type: primary_key, columns: [product_id, valid_from]}]
    columns:
      - {name: product_id, data_type: varchar}
      - {name: quantity_sum_7d, data_type: hugeint}
      - {name: quantity_max_7d, data_type: integer}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
"""
_BROKEN = {
    "key": ("primary_key, columns: [quantity]", "select 1 as quantity from range(2)"),
    "null": ("primary_key, columns: [quantity]", "select null::integer as quantity"),
    "unique": ("unique, columns: [quantity]", "select unnest([7, 7, null, null]) as quantity"),
    "check": ("check, expression: quantity > 0", "select unnest([0, 1, null]) as quantity"),
    "long": ("unique, columns: [quantity]", "select [1, 2, 3, 4]::float[] as quantity"),
    "kept": ("unique, columns: [quantity]", "select unnest([1, 2, null, null]) as quantity"),
}


def on_lake(project: SmallProject) -> SmallProject:
    return SmallProject(project.root, {"ASSAY_TARGET": "lake"})


def catalog_of(project: SmallProject) -> Path:
    return project.root / "data" / "lake" / "assay.sqlite"


def write_twins(root: Path) -> SmallProject:
    """Write the small project with a corpus and all that grows: histories, a snapshot, added rows."""
    project = make_small_project(root)
    add_corpus(project)
    gold = root / "models" / "own" / "gold"
    (gold / "ftr_product__lines.sql").write_text(_HISTORY)
    (gold / "_more__models.yml").write_text(_MODELS)
    (gold / "fct_added.sql").write_text(_ADDED)
    (gold / "fct_shapes.sql").write_text(_SHAPES)
    (gold / "trn_lines.sql").write_text("select order_line_id, shape from {{ ref('fct_shapes') }}")
    (gold / "fct_listed.sql").write_text(_LISTED)
    (gold / "fct_shares.sql").write_text(_SHARES)
    (gold / "ftr_product__shape.sql").write_text(_LAST_SHAPES)
    (root / "models" / "own" / "silver").mkdir()
    (root / "models" / "own" / "silver" / "slv_added.py").write_text(_ADDED_BY_PYTHON)
    (root / "snapshots" / "own").mkdir(parents=True)
    (root / "snapshots" / "own" / "snp_products.sql").write_text(_SNAPSHOT)
    return project


def make_twins(root: Path) -> SmallProject:
    """Build that project as a file and as a lake; then land a day, and build both."""
    project = write_twins(root)
    for _ in range(2):
        for each in (project, on_lake(project)):
            build = each.assay("build")
            assert build.exit_code == 0, build.output
        project.land(9, *range(1, 30))
    return project


@pytest.fixture(scope="module")
def twins(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return SmallProject(built_once(tmp_path_factory, "lake_twins", make_twins))


def test_all_of_a_lake_is_equal_to_a_file(twins: SmallProject) -> None:
    of_file, of_lake = (
        contents(twins.warehouse, as_in_lake=True),
        contents(catalog_of(twins), as_in_lake=True),
    )
    assert {
        *("gold.ftr_product__lines", "gold.fct_added", "gold.fct_shares", "silver.slv_added"),
        *("snapshots.snp_products", "landing.files"),
    } <= {*of_file}
    # dbt-duckdb leaves the new rows of a model in Python in a file.
    of_file = {name: held for name, held in of_file.items() if "__dbt_tmp" not in name}
    # Fingerprints are hashes of vectors in a file, and of lists in a lake.
    for found in (of_file, of_lake):
        del found["gold.ftr_product__shape__input"]
    assert of_lake == of_file
    assert contents(catalog_of(twins).parent / "published" / "assay.duckdb") == contents(twins.published)


def test_vectors_of_one_length_are_published_by_a_lake(twins: SmallProject) -> None:
    with connect_published(catalog_of(twins).parent / "published" / "assay.duckdb") as connection:
        found = connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where data_type similar to '.*\\[\\d+\\].*' and database_name = 'found' order by all"
        ).fetchall()
    # What the YAML declares for `listed` is not enforced: its rows say how long they are.
    assert found == [
        ("fct_listed", "listed", "FLOAT[2]"),
        ("fct_shapes", "nested", "STRUCT(a DOUBLE[2][])"),
        ("fct_shapes", "shape", "FLOAT[3]"),
        ("ftr_product__shape", "shape", "FLOAT[3]"),
        ("trn_lines", "shape", "FLOAT[3]"),
    ]


def test_sums_of_whole_numbers_are_published_by_a_lake_as_declared(twins: SmallProject) -> None:
    kept = "select typeof(quantity_sum_7d) from gold.ftr_product__lines limit 1"
    published = catalog_of(twins).parent / "published" / "assay.duckdb"
    assert twins.query(kept, file=catalog_of(twins)) == [("DECIMAL(38,0)",)]
    assert twins.query(kept, file=published) == twins.query(kept) == [("HUGEINT",)]


def test_lists_of_two_lengths_are_not_published_as_vectors(tmp_path: Path) -> None:
    catalog, target = tmp_path / "shop.sqlite", tmp_path / "published" / "shop.duckdb"
    products = Products({"embedded": "embedded"}, restored={"embedded": {"vector": "float[2]"}})
    with connect(catalog, read_only=False) as connection:
        connection.execute("create schema gold; create table gold.embedded (vector float[])")
        connection.execute("insert into gold.embedded values ([1, 2, 3]), (null)")
    publish(catalog, target, products)
    with connect_published(target) as connection:
        assert connection.table("gold.embedded").types == ["FLOAT[3]"]
        assert connection.execute("select * from gold.embedded order by all").fetchall() == [
            ((1.0, 2.0, 3.0),),
            (None,),
        ]
    with connect(catalog, read_only=False) as connection:
        connection.execute("insert into gold.embedded values ([1, 2])")
    with pytest.raises(Fault, match=r"gold.*embedded.*cannot be published.*length 3"):
        publish(catalog, target, products)


def test_columns_are_published_as_declared_only_where_a_lake_has_changed_their_type(tmp_path: Path) -> None:
    catalog, target = tmp_path / "shop.sqlite", tmp_path / "published" / "shop.duckdb"
    declared = {
        **{"vector": "hugeint[2]", "named": "int128", "spaced": "float array[ 2 ]"},
        # YAML that is not enforced may say what is not so.
        **{"price": "hugeint", "fine": "float[2]"},
    }
    with connect(catalog, read_only=False) as connection:
        connection.execute("create schema gold")
        connection.execute(
            "create table gold.sums as select [1, 2]::decimal(38, 0)[] as vector, 3::decimal(38) as named, "
            "[1, 2]::float[] as spaced, 1.5::decimal(9, 2) as price, [0.1, 0.2]::double[] as fine"
        )
    publish(catalog, target, Products({"sums": "sums"}, restored={"sums": declared}))
    with connect_published(target) as connection:
        assert connection.table("gold.sums").types == [
            *("HUGEINT[2]", "HUGEINT", "FLOAT[2]", "DECIMAL(9,2)", "DOUBLE[2]")
        ]
        assert str(connection.execute("select price from gold.sums").fetchall()[0][0]) == "1.50"


def newest_snapshot(lake: SmallProject) -> int:
    with connect(catalog_of(lake)) as connection:
        [(number,)] = connection.execute(
            "select max(snapshot_id) from ducklake_snapshots('assay')"
        ).fetchall()
    return int(number)


def test_a_version_of_a_training_set_tells_the_snapshot_of_its_lake(
    twins: SmallProject, tmp_path: Path
) -> None:
    lake = on_lake(SmallProject(Path(shutil.copytree(twins.root, tmp_path / "copy"))))
    newest = newest_snapshot(lake)
    created = lake.assay("training-set", "create", "trn_lines")
    assert created.exit_code == 0, created.output
    assert f"Snapshot      {newest} of the lake" in lake.assay("training-set", "show", "trn_lines").output
    listed = lake.assay("training-set", "list").output
    assert "snapshot" in listed
    assert f" {newest} " in listed
    [folder] = (catalog_of(lake).parent / "training_sets").glob("trn_lines@*")
    version = read_version(folder)
    assert version.manifest.lake_snapshot == newest
    assert f"and snapshot {newest} of the lake" in str(Card(version))
    of_file = SmallProject(lake.root)
    assert of_file.assay("training-set", "create", "trn_lines").exit_code == 0
    assert "napshot" not in of_file.assay("training-set", "show", "trn_lines").output
    assert "snapshot" not in of_file.assay("training-set", "list").output


@pytest.fixture(scope="module")
def later_lake(twins: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The lake with one build more; what it was before has the name `before`. Only to read and to copy."""
    copy = shutil.copytree(twins.root, tmp_path_factory.mktemp("later_lake") / "copy")
    lake = on_lake(SmallProject(Path(copy)))
    succeed(lake, "lake", "tag", "before")
    lake.land(10, *range(1, 5))
    succeed(lake, "build")
    return lake


def test_a_version_is_made_of_the_rows_of_a_snapshot(
    twins: SmallProject, later_lake: SmallProject, tmp_path: Path
) -> None:
    lake = on_lake(SmallProject(Path(shutil.copytree(later_lake.root, tmp_path / "copy"))))
    versions = catalog_of(lake).parent / "training_sets"
    # In its second build, training sets waited, and are as the first one left them.
    waiting = newest_snapshot(on_lake(twins))
    build = find_build(catalog_of(lake), waiting)
    assert (build.snapshot, build.waiting["trn_lines"] < waiting) == (waiting, True)
    before = create(lake, "trn_lines", "--as-of", str(waiting))
    assert read_version(versions / before).manifest.lake_snapshot == build.waiting["trn_lines"]
    whole = newest_snapshot(lake)
    after = create(lake)
    assert before != after
    shutil.rmtree(versions / before)
    # Rows of the snapshot, though the newest are others.
    assert create(lake, "trn_lines", "--as-of", "before") == before
    assert create(lake, "trn_lines", "--as-of", str(whole)) == after
    assert read_version(versions / after).manifest.lake_snapshot == whole
    part = lake.assay("training-set", "create", "trn_lines", "--as-of", str(whole - 1))
    told = " ".join(part.output.split())
    assert part.exit_code == 2
    assert f"Snapshot {whole - 1} of the lake is not what a build has left that passed" in told
    assert f"The nearest that are: {waiting} and {whole}." in told
    succeed(lake, "lake", "compact")
    succeed(lake, "lake", "expire", "--older-than", "0s")
    shutil.rmtree(versions / after)
    told = succeed(lake, "training-set", "create", "trn_lines")
    assert (after in told, "afresh" in told) == (True, False)
    assert read_version(versions / after).manifest.lake_snapshot == newest_snapshot(lake) > whole
    gone = lake.assay("training-set", "create", "trn_lines", "--as-of", str(whole))
    assert gone.exit_code == 2
    assert f"Snapshot {whole} of the lake is expired" in " ".join(gone.output.split())
    assert create(lake, "trn_lines", "--as-of", "before") == before


def test_a_corpus_is_made_of_the_rows_of_a_snapshot(
    twins: SmallProject, later_lake: SmallProject, tmp_path: Path
) -> None:
    lake = on_lake(SmallProject(Path(shutil.copytree(later_lake.root, tmp_path / "copy"))))
    versions, newest = catalog_of(lake).parent / "training_sets", newest_snapshot(lake)
    told = succeed(lake, "corpus", "create", CORPUS, "--format", "instruct", "--out", "newest")
    after = read_version(next(versions.glob(f"{CORPUS}@*"))).manifest
    # Training sets may wait for their time; a corpus is as the newest build left it all the same.
    assert (after.lake_snapshot, "afresh" in told) == (newest, False)
    before = read_version(versions / create_corpus(lake, "before", "--as-of", "before")).manifest
    assert before.lake_snapshot == newest_snapshot(on_lake(twins)) < newest
    assert (before.corpus.read, after.corpus.read) == (2 * (4 + 29), 2 * (4 + 29 + 4))
    assert before.code == after.code
    assert "file evaluation.jsonl" in before.code
    # The same rows as those of a file that has not gone on.
    file = SmallProject(Path(shutil.copytree(twins.root, tmp_path / "file")))
    assert create_corpus(file, "out") == before.version
    lines = f"{CORPUS}-00000-of-00001.jsonl"
    assert (file.root / "out" / lines).read_bytes() == (lake.root / "before" / lines).read_bytes()
    part = lake.assay(
        *("corpus", "create", CORPUS, "--format", "instruct", "--out", "part", "--as-of", str(newest - 1))
    )
    assert part.exit_code == 2
    assert f"Snapshot {newest - 1} of the lake is not what a build has left" in " ".join(part.output.split())
    # Who is known by a column today, is not kept of what was built before.
    yaml = lake.root / "models" / "own" / "gold" / "_corpora__models.yml"
    declared = "name: response, data_type: varchar"
    yaml.write_text(yaml.read_text().replace(declared, f"{declared}, meta: {{pii: masked}}"))
    personal = lake.assay(
        *("corpus", "create", CORPUS, "--format", "instruct", "--out", "personal", "--as-of", "before")
    )
    assert personal.exit_code == 2
    assert "column response is declared personal" in " ".join(personal.output.split())


def test_what_is_no_snapshot_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(tmp_path / "landing", tmp_path / "shop.sqlite")
    connect(places.warehouse, read_only=False).close()
    tag_snapshot(places, "first")
    assert find_as_of(places, "first") == find_as_of(places, "0") == find_as_of(places, 0) == (None, 0)
    assert find_as_of(places, "2025-01-03") == (datetime(2025, 1, 3), None)
    with pytest.raises(Fault, match=r"--as-of second is neither a time.*Names there are: first\."):
        find_as_of(places, "second")
    with pytest.raises(Fault, match=r"no snapshot 7 of the lake yet; the newest is 0"):
        find_as_of(places, "7")
    with pytest.raises(Fault, match=r"cannot be the name"):
        tag_snapshot(places, "2025-01-03")
    in_file = Places(tmp_path / "landing", tmp_path / "shop.duckdb")
    with pytest.raises(Fault, match=r"--as-of first is not a time.*is one file, which has no snapshots"):
        find_as_of(in_file, "first")


def test_tables_of_a_lake_lie_in_files_of_parquet(twins: SmallProject) -> None:
    files = {each.parent.name for each in catalog_of(twins).with_suffix(".files").rglob("*.parquet")}
    assert "ftr_product__lines" in files


def test_a_lake_in_which_nothing_has_changed_is_left_as_it_is(twins: SmallProject, tmp_path: Path) -> None:
    copy = SmallProject(Path(shutil.copytree(twins.root, tmp_path / "copy")))
    copy.land(10, 1)
    lake = on_lake(copy)
    assert lake.assay("build").exit_code == 0
    before = contents(catalog_of(copy))
    for command in ("tag now", "compact", "expire --older-than 0s"):
        done = lake.assay("lake", *command.split())
        assert done.exit_code == 0, done.output
    idle = lake.assay("build")
    assert (idle.exit_code, "othing to build" in idle.output) == (0, True), idle.output
    assert contents(catalog_of(copy)) == before


def test_a_lake_keeps_the_promises_of_contracts(twins: SmallProject, tmp_path: Path) -> None:
    copy = SmallProject(Path(shutil.copytree(twins.root, tmp_path / "copy")))
    gold = copy.root / "models" / "own" / "gold"
    described = "models:\n"
    for name, (constraint, sql) in _BROKEN.items():
        (gold / f"fct_{name}.sql").write_text(sql)
        described += (
            f"  - name: fct_{name}\n    constraints: [{{type: {constraint}}}]\n"
            f"    columns: [{{name: quantity, data_type: '{'float[3]' if name == 'long' else 'integer'}'}}]\n"
        )
    (gold / "fct_times.sql").write_text("select [interval 1 day] as times, 1 as a")
    columns = "[{name: times, data_type: 'interval[]'}, {name: a, data_type: integer}]"
    described += f"  - name: fct_times\n    columns: {columns}\n"
    (gold / "fct_fine.sql").write_text("select '10:00:00.000000001'::time_ns as at")
    described += "  - name: fct_fine\n    columns: [{name: at, data_type: time_ns}]\n"
    (gold / "fct_one_of.sql").write_text(
        "{{ config(contract={'enforced': false}) }} select {'BIT': 1, 'of': ['a'::enum('a', 'b')]} as one"
    )
    (gold / "fct_named.sql").write_text("select 7::hugeint as big, [1, 2]::float[2] as shape")
    columns = "[{name: big, data_type: int128}, {name: shape, data_type: 'float array[2]'}]"
    described += f"  - name: fct_named\n    columns: {columns}\n"
    (gold / "_broken__models.yml").write_text(described)
    names = [*_BROKEN, "times", "fine", "one_of", "named"]
    build = on_lake(copy).assay("build", "--select", " ".join(f"fct_{name}" for name in names))
    told = " ".join(build.output.split())
    assert build.exit_code == 1
    assert "fct_key: its contract is broken: 1 value of quantity stand" in told
    assert "fct_null: its contract is broken: 1 value of quantity" in told
    assert "fct_unique: its contract is broken: 1 value of quantity stand" in told
    assert "fct_check: its contract is broken: 1 value break" in told
    assert "fct_long: its contract is broken: 1 value of quantity are not of the length of float[3]" in told
    assert "fct_times: its column times is INTERVAL[], which a lake would change" in told
    # DuckDB itself would end the process.
    assert "fct_fine: its column at is TIME_NS, which a lake has no type for" in told
    assert "fct_one_of: its column one is STRUCT(" in told
    there = {each.removeprefix("gold.fct_") for each in contents(catalog_of(copy))}
    assert there & {*names} == {"kept", "named"}


def test_a_table_of_a_lake_follows_its_declaration(twins: SmallProject, tmp_path: Path) -> None:
    copy = SmallProject(Path(shutil.copytree(twins.root, tmp_path / "copy")))
    gold = copy.root / "models" / "own" / "gold"
    described, model = gold / "_gold__models.yml", gold / "fct_lines.sql"
    before = described.read_text()

    def run(text: str) -> tuple[int, list[tuple]]:  # type: ignore[type-arg]
        described.write_text(text)
        done = on_lake(copy).dbt("run", "--select", "fct_lines")
        with connect(catalog_of(copy)) as connection:
            found = connection.execute(
                "select comment, data_type, is_nullable from duckdb_columns() where "
                "(schema_name, table_name) = ('gold', 'fct_lines') "
                "and column_name in ('order_line_id', 'quantity') order by data_type"
            ).fetchall()
        return done.returncode, found

    column = "name: quantity\n        data_type: integer\n"
    wider = column.replace("integer", "bigint") + "        constraints: [{type: not_null}]\n"
    assert {column in before, "Hash of the line." in before} == {True}
    of_key = ("Hash of the line.", "VARCHAR", True)
    assert run(before.replace(of_key[0], "Its hash.")) == (
        0,
        [(None, "INTEGER", True), ("Its hash.", *of_key[1:])],
    )
    of_integers = model.read_text()
    model.write_text(of_integers.replace("quantity", "quantity::bigint as quantity"))
    assert run(before.replace(column, wider)) == (0, [(None, "BIGINT", False), of_key])
    model.write_text(of_integers)
    assert run(before) == (0, [(None, "INTEGER", True), of_key])
    # Rows that break a promise do not take the place of those that are there.
    held = contents(catalog_of(copy))["gold.fct_lines"]
    model.write_text(of_integers + "union all" + of_integers)
    keyed = "    constraints: [{type: primary_key, columns: [order_line_id]}]\n    columns:"
    assert run(before.replace("    columns:", keyed, 1)) == (1, [(None, "INTEGER", True), of_key])
    assert contents(catalog_of(copy))["gold.fct_lines"] == held


def test_statistics_that_count_deleted_rows_do_not_grow_for_ever() -> None:
    may_keep = Macros()._may_keep_definition
    of_rows = {rows: may_keep({"held": rows, "counted": rows}) for rows in (0, 100_000, 100_001)}
    assert of_rows == {0: "True", 100_000: "True", 100_001: "False"}
    of_deleted = {counted: may_keep({"held": 500, "counted": counted}) for counted in (3000, 3001)}
    assert of_deleted == {3000: "True", 3001: "False"}


@pytest.mark.parametrize(
    "numbers",
    [
        "1e0, 1E-3::float, -1.e2, .5e+1, 1_0.5_0e1_0, [0.1e0], {'k': 1e15}, 0.5 * 1e0",
        f"0.{'1' * 38}, .{'1' * 38}, {'1' * 38}.5, 1_234567.{'1' * 33}, 1., 12. / 5, 1_000.",
        "'it''s 1e0', E'\\'1e0', $$1e0$$, $a$ 1e0 $$ $a$, \"1e0\", t1e0, i.e1 -- 1e0\n, 1 /* 1e0\n */, 0x1e1",
    ],
)
def test_numbers_of_a_view_stay_what_they_are(numbers: str, tmp_path: Path) -> None:
    view = Macros(adapter=SimpleNamespace(is_ducklake=bool))._view_of_lake
    relation = "(select 1 as \"1e0\", 2 as t1e0, {'e1': 3} as i)"
    of_file = f"select columns(*)::varchar, typeof(columns(*)) from (select {numbers} from {relation})"
    with duckdb.connect() as file, connect(tmp_path / "shop.sqlite", read_only=False) as lake:
        lake.execute(f"create view numbers as {view('of a lake', of_file)}")
        assert lake.execute("from numbers").fetchall() == file.execute(of_file).fetchall()


@pytest.mark.parametrize(
    "data_type", ["hugeint", "uhugeint[]", "struct(a interval)", "map(varchar, time with time zone)"]
)
def test_a_type_that_parquet_changes_is_refused_by_name(data_type: str, tmp_path: Path) -> None:
    with connect(tmp_path / "shop.sqlite", read_only=False) as connection:
        connection.execute(
            "create table sales (id bigint, sold_at timestamp with time zone, hugeint varchar)"
        )
        connection.execute(f"create view seen as select null::{data_type} as odd")
        connection.execute(f"create table more (id bigint, odd {data_type})")
        connection.execute(f"create table of_a_model_that_has_gone (odd {data_type})")
        [found] = find_changed_types(connection, {("main", name) for name in ("sales", "seen", "more")})
        assert found.startswith("main.more: column odd of ")


def test_a_connection_to_a_lake_loads_nothing_else_that_is_not_signed(tmp_path: Path) -> None:
    [found] = Path(find_spec("duckdb_extension_fts").origin).parent.rglob("fts.duckdb_extension")
    content = bytearray(found.read_bytes())
    content[-10] ^= 1
    (tmp_path / "fts.duckdb_extension").write_bytes(content)
    connect(tmp_path / "shop.sqlite", read_only=False).close()
    with opened(tmp_path / "shop.sqlite") as other, connect(tmp_path / "shop.sqlite") as connection:
        for each in (other, connection):
            with pytest.raises(duckdb.Error, match="signature"):
                each.load_extension(str(tmp_path / "fts.duckdb_extension"))


def test_a_lake_is_told_by_its_name() -> None:
    assert [is_lake(Path(name)) for name in ("data/assay.sqlite", "data/assay.duckdb", "lake")] == [
        True,
        False,
        False,
    ]


def test_a_project_knows_that_its_warehouse_is_a_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt_project.yml").write_text("profile: assay")
    shutil.copy(PROJECT / "profiles.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("ASSAY_WAREHOUSE", "ASSAY_LAKE_CATALOG", "DBT_TARGET", "DBT_PROFILES_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_TARGET", "lake")
    for path, warehouse in ((":memory:", "data/lake/assay.sqlite"), ("data/own.duckdb", "data/own.duckdb")):
        config = SimpleNamespace(credentials=SimpleNamespace(path=path))
        monkeypatch.setattr(FACTORY, "adapters", {"duckdb": SimpleNamespace(config=config)})
        # Parity and joins attach what is published under its name.
        assert _warehouse_of_profile() == Path(warehouse)


def test_a_lake_is_named_by_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").write_text("profile: assay")
    shutil.copy(PROJECT / "profiles.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("ASSAY_WAREHOUSE", "ASSAY_LAKE_CATALOG", "DBT_TARGET", "DBT_PROFILES_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert find_places().warehouse == Path("data/assay.duckdb")
    monkeypatch.setenv("ASSAY_TARGET", "lake")
    assert find_places().warehouse == Path("data/lake/assay.sqlite")
    monkeypatch.setenv("ASSAY_LAKE_CATALOG", "/shared/shop.sqlite")
    assert find_places().warehouse == Path("/shared/shop.sqlite")
    monkeypatch.setenv("ASSAY_LAKE_CATALOG", "postgres:host=shop")
    assert find_places().warehouse == Path("data/lake/assay.postgres")
    monkeypatch.setenv("ASSAY_LAKE_CATALOG", "mysql:host=shop")
    with pytest.raises(Fault, match=r"mysql:host=shop.*ends with \.sqlite"):
        find_places()
    monkeypatch.setenv("ASSAY_WAREHOUSE", "data/own.duckdb")
    with pytest.raises(Fault, match=r"own\.duckdb.*unset one"):
        find_places()


def test_a_lake_may_be_moved_with_its_files(tmp_path: Path) -> None:
    catalog = tmp_path / "here" / "shop.sqlite"
    with connect(catalog, read_only=False) as connection:
        connection.execute("create table sales as select * from range(100)")
        assert connection.execute("select current_database()").fetchall() == [("shop",)]
    moved = Path(shutil.move(catalog.parent, tmp_path / "there")) / "shop.sqlite"
    with connect(moved) as connection:
        assert connection.execute("select count(*) from sales").fetchall() == [(100,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("insert into sales values (1)")


def test_files_of_a_lake_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = tmp_path / "shop.sqlite"
    monkeypatch.setenv("ASSAY_LAKE_DATA", str(tmp_path / "else where"))
    with connect(catalog, read_only=False) as connection:
        connection.execute("create table sales as select * from range(100)")
    assert list((tmp_path / "else where" / "shop").rglob("*.parquet"))
    monkeypatch.setenv("ASSAY_LAKE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(Fault, match=r"shop\.sqlite has its Parquet files in another place than .*nowhere"):
        connect(catalog, read_only=False)
    # Who forgets the variable is told, and reads no empty lake.
    monkeypatch.delenv("ASSAY_LAKE_DATA")
    with pytest.raises(Fault, match="name that place in ASSAY_LAKE_DATA"):
        connect(catalog)
    monkeypatch.setenv("ASSAY_LAKE_DATA", "gs://bucket")
    with pytest.raises(Fault, match="gs://bucket"):
        connect(catalog)


def test_a_lake_is_not_built_where_people_want_it_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", "k" * 40)
    with pytest.raises(Fault, match="ASSAY_ENCRYPTION_KEY"):
        connect(tmp_path / "shop.sqlite", read_only=False)
    assert not (tmp_path / "shop.sqlite").exists()


def test_a_lake_says_how_its_files_are_written(tmp_path: Path) -> None:
    """Files of version 2 cost half as much to read; who has chosen another keeps it."""
    catalog = tmp_path / "shop.sqlite"
    with connect(catalog, read_only=False) as connection:
        connection.execute(
            "create table sales as select i // 3 as id, 'thing' || i as name from range(5000) r(i)"
        )
        [(data,)] = connection.execute(
            "select data_file from ducklake_list_files('shop', 'sales')"
        ).fetchall()
        written = "select distinct compression, encodings from parquet_metadata($1) order by all"
        assert connection.execute(written, [data]).fetchall() == [
            ("LZ4_RAW", "DELTA_BINARY_PACKED"),
            ("LZ4_RAW", "DELTA_LENGTH_BYTE_ARRAY"),
        ]
        connection.execute("call shop.set_option('parquet_version', '1')")
    prepare_lake(catalog)
    with connect(catalog, read_only=False) as connection:
        found = connection.execute(
            "select value from ducklake_options('shop') where option_name = 'parquet_version'"
        )
        assert found.fetchall() == [("V1",)]


def test_a_file_that_is_no_catalog_is_told(tmp_path: Path) -> None:
    catalog = tmp_path / "shop.sqlite"
    catalog.write_text(
        "no database, but a text that is as long as a header of SQLite is, and longer than that." * 9
    )
    with pytest.raises(Fault, match=r"shop\.sqlite"):
        connect(catalog, read_only=False)
    with pytest.raises(Fault, match=r"shop\.sqlite"):
        connect(catalog)


@pytest.mark.parametrize("content", ["", "no database, but a text as long as a header of SQLite " * 9])
def test_a_file_that_is_no_catalog_is_told_by_what_reads_the_catalog_alone(
    content: str, tmp_path: Path
) -> None:
    places = Places(tmp_path / "landing", tmp_path / "shop.sqlite")
    places.warehouse.write_text(content)
    for command in (
        lambda: tag_snapshot(places, "first"),
        lambda: compact(places),
        lambda: find_as_of(places, "7"),
    ):
        with pytest.raises(Fault, match=r"The lake .*shop\.sqlite cannot be opened"):
            command()


def test_a_database_of_sqlite_that_is_no_lake_is_told(tmp_path: Path) -> None:
    catalog = tmp_path / "shop.sqlite"
    with sqlite3.connect(catalog) as connection:
        connection.execute("create table sales (id integer)")
    for read_only in (True, False):
        with pytest.raises(Fault, match=r"shop\.sqlite"):
            connect(catalog, read_only=read_only)
    with sqlite3.connect(catalog) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("sales",)]


@pytest.mark.parametrize("name", ["assay.sqlite", "assay@2025-01-03T00-00-00.sqlite"])
def test_dbt_builds_into_the_lake_that_it_is_given(name: str, tmp_path: Path) -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.adapters.duckdb.environments import create

    catalog = tmp_path / name
    with dbt_run._profile_opens(catalog, {}):
        opened = DuckDBCredentials.from_dict({"schema": "main", "path": "data/assay.duckdb"})
    assert (opened.path, opened.database, opened._ducklake_dbs) == (":memory:", catalog.stem, {catalog.stem})
    environment = create(opened)
    try:
        cursor = environment.handle().cursor()
        cursor.execute("create table sales as select 1 as pieces")
        cursor.execute("select current_database(), * from sales")
        assert cursor.fetchall() == [(catalog.stem, 1)]
        cursor.execute("select current_setting('allow_unsigned_extensions')")
        assert cursor.fetchall() == [(False,)]
    finally:
        environment.close()


def test_a_file_is_built_beside_a_lake_that_is_only_read(tmp_path: Path) -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.adapters.duckdb.environments import create

    catalog, beside = tmp_path / "assay.sqlite", tmp_path / "beside.duckdb"
    with connect(catalog, read_only=False) as connection:
        connection.execute("create table sales as select range as pieces from range(1000)")
    with dbt_run._profile_opens(beside, {"assay": catalog}):
        opened = DuckDBCredentials.from_dict({"schema": "main", "path": "data/assay.duckdb"})
    environment = create(opened)
    try:
        cursor = environment.handle().cursor()
        cursor.execute("create table main.copied as select sum(pieces) from assay.main.sales")
        cursor.execute("select current_database(), * from copied")
        assert cursor.fetchall() == [("beside", 499_500)]
        with pytest.raises(duckdb.Error, match="read-only"):
            cursor.execute("insert into assay.main.sales values (1)")
    finally:
        environment.close()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_diff_works_on_a_lake_as_it_was_when_the_diff_began(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if elsewhere:
        monkeypatch.setenv("ASSAY_LAKE_DATA", str(tmp_path / "elsewhere"))
    catalog, folder = tmp_path / "assay.sqlite", tmp_path / "diff"
    with connect(catalog, read_only=False) as connection:
        connection.execute("create table sales as select range as pieces from range(1000)")
    folder.mkdir()
    with display_on(Console(quiet=True)) as display:
        copy = copy_warehouse(catalog, folder, display)
    with connect(catalog, read_only=False) as connection:
        connection.execute("create or replace table sales as select 7 as pieces from range(2000)")
    with connect(copy) as connection:
        assert connection.execute("select count(*), sum(pieces) from sales").fetchall() == [(1000, 499_500)]
    shutil.rmtree(folder)
    with connect(catalog) as connection:
        assert connection.execute("select count(*), sum(pieces) from sales").fetchall() == [(2000, 14_000)]
