"""The SQL of histories, rendered by dbt once, to run it on many inputs without dbt."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
from package_project import make_package_project

_FIRST, _FROM, _UNTIL, _CUT = (f"1900-01-02 03:04:0{second}" for second in range(4))
_PART = "hash(assay_touched) % 2 = 7"
_NEWS = "step > (select max(appended_until) from seen)"
_STATEMENTS = """
{{{{ config(materialized='history') }}}}
{{%- set rows = assay.{call} -%}}
{{%- if execute -%}}
{{%- set history = graph.nodes[model.unique_id].assay_history -%}}
{{%- set statements = [
    rows,
    assay._fingerprints(history, 'definition'),
    assay._changed_spans('seen'),
    assay._bounds_of_changes(),
    assay._touched(history, 'grown', '{first}', none, none),
    assay._touched(history, 'grown', '{first}', '{gone_from}', '{gone_until}'),
    assay._replacement(history, 'grown', '{part}', "timestamp '{cut}'"),
    assay._fingerprints(history, 'definition', 'seen', "{news}"),
    assay._changed_spans('seen', "{news}"),
    assay._touched(history, 'grown', '{first}', none, none, "{news}"),
] -%}}
{{{{ tojson(statements) }}}}
{{%- endif -%}}
"""


@dataclass(frozen=True)
class RenderedHistory:
    """What the materialization `history` runs for a model, with the tables `grown` and `seen` as its memory.

    `rows` is the model's query; the others are the steps of an increment, the last three where nothing but
    rows with a later `step` was added to `events`.
    """

    rows: str
    fingerprints: str
    changed_spans: str
    bounds_of_changes: str
    touched_by_new: str
    touched: str
    replacement: str
    fingerprints_with_news: str
    spans_of_news: str
    touched_by_news: str

    @property
    def tells_what_was_added(self) -> bool:
        return "appended_until" in self.fingerprints

    def build(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(self.fingerprints)
        connection.execute(f"create or replace table grown as {self.rows}")
        connection.execute("create or replace table seen as from temp.assay_input")

    def grow(self, connection: duckdb.DuckDBPyConnection, *, only_added: bool = False) -> None:
        connection.execute(self.fingerprints_with_news if only_added else self.fingerprints)
        connection.execute(self.spans_of_news if only_added else self.changed_spans)
        found = connection.execute(self.bounds_of_changes).fetchone()
        assert found is not None
        first, gone_from, gone_until = found
        assert not (only_added and gone_from)
        if first is not None:
            touched = self.touched if gone_from else self.touched_by_new
            touched = self.touched_by_news if only_added else touched
            for moment, told in ((_FIRST, first), (_FROM, gone_from), (_UNTIL, gone_until)):
                touched = touched.replace(moment, told or "")
            connection.execute(touched)
            for part in range(2):
                replacement = self.replacement.replace(_PART, f"hash(assay_touched) % 2 = {part}")
                connection.execute(replacement.replace(_CUT, first))
        connection.execute("create or replace table seen as from temp.assay_input")


def render_histories(
    root: Path, calls: dict[str, str], *, with_steps: bool = False
) -> dict[str, RenderedHistory]:
    """Render calls of history macros, on the tables `events` and `versions`.

    Args:
        root: the folder to make a dbt project in.
        calls: by name, such as `change_history(source('plant', 'events'), ...)`.
        with_steps: whether the events say, as their `step`, when they were added.
    """
    project = make_package_project(root, models=False)
    for name in ("models", "seeds", "snapshots", "analyses", "tests"):
        shutil.rmtree(root / "dbt_packages" / "assay" / name)
    events = {"name": "events", "config": {"meta": {"appended_at": "step"} if with_steps else {}}}
    sources = [{"name": "plant", "schema": "main", "tables": [events, {"name": "versions"}]}]
    (root / "models" / "_models__sources.yml").write_text(json.dumps({"sources": sources}))
    places = {
        "first": _FIRST,
        "gone_from": _FROM,
        "gone_until": _UNTIL,
        "cut": _CUT,
        "part": _PART,
        "news": _NEWS,
    }
    for name, call in calls.items():
        project.write_model(name, _STATEMENTS.format(call=call, **places))
    run = project.dbt("compile")
    assert run.returncode == 0, run.stdout + run.stderr
    compiled = root / "target" / "compiled" / "workshop" / "models"
    found = {}
    for name in calls:
        statements = json.loads((compiled / f"{name}.sql").read_text())
        found[name] = RenderedHistory(*(text.replace('"workshop"."main".', "") for text in statements))
    return found
