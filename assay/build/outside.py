"""Find what may change although neither a landed file nor the project does: outside data, and the clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from assay.project.conventions import TABLES
from assay.project.failures import TESTS
from assay.project.graph import reachable

_KNOWN = ("dbt", "dbt_duckdb")
LOADER = "brz_files"
_COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)
_FILES = r"\b(?:read_\w+|\w+_scan|(?:postgres|mysql|sqlite)_query|glob)\s*\("
_SQL = re.compile(
    # The clock; a name in quotes is not a call.
    r"(?<![\w'\"])(?:(?:current|transaction|local)_?(?:date|time|timestamp)\b(?!['\"])"
    r"|(?:get_current_timestamp|now|today)\s*\(|run_started_at\b)"
    rf"|{_FILES}|\b(?:from|join)\s+'[^'~\n]*[./][^'~\n]*'"
    # A relation that is named as it is, in the warehouse or an attached database.
    r"|(?<!distinct )\b(?:from|join)\s+(?!temp\.)(?:\"[^\"]+\"|[a-z_]\w*)\.(?:\"[^\"]+\"|[a-z_]\w*)",
    re.IGNORECASE,
)
_PYTHON = re.compile(rf"{_FILES}|\b(?:now|today|utcnow|open|urlopen|connect|time\.time)\s*\(|\brequests\.")
# `extract(day from t.event_at)` names a column.
_OF_COLUMN = re.compile(r"\b(?:extract|trim|substring|overlay|position)\s*\([^()]*$", re.IGNORECASE)


@cache
def reads_outside(code: str, language: str = "sql") -> bool:
    """Tell whether code reads the clock, a file, or a table that it does not name by `ref` or `source`.

    Args:
        code: with its Jinja.
        language: `sql` or `python`.
    """
    if language == "python":
        return bool(_PYTHON.search(code))
    code = _COMMENT.sub(" ", code)
    return any(not _OF_COLUMN.search(code[: found.start()]) for found in _SQL.finditer(code))


def outside_ids(manifest: Any) -> set[str]:
    """Return the ids of sources that landed files do not fill, and of nodes that read outside."""
    sources = {each for each, source in manifest.sources.items() if not lands(source)}
    told: dict[str, bool] = {}
    for unique_id, macro in manifest.macros.items():
        told[unique_id] = macro.package_name not in _KNOWN and reads_outside(macro.macro_sql)

    def codes(node: Any) -> Iterator[bool]:
        yield reads_outside(node.raw_code, getattr(node, "language", "sql"))
        called = reachable(node.depends_on.macros, lambda id_: _macros_of(manifest, id_))
        yield from (told.get(each, False) for each in called)

    nodes = {
        unique_id
        for unique_id, node in manifest.nodes.items()
        if node.resource_type in (*TABLES, *TESTS) and node.name != LOADER and any(codes(node))
    }
    return sources | nodes


def lands(source: Any) -> bool:
    """Tell whether landed files fill a source."""
    return "landing" in (source.config.meta or {})


def _macros_of(manifest: Any, unique_id: str) -> list[str]:
    macro = manifest.macros.get(unique_id)
    return list(macro.depends_on.macros) if macro else []
