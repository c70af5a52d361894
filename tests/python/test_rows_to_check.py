"""What silver looks at when a build adds a file to many."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from rendered_macros import Macros

FILES, LINES = 20, 3_000
# DuckDB passes over those below and above by itself.
NEW = (0, 19)


def judged(plan: dict[str, Any]) -> Iterator[int]:
    """The rows of each step that makes or passes on the rules that lines break."""
    for child in plan.get("children", []):
        yield from judged(child)
    if plan.get("operator_type") == "PROJECTION" and "rule_ids" in json.dumps(plan["extra_info"]):
        yield plan["operator_cardinality"]


@pytest.mark.parametrize("documents", [True, False])
def test_only_the_lines_of_new_files_are_looked_into(documents: bool) -> None:
    connection = duckdb.connect()
    connection.execute(
        f"create table landed as select i % {FILES} as file_id, i as row_number, "
        """'{"a": ' || i || '}' as line, null::varchar as line_as_declared, """
        "null::varchar as malformed_reason "
        f"from range({FILES * LINES}) as numbers (i)"
    )
    connection.execute(
        f"create table files as select i as file_id, 'loaded' as status from range({FILES}) as t (i)"
    )
    connection.execute(
        "create view bronze as select landed.*, files.status from landed inner join files using (file_id)"
    )
    connection.execute(f"create table checked as from bronze where file_id not in {NEW}")
    macros = Macros(is_incremental=lambda: True, this="checked")
    rule = "case when not json_valid(line) then 'malformed_json' end"
    macros.__dict__["contract_rules"] = lambda bronze: f"[{rule}]"
    sql = macros.rows_to_check("bronze", documents=documents)
    assert len(connection.execute(sql).fetchall()) == 2 * LINES
    [(_, plan)] = connection.execute(f"explain (analyze, format json) {sql}").fetchall()
    assert set(judged(json.loads(plan))) == {2 * LINES}
