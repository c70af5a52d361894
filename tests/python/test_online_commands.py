"""Builds bring features online, and the commands tell what is there."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from small_project import MOST_PIECES, PROJECT, SmallProject, make_small_project

from assay.online.stores.sqlite import SqliteStore

pytestmark = pytest.mark.usefixtures("builds")

VIEW = "ftr_product__lines"
_FTR = """
{{ windowed_history(
    ref('fct_lines'),
    entity_keys=['product_id'],
    event_at='event_at',
    available_at='available_at',
    measures={'quantity': ['max', 'sum']},
    windows=['7d', 'all']
) }}
"""
_MODELS = """
models:
  - name: ftr_product__lines
    config:
      materialized: replaced
      meta:
        feature_view:
          entity: product
          keys: [product_id]
          online: true
          derived:
            - {name: doubled, type: integer, expression: quantity_max_all * 2}
    columns:
      - {name: product_id, data_type: varchar}
      - {name: quantity_max_7d, data_type: integer}
      - {name: quantity_max_all, data_type: integer}
      - {name: quantity_sum_7d, data_type: hugeint}
      - {name: quantity_sum_all, data_type: hugeint, config: {tags: [pii]}}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
  - name: srv_catalog
    config: {contract: {enforced: false}, meta: {reads: [online_views]}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project with a feature view that is online; to copy, not to change."""
    project = make_small_project(tmp_path_factory.mktemp("online") / "project")
    gold = project.root / "models" / "own" / "gold"
    (gold / f"{VIEW}.sql").write_text(_FTR)
    shutil.copy(PROJECT / "models" / "platform" / "gold" / "serving" / "srv_catalog.sql", gold)
    (gold / "_online__models.yml").write_text(_MODELS)
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout + build.stderr
    assert "Online     3 entities, 3 new or changed; feature views: 1" in build.stdout
    return project


@pytest.fixture
def project(built: SmallProject, tmp_path: Path) -> SmallProject:
    return SmallProject(Path(shutil.copytree(built.root, tmp_path / "project")))


def store_of(project: SmallProject) -> SqliteStore:
    return SqliteStore(project.root / "data" / "online.sqlite")


def held(project: SmallProject) -> dict[str, int]:
    return dict(store_of(project).versions(VIEW))


def edit(project: SmallProject, old: str, new: str) -> None:
    path = project.root / "models" / "own" / "gold" / "_online__models.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_build_writes_what_has_arrived_since_the_last(project: SmallProject) -> None:
    before = held(project)
    project.land(4, 9)
    build = project.assay("build")
    assert "Online     3 entities, 1 new or changed; feature views: 1" in build.stdout
    after = held(project)
    assert [key for key in after if before.get(key) != after[key]] == ["P0"]
    answer = project.assay("online", "get", "--view", VIEW, "--key", "P0", "--at", "2025-02-01")
    assert answer.exit_code == 0, answer.stderr
    found = [line.split() for line in answer.stdout.splitlines()]
    assert ["quantity_max_all", "9", "PRESENT"] in found
    assert ["quantity_max_7d", "-", "NULL_VALUE"] in found
    assert ["doubled", "18", "PRESENT"] in found


def test_a_build_that_fails_leaves_what_is_online(project: SmallProject) -> None:
    before = held(project)
    project.land(4, MOST_PIECES + 1)
    assert project.assay("build").exit_code == 1
    assert held(project) == before


def test_a_build_of_the_past_is_not_put_online(project: SmallProject) -> None:
    before = held(project)
    built = project.assay("build", "--as-of", "2025-01-02T12:00:00")
    assert built.exit_code == 0, built.stdout + built.stderr
    assert held(project) == before


def test_a_build_is_no_worse_for_a_store_that_is_away(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        SmallProject,
        "environment",
        property(lambda self: {"ASSAY_ONLINE_STORE": "redis://127.0.0.1:1/0", "COLUMNS": "100"}),
    )
    built = project.assay("build")
    assert built.exit_code == 0
    assert "Warning: The online store redis://127.0.0.1:1/0 cannot be" in built.stdout
    assert "To update it: assay online sync" in built.stdout
    assert "Published" in built.stdout


def test_personal_data_stays_offline_unless_the_view_says_otherwise(project: SmallProject) -> None:
    columns = f"select column_name from duckdb_columns() where table_name = 'srv_{VIEW}'"
    assert ("quantity_sum_all",) not in project.query(columns, file=project.published)
    assert "quantity_sum_all" not in store_of(project).catalog()[VIEW].columns
    edit(project, "online: true", "online: true\n          online_pii: true")
    assert project.assay("build").exit_code == 0
    assert ("quantity_sum_all",) in project.query(columns, file=project.published)
    assert "quantity_sum_all" in store_of(project).catalog()[VIEW].columns


def test_a_derived_feature_cannot_bring_personal_data_online(project: SmallProject) -> None:
    edit(project, "quantity_max_all * 2", "quantity_sum_all * 2")
    built = project.assay("build")
    assert built.exit_code == 1
    assert "the derived feature doubled of ftr_product__lines uses quantity_sum_all, which is tagged pii" in (
        " ".join(built.stdout.split())
    )


def test_a_view_that_is_taken_offline_leaves_the_catalog_and_the_store(project: SmallProject) -> None:
    edit(project, "online: true", "online: false")
    built = project.assay("build")
    assert built.exit_code == 0, built.stdout
    assert "Online     0 entities, 0 new or changed; feature views: 0" in built.stdout
    assert project.query("from gold.srv_catalog", file=project.published) == []
    tables = "select table_name from duckdb_tables() where starts_with(table_name, 'srv_')"
    assert project.query(tables, file=project.published) == [("srv_catalog",)]
    assert store_of(project).catalog() == {}


def test_status_tells_what_a_store_holds(project: SmallProject) -> None:
    told = project.assay("online", "status")
    assert told.exit_code == 0
    [line] = [line.split() for line in told.stdout.splitlines() if VIEW in line]
    assert line[:2] == [VIEW, "3"]
    assert "What is known is" in told.stdout
    empty = project.assay("online", "status", "--store", "sqlite:data/nothing.sqlite")
    assert empty.exit_code == 1
    assert "assay online sync" in empty.stderr


def test_sync_mends_a_store(project: SmallProject) -> None:
    before = held(project)
    with sqlite3.connect(project.root / "data" / "online.sqlite") as connection:
        connection.execute("delete from entities where key = 'P0'")
    synced = project.assay("online", "sync", "--view", VIEW)
    assert [VIEW, "3", "1", "0"] in [line.split() for line in synced.stdout.splitlines()]
    assert held(project) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("online", "sync", "--view", "ftr_x"),
            "ftr_x is no feature view that is online: there are ftr",
        ),
        (("online", "get", "--view", "ftr_x", "--key", "1"), "There is no feature view ftr_x online"),
        (
            ("online", "get", "--view", VIEW, "--key", "1", "--key", "2"),
            "has the keys product_id: give --key once for each",
        ),
        (("online", "get", "--view", VIEW, "--key", "1", "--at", "soon"), "'soon' is not a time"),
        (("online", "get", "--view", VIEW, "--key", "1", "--at", "2020-01-01"), "lies before"),
        (("online", "get", "--view", VIEW, "--key", "1", "--input", "x=1"), "has no input x: there are none"),
        (("online", "sync", "--store", "file:x"), "is no online store: write sqlite:PATH, redis"),
        (("online", "get", "--view", VIEW, "--key", "1", "--input", "x"), "--input x: write NAME=VALUE"),
        (("keys", "create", "shop", "--views", " , "), "--views names none"),
        (("keys", "create", "", "--views", "*"), "NAME is empty"),
        (("keys", "create", "shop", "--views", "ftr_x"), "There is no feature view ftr_x online: there are"),
        (("keys", "create", "shop", "--views", "*", "--expires", "2020-01-01"), "has passed"),
        (("keys", "revoke", "shop"), "shop has no valid key: there are none"),
    ],
)
def test_misuse_is_told(built: SmallProject, arguments: tuple[str, ...], message: str) -> None:
    ended = built.assay(*arguments)
    assert ended.exit_code == 2
    assert message in ended.stderr


def test_keys_are_made_listed_and_revoked(project: SmallProject) -> None:
    made = project.assay("keys", "create", "shop", "--views", f"{VIEW}, *", "--expires", "2099-01-01")
    key = made.stdout.strip()
    assert made.exit_code == 0
    assert key.startswith("assay_")
    assert "Authorization: Bearer KEY" in made.stderr
    listed = project.assay("keys", "list").stdout
    assert key not in listed
    assert f"{VIEW}, *" in listed
    assert "valid" in listed
    assert project.assay("keys", "revoke", "shop").exit_code == 0
    assert "revoked" in project.assay("keys", "list").stdout
