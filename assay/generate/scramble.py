"""How the search for leaks may change outcomes that stand in rows before anybody can know them."""

from __future__ import annotations

import re
from typing import Any

from assay.generate.gold import quote_column
from assay.project.conventions import CHECKED
from assay.project.graph import parent_ids
from assay.project.project import Project

_CALL = re.compile(r"checked_rows\(\s*'([^']+)',\s*'([^']+)'")


def find_scramble(project: Project, rows: Any, column: str, horizon: str) -> str | None:
    """Return SQL that changes landed outcomes which nobody can know at `{at}`; None where it cannot be told.

    Args:
        project: of the current folder.
        rows: a model of silver, the rows of one landing table that were kept.
        column: of the outcome.
        horizon: the interval, as SQL, after which it is known; its row is of no later time.
    """
    checked = [
        node
        for node in project.models
        if node.unique_id in parent_ids(rows) and node.name == rows.name + CHECKED
    ]
    called = _CALL.search(checked[0].raw_code) if checked else None
    source = project.landing_tables.get((called[1], called[2])) if called else None
    if source is None:
        return None
    landed = {name: _landed_as(name, checked[0].raw_code) for name in (column, "written_at")}
    outcome, written_at = landed[column], landed["written_at"]
    # What is not written as ISO 8601 has it, a cast does not read.
    if (
        not outcome
        or not written_at
        or written_at in (source.config.meta["landing"].get("time_formats") or {})
    ):
        return None
    return write_scramble_sql(f"landing.{quote_column(source.identifier)}", outcome, written_at, horizon)


def write_scramble_sql(table: str, outcome: str, written_at: str, horizon: str) -> str:
    """Return the statement, which puts another outcome of the table in the place of each."""
    value, at = quote_column(outcome), quote_column(written_at)
    others = f"from {table} where trim({value}) <> ''"
    return (
        f"update {table} set {value} = case when {value} = (select max({value}) {others}) "
        f"then (select min({value}) {others}) else (select max({value}) {others}) end "
        f"where trim({value}) <> '' and try_cast(trim({at}) as timestamp) + {horizon} > {{at}}"
    )


def _landed_as(column: str, code: str) -> str | None:
    """Return the landed column that a column of silver is made of, where it is of one alone."""
    found = re.search(rf"'{re.escape(column)}': (?:assay\.)?\w+\('([^'{{}}]+)'[^\n]*\),?\n", code)
    return found[1] if found else None
