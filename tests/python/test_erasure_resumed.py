"""An erasure that is killed at any step is ended by the next command, also where all is encrypted."""

from __future__ import annotations

import os
from dataclasses import replace
from unittest import mock

import pytest
from small_project import SmallProject
from test_erasure import OTHER, PERSON, Killed, files_with, land_people

from assay.core.encryption import VARIABLE
from assay.project.warehouse import connect

STEPS = (
    *("removal.note_forgotten", "carry_out._empty_files", "carry_out.rewrite_warehouse"),
    *("removal.rewrite_tables", "carry_out.erase_from_versions", "carry_out.begin_anew"),
    *("carry_out.remove_former", "carry_out.remove_former_in_bucket", "carry_out.write_exports_anew"),
    *("removal.forget_in_ledger", "carry_out.clean_store", "removal.forget_of_streams", "removal.find_texts"),
)


def tables_with(project: SmallProject, text: str) -> list[str]:
    """Return the tables of all files of DuckDB of a project in which a text stands, in any column."""
    found = []
    with mock.patch.dict(os.environ, project.settings):
        for file in sorted(project.root.rglob("*.duckdb")):
            if file.is_symlink():
                continue
            with connect(file) as connection:
                for schema, table in connection.execute(
                    "select schema_name, table_name from duckdb_tables() where not internal"
                ).fetchall():
                    [(count,)] = connection.execute(
                        f'select count(*) from "{schema}"."{table}" as rows '
                        "where contains(rows::varchar, $1)",
                        [text],
                    ).fetchall()
                    if count:
                        found.append(f"{file.name} {schema}.{table}")
    return found


def test_a_kill_at_any_step_is_mended_in_an_encrypted_project(project_as_built: SmallProject) -> None:
    project = replace(project_as_built, settings={VARIABLE: "k" * 44})
    land_people(project)
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    assert len(tables_with(project, PERSON)) >= 2
    for number, step in enumerate(STEPS):
        with (
            mock.patch("assay.erasure.carry_out._build", return_value="run"),
            mock.patch(f"assay.erasure.{step}", side_effect=Killed),
            pytest.raises(Killed),
        ):
            project.assay(*(["build"] if number else ["forget", f"customer={PERSON}"]))
    # In a process of its own, whose arguments dbt notes.
    with project.start("forget", f"customer={PERSON}") as process:
        said, errors = process.communicate()
    assert "Nothing is kept of" in errors, said + errors
    assert tables_with(project, PERSON) == []
    assert files_with(project.root, PERSON) == []
    assert len(tables_with(project, OTHER)) >= 2
    assert project.assay("status").exit_code == 0
