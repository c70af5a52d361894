"""The SQL of histories, rendered by dbt once, to run it on many inputs without dbt."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
from package_project import make_package_project

_CUT = "timestamp '1900-01-02 03:04:05'"
_STATEMENTS = """
{{{{ config(materialized='history') }}}}
{{%- set rows = assay.{call} -%}}
{{%- if execute -%}}
{{%- set history = graph.nodes[model.unique_id].assay_history -%}}
{{%- set statements = [
    rows,
    assay._fingerprints(history, 'definition'),
    assay._changed_spans('seen'),
    assay._touched(history, 'grown', "{cut}", false),
    assay._touched(history, 'grown', "{cut}", true),
    assay._replacement(history, 'grown', "{cut}"),
] -%}}
{{{{ tojson(statements) }}}}
{{%- endif -%}}
"""


@dataclass(frozen=True)
class RenderedHistory:
    """What the materialization `history` runs for a model, with the tables `grown` and `seen` as its memory.

    `rows` is the model's query; the others are the steps of an increment.
    """

    rows: str
    fingerprints: str
    changed_spans: str
    touched_by_new: str
    touched: str
    replacement: str

    def build(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(self.fingerprints)
        connection.execute(f"create or replace table grown as {self.rows}")
        connection.execute("create or replace table seen as from temp.assay_input")

    def grow(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(self.fingerprints)
        connection.execute(self.changed_spans)
        found = connection.execute(
            "select min(span_from)::varchar, bool_or(was_seen) from temp.assay_changed"
        ).fetchone()
        assert found is not None
        first, was_seen = found
        if first is not None:
            for statement in (self.touched if was_seen else self.touched_by_new, self.replacement):
                connection.execute(statement.replace(_CUT, f"timestamp '{first}'"))
        connection.execute("create or replace table seen as from temp.assay_input")


def render_histories(root: Path, calls: dict[str, str]) -> dict[str, RenderedHistory]:
    """Render calls of history macros, on the tables `events` and `versions`.

    Args:
        root: the folder to make a dbt project in.
        calls: by name, such as `change_history(source('plant', 'events'), ...)`.
    """
    project = make_package_project(root, models=False)
    for name in ("models", "seeds", "snapshots", "analyses", "tests"):
        shutil.rmtree(root / "dbt_packages" / "assay" / name)
    sources = [{"name": "plant", "schema": "main", "tables": [{"name": "events"}, {"name": "versions"}]}]
    (root / "models" / "_models__sources.yml").write_text(json.dumps({"sources": sources}))
    for name, call in calls.items():
        project.write_model(name, _STATEMENTS.format(call=call, cut=_CUT))
    run = project.dbt("compile")
    assert run.returncode == 0, run.stdout + run.stderr
    compiled = root / "target" / "compiled" / "workshop" / "models"
    found = {}
    for name in calls:
        statements = json.loads((compiled / f"{name}.sql").read_text())
        found[name] = RenderedHistory(*(text.replace('"workshop"."main".', "") for text in statements))
    return found
