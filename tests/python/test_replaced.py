"""What is `replaced` or a `replaced_view` takes the place of what had its name, or leaves it."""

from __future__ import annotations

import pytest
from package_project import PackageProject, make_package_project

pytestmark = pytest.mark.usefixtures("builds")

TABLE = "{{ config(materialized='replaced') }} select "
VIEW = "{{ config(materialized='replaced_view') }} select "


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    return make_package_project(tmp_path_factory.mktemp("replaced") / "project", models=False)


def _kinds(project: PackageProject) -> list[tuple[str, str]]:
    found = project.rows("select table_name, table_type from information_schema.tables order by 1")
    return [(str(row["table_name"]), str(row["table_type"])) for row in found]


def test_tables_and_views_take_the_place_of_each_other(project: PackageProject) -> None:
    for number, (first, second) in enumerate([(TABLE, VIEW), (VIEW, TABLE), (VIEW, TABLE)]):
        project.write_model("first", f"{first}{number} as a")
        project.write_model("second", f"{second}a from {{{{ ref('first') }}}}")
        project.build()
        kinds = {TABLE: "BASE TABLE", VIEW: "VIEW"}
        assert _kinds(project) == [("first", kinds[first]), ("second", kinds[second])]
        assert project.rows("select a from second") == [{"a": number}]


def test_what_fails_leaves_the_table_as_it_was(project: PackageProject) -> None:
    project.write_model("first", f"{TABLE}7 as a")
    project.write_model("second", f"{TABLE}a from {{{{ ref('first') }}}}")
    project.write_model("keyed", f"{TABLE}1 as a")
    project.build()
    project.write_model("first", f"{TABLE}error('unplugged') as a")
    project.write_model("second", f"{TABLE}a from {{{{ this }}}}")
    foreign = "contract={'enforced': true}"
    project.write_model("keyed", TABLE.replace(") }}", f", {foreign}) }}}}") + "1 as a")
    (project.root / "models" / "keyed.yml").write_text(
        "models: [{name: keyed, columns: [{name: a, data_type: integer, constraints: [{type: foreign_key, "
        "expression: first (a)}]}]}]\n"
    )
    run = project.dbt("build")
    assert run.returncode
    for told in (
        "unplugged",
        "second: materialized as replaced, it cannot read the table that it replaces",
        "keyed: DuckDB keeps tables of a foreign key from being replaced",
    ):
        assert told in run.stdout
    assert project.rows("select first.a, second.a as b, keyed.a as c from first, second, keyed") == [
        {"a": 7, "b": 7, "c": 1}
    ]
